"""Files that must be there as a whole, or not at all, whenever the power goes."""
from __future__ import annotations

import os
from pathlib import Path

from server.core.errors import ConfigError
from server.storage.base import Size

LOGS = ("-wal", "-shm", "-journal")  # what SQLite may keep beside a database


def beside(path: Path, ending: str) -> Path:
    """The file of the same name with something behind it."""
    return path.with_name(path.name + ending)


def size(path: Path) -> Size:
    """What a database and its write-ahead log take."""
    wal = beside(path, "-wal")
    return Size(path.stat().st_size, wal.stat().st_size if wal.exists() else 0)


def remove(path: Path) -> None:
    """Removes a database and its logs, if they are there."""
    for ending in ("", *LOGS):
        beside(path, ending).unlink(missing_ok=True)


def create(path: Path) -> None:
    """Makes an empty file for its owner only; one that is there stays as it is. Raises `ConfigError`."""
    try:
        # Never opened when it is there: to close it again would let go of the locks that SQLite holds on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise unusable(path, error) from None


def unusable(path: Path, error: OSError) -> ConfigError:
    """The operator's line when a file of the database cannot be made or opened."""
    if isinstance(error, FileNotFoundError):
        return ConfigError(f"[database] url: there is no folder {path.parent.absolute()}; "
                           "expected sqlite:FILE in a folder that exists")
    return ConfigError(f"[database] url: {path} cannot be opened: {error.strerror}; "
                       "expected sqlite:FILE in a folder that this user may write to")


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
