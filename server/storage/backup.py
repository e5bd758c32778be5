"""`run.py backup`: a copy of one moment beside a running server, verified before it is reported good.

`VACUUM INTO` reads one snapshot however much is written meanwhile; SQLite's incremental backup begins anew whenever
another process writes. What it makes holds no free pages, so nothing that members have erased, and is one file, without
a log, that can be read from anywhere. While it runs, the server's own log grows by what is written: no checkpoint may
pass a snapshot that is being read.

A backup of PostgreSQL is such a file too, filled with the rows of one snapshot as `copy` does it.
"""
from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.core.errors import CommandFailed, ConfigError
from server.secret import CARDS_NAME, NAME
from server.storage import copying, inspection
from server.storage.connection import sqlite
from server.storage.files import LOGS, beside, put_in_place, remove, sync
from server.storage.inspection import Place
from server.storage.verification import Contents, Prove, verified

PARTIAL = ".partial"
STEPS = 100_000  # of SQLite's machine between two chances for Ctrl-C


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was verified."""

    contents: Contents
    size: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.size / 1024**2:.1f} MiB, {self.contents}, verified, {self.seconds:.1f} s"


def make(source: Place, target: Path, prove: Prove, *, force: bool = False) -> Backup:
    """Copies the database `source` to `target`; `force`: over a file that is there, once the new one is good.

    Raises `ConfigError` when the one is no database or the other cannot be written to, `CommandFailed` when the copy
    fails or is not whole; then nothing of it stays.
    """
    began = time.monotonic()
    inspection.expect_known(source, inspection.version_of(source))
    _expect_free([] if isinstance(source, str) else _own(source), target, force)
    try:
        with _partial(target) as partial:
            _copy(source, partial)
            sync(partial)
            contents = verified(partial, prove, target)
            put_in_place(partial, target)
    except OSError as error:
        raise CommandFailed(f"the backup cannot be written: {error}") from None
    return Backup(contents, target.stat().st_size, time.monotonic() - began)


def _own(source: Path) -> list[Path]:
    return [*(beside(source, ending) for ending in ("", *LOGS, ".lock")), source.with_name(NAME),
            source.with_name(CARDS_NAME)]


def _expect_free(own: list[Path], target: Path, force: bool) -> None:
    if target.resolve() in {path.resolve() for path in own}:
        raise ConfigError(f"{target} belongs to the server: give the backup another name")
    if target.is_dir() or not target.parent.is_dir():
        raise ConfigError(f"{target} cannot be written: expected the name of a file in a folder that is there")
    if target.exists() and not force:
        raise ConfigError(f"{target} is there already: give another name, or --force to replace it")


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """An empty file beside the target that only its owner can read and only one backup writes to.

    What a backup that was killed has left there is overwritten; when this one fails, nothing stays.
    """
    path = beside(target, PARTIAL)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(handle, path)
        try:
            os.fchmod(handle, 0o600)
            os.truncate(handle, 0)
            for ending in LOGS:
                beside(path, ending).unlink(missing_ok=True)
            yield path
        except BaseException:
            remove(path)
            raise
    finally:
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one before us may have finished, and the file that we opened is a backup by now.
        mine = os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        mine = False
    if not mine:
        raise ConfigError(f"{path} is being written by another backup")


def _copy(source: Place, partial: Path) -> None:
    if isinstance(source, str):
        copying.backup(source, partial)
        return
    try:
        with inspection.opened(source) as raw:
            raw.set_progress_handler(lambda: 0, STEPS)
            raw.execute("VACUUM INTO ?", (str(partial.absolute()),))
    except sqlite.Error as error:
        raise CommandFailed(f"the backup failed: {error}") from None
