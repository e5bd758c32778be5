"""The folder of a parent: locked while it lives, so that the next parent knows the ones that were left behind."""
from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

PREFIX = "foyer-cell-"


class Folder:
    """An empty folder in `place` that nobody else may enter, with folders for the checks in it."""

    def __init__(self, place: str) -> None:
        while True:
            self.path = tempfile.mkdtemp(prefix=PREFIX, dir=place)  # mode 0700
            try:
                self._handle = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:  # another parent took it for one that was left behind
                continue
            if _lock(self._handle) and os.path.exists(self.path):
                return
            os.close(self._handle)

    def new(self, number: int) -> str:
        """An empty folder for a check."""
        path = os.path.join(self.path, str(number))
        os.mkdir(path, 0o700)
        return path

    def remove(self) -> None:
        """Removes all of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._handle)


def remove_one(path: str) -> None:
    """Removes the folder of a check."""
    try:
        os.rmdir(path)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)


def sweep(place: str) -> None:
    """Removes what parents left behind that were killed."""
    for path in Path(place).glob(PREFIX + "*"):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(handle).st_uid == os.getuid() and stat.S_ISDIR(os.fstat(handle).st_mode) and _lock(handle):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
