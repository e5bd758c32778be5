"""A child: one file, as little as possible that it can use or reach, and an end in every case."""
from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from server.cell.source import Unreadable

HEAD_SIZE = 8
# Exit codes; others mean that it failed.
WHOLE, UNREADABLE, NO_MEMORY = 0, 10, 11
_PIPE = 3
_OPEN_FILES = 16  # Python opens one or two when it looks for the module of an encoding
_NICE = 5
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


@dataclass(frozen=True)
class Limits:
    """What one check may use."""

    seconds: float  # of CPU; twice as many by the clock
    memory: int


def prctl() -> Callable[..., int] | None:
    """The system call by which a child ends with its parent; None where there is none."""
    if sys.platform != "linux":
        return None
    call = ctypes.CDLL(None).prctl
    call.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    return call


def be_a_child(pipe: int, folder: str, limits: Limits, parent: int, control: Callable[..., int] | None,
               work: Callable[[], Mapping[str, Any]]) -> NoReturn:
    """Works within the limits, writes the report or the reason why there is none, and ends the process."""
    code = 1
    try:
        _confine(pipe, folder, limits)
        _end_with(parent, control)
        code = _write(work)
    except MemoryError:
        code = NO_MEMORY
    finally:
        os._exit(code)


def _write(work: Callable[[], Mapping[str, Any]]) -> int:
    try:
        body, code = json.dumps(work(), ensure_ascii=False).encode(), WHOLE
    except Unreadable as why:
        body, code = str(why).encode(errors="replace"), UNREADABLE
    data = memoryview(len(body).to_bytes(HEAD_SIZE) + body)
    while data:
        data = data[os.write(_PIPE, data):]
    return code


def _confine(pipe: int, folder: str, limits: Limits) -> None:
    """A process group of its own, an empty folder, no files but the pipe, and limits to everything."""
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(pipe, _PIPE)
    os.closerange(_PIPE + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.chdir(folder)
    os.nice(_NICE)
    gc.disable()  # it would write to, and so copy, all that is shared with the parent
    seconds = math.ceil(limits.seconds)
    _limit(resource.RLIMIT_CPU, seconds, seconds + 1)
    _limit(resource.RLIMIT_AS, limits.memory)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    for none in (resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE):
        _limit(none, 0)


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    """Never above what the parent was given."""
    most = resource.getrlimit(kind)[1]
    wanted = (soft, soft if hard is None else hard)
    if most != resource.RLIM_INFINITY:
        wanted = (min(wanted[0], most), min(wanted[1], most))
    try:
        resource.setrlimit(kind, wanted)
    except (OSError, ValueError):
        if sys.platform == "linux":
            raise  # elsewhere some of them are known by name only


def _end_with(parent: int, control: Callable[..., int] | None) -> None:
    if control is not None:
        control(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        control(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked to be told
        os._exit(1)
