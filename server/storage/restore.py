"""`run.py restore`: puts a backup in the place of a database whose server is stopped.

The backup is copied beside the target, verified there and made its own, and takes the name in one step. Before that
step the old database is brought into one file: a log that outlived it would be played into the new one. So whenever the
power goes, there is the old database or the new one, and either is whole.
"""
from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.core.clock import iso, now_ms
from server.core.errors import CommandFailed, ConfigError
from server.storage import inspection
from server.storage.base import Tx
from server.storage.connection import sqlite
from server.storage.files import LOGS, beside, put_in_place, remove, sync
from server.storage.lock import only_one
from server.storage.tables import tables
from server.storage.verification import Contents, Prove, expect_database, verified

COMING = ".restoring"
KEPT = ".before-restore-"
LOST_IDS = 1_000_000  # more than can have been given out since the backup
CHUNK = 1024 * 1024

HAS_MEMBERS = "SELECT EXISTS (SELECT 1 FROM users)"
NEW_EPOCH = "UPDATE meta SET epoch = ?"
# What was given out after the backup was made is not known here, but stands in links, and in tokens that are good for
# a while yet: it must not come to mean somebody else.
SKIP_IDS = "UPDATE sqlite_sequence SET seq = seq + ?"
# Of a table that had no row yet nothing stands there.
COUNT_IDS = "INSERT INTO sqlite_sequence (name, seq) SELECT ?, 0 EXCEPT SELECT name, 0 FROM sqlite_sequence"


@dataclass(frozen=True, slots=True)
class Restored:
    """A database that was put back; `kept` is the one that was there before."""

    contents: Contents
    kept: Path | None
    seconds: float

    def __str__(self) -> str:
        kept = f"; what was there is now {self.kept}" if self.kept else ""
        return f"{self.contents}, verified and put in place, {self.seconds:.1f} s{kept}"


def restore(file: Path, target: Path, prove: Prove, *, force: bool = False) -> Restored:
    """Puts the backup `file` in the place of the database `target`; `force`: also when that is not empty.

    Raises `ConfigError` when a server runs, `file` is no backup of ours, or `target` is in use or not empty, and
    `CommandFailed` when the backup is damaged or cannot be copied. The target is as it was then.
    """
    began = time.monotonic()
    _expect_backup(file, target)
    expect_database(file, file)
    with only_one(target):
        empty = is_empty(target)
        if not empty and not force:
            raise ConfigError(f"{target} is not empty: --force replaces it, and keeps it under another name")
        coming = beside(target, COMING)
        try:
            _copy(file, coming, target)
            contents = verified(coming, prove, file)
            _make_its_own(coming)
            kept = exchange(coming, target, keep=not empty)
        except (OSError, sqlite.Error) as error:
            raise CommandFailed(f"the backup cannot be put in place: {error}") from None
        finally:
            remove(coming)
    return Restored(contents, kept, time.monotonic() - began)


def _expect_backup(file: Path, target: Path) -> None:
    if not file.is_file():
        raise ConfigError(f"there is no {file}")
    if target.exists() and target.samefile(file):
        raise ConfigError(f"{file} is the database itself")
    for ending in LOGS:
        log = beside(file, ending)
        if log.exists() and log.stat().st_size:
            raise ConfigError(f"{log} lies beside it: {file} is in use, or was copied while it was; make a backup "
                              f"of it with run.py backup --database sqlite:{file} FILE")


def is_empty(target: Path) -> bool:
    """Whether nothing would be lost: there is no file, or no member in it. One that cannot be read is not empty."""
    if not target.exists():
        return True
    try:
        return inspection.look(target, _holds_nothing)
    except sqlite.Error:
        return False


async def _holds_nothing(tx: Tx) -> bool:
    if await inspection.version(tx):
        return not await tx.value(HAS_MEMBERS)
    return await inspection.is_blank(tx)


def _copy(file: Path, coming: Path, target: Path) -> None:
    remove(coming)  # what a restore that was killed has left
    handle = os.open(coming, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as copy, open(file, "rb") as backup:
        shutil.copyfileobj(backup, copy, CHUNK)
    give_away(coming, target)


def give_away(coming: Path, target: Path) -> None:
    """Makes it the property of whoever owns the target or its folder: the server need not be root's."""
    if os.geteuid() == 0:
        owner = (target if target.exists() else target.parent).stat()
        os.chown(coming, owner.st_uid, owner.st_gid)


def _make_its_own(coming: Path) -> None:
    """Gives the data another epoch, so that clients know that numbers they have kept mean nothing any more."""
    with inspection.opened(coming) as raw:
        raw.execute("PRAGMA journal_mode=DELETE").fetchall()
        raw.execute("BEGIN IMMEDIATE")
        raw.execute(NEW_EPOCH, (secrets.token_hex(8),))
        for table in tables():
            if table.remembers:
                raw.execute(COUNT_IDS, (table.name,))
        raw.execute(SKIP_IDS, (LOST_IDS,))
        raw.execute("COMMIT")
    sync(coming)


def exchange(coming: Path, target: Path, keep: bool) -> Path | None:
    """Gives `coming` the name of the database in one step; `keep`: the one that was there under another name."""
    kept = beside(target, KEPT + iso(now_ms()).translate({ord(letter): None for letter in "-:."}))
    with _in_one_file(target):
        if keep:
            os.link(target, kept)
        for ending in LOGS:  # of a database that is too damaged for them to be brought into it, or gone
            if beside(target, ending).exists():
                beside(target, ending).rename(beside(kept, ending))
        put_in_place(coming, target)
    return kept if keep else None


@contextmanager
def _in_one_file(target: Path) -> Iterator[None]:
    """Brings the database into one file, and keeps everybody away from it meanwhile.

    Whoever has opened it before sees that it has moved, as SQLite looks for that when there is no write-ahead log.
    """
    if not target.exists():
        yield
        return
    with inspection.opened(target) as raw:
        try:
            raw.execute("PRAGMA busy_timeout=1000").fetchall()
            raw.execute("PRAGMA journal_mode=DELETE").fetchall()
            raw.execute("BEGIN EXCLUSIVE")
        except sqlite.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise
            raise ConfigError(f"[database] url: {target} is in use by another program") from None
        except sqlite.DatabaseError:
            pass  # so damaged that nobody can use it
        yield
