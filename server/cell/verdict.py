"""What the end of a child means."""
from __future__ import annotations

import os
import signal
from resource import struct_rusage

from server.cell.child import HEAD_SIZE, NO_MEMORY, UNREADABLE, WHOLE, Limits
from server.cell.frames import FAILED, REPORT

LARGEST_REPORT = 4 * 1024 * 1024


def judge(status: int, usage: struct_rusage, received: bytes, limits: Limits) -> tuple[int, bytes]:
    """REPORT and the report, when all of it came; else FAILED and the reason."""
    if os.WIFSIGNALED(status):
        return _failed(_killed(os.WTERMSIG(status), usage, limits))
    code = os.WEXITSTATUS(status)
    if code == NO_MEMORY:
        return _failed(f"the check needed more memory than {limits.memory / 2 ** 20:g} MiB")
    size, body = received[:HEAD_SIZE], received[HEAD_SIZE:]
    if code not in (WHOLE, UNREADABLE) or len(size) < HEAD_SIZE or len(body) != int.from_bytes(size):
        return _failed("flake8 itself failed on this file")
    return (REPORT, body) if code == WHOLE else (FAILED, body)


def too_slow(limits: Limits) -> str:
    """The reason for what the clock ended."""
    return f"the check took longer than {2 * limits.seconds:g} s"


def too_large() -> str:
    """The reason for what wrote without end."""
    return f"the report is larger than {LARGEST_REPORT // 2 ** 20} MiB"


def _killed(number: int, usage: struct_rusage, limits: Limits) -> str:
    out_of_time = number == signal.SIGKILL and usage.ru_utime + usage.ru_stime >= limits.seconds
    if number == signal.SIGXCPU or out_of_time:
        return f"the check took longer than {limits.seconds:g} s of CPU"
    if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        return "the check was killed"
    return f"flake8 crashed on this file ({_name(number)})"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _failed(reason: str) -> tuple[int, bytes]:
    return FAILED, reason.encode()
