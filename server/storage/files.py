"""Files that must be there as a whole, or not at all, whenever the power goes."""
from __future__ import annotations

import os
from pathlib import Path

LOGS = ("-wal", "-shm", "-journal")  # what SQLite may keep beside a database


def beside(path: Path, ending: str) -> Path:
    """The file of the same name with something behind it."""
    return path.with_name(path.name + ending)


def remove(path: Path) -> None:
    """Removes a database and its logs, if they are there."""
    for ending in ("", *LOGS):
        beside(path, ending).unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Waits until the file, or the names in the folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def put_in_place(path: Path, target: Path) -> None:
    """Gives a file that is on the disk its name, over whatever had it; there is no moment without either."""
    os.replace(path, target)
    sync(target.parent)
