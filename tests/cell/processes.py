"""Looks at processes from outside, as /proc shows them; and files that keep a child busy."""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from server.providers.flake8 import Cell

MakeCell = Callable[..., Cell]
SLOW = b"x = 1\n" * 170_000  # seconds of CPU


def _stat(pid: int) -> tuple[str, int] | None:
    """State and parent of a process; None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1])


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    stat = _stat(pid)
    return stat is not None and stat[0] != "Z"


def children(pid: int | None = None) -> list[int]:
    """The processes that a process (this one) has started and that run."""
    of = pid or os.getpid()
    found = []
    for entry in Path("/proc").iterdir():
        stat = _stat(int(entry.name)) if entry.name.isdigit() else None
        if stat is not None and stat[1] == of and stat[0] != "Z":
            found.append(int(entry.name))
    return found


def parents(of: int | None = None) -> list[int]:
    """The parent processes of cells among the children of a process (this one)."""
    return [pid for pid in children(of) if b"server/cell/__main__.py" in _command(pid)]


def folders(temp: Path) -> list[Path]:
    """The folders of parents in a temporary folder."""
    return [path for path in temp.glob("foyer-cell-*") if path.is_dir() and not path.is_symlink()]


def files_of(pid: int) -> dict[int, str]:
    """The open files of a process."""
    return {int(entry.name): os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}


def open_files() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))


def limits_of(pid: int) -> dict[str, tuple[str, str]]:
    """The limits of a process: name to soft and hard."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): (line[26:47].strip(), line[47:68].strip()) for line in lines}


def peak_of(pid: int) -> int:
    """The most memory that a process has used, in bytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
