"""Runs a piece of work once for each of its steps and lets the process die, or the step fail, just there.

A step is a call that changes a file or speaks to the database. Each run is a process of its own, forked: so this is run
as a program, by `test_backup.py` and `test_restore.py`, and prints how many steps there were.
"""
from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.core.errors import CommandFailed, ConfigError
from server.ops import check
from server.storage import backup, restore
from server.storage.connection import sqlite
from server.storage.verification import verified
from tests.storage.lived import files, names

STEPS = ("open", "link", "replace", "rename", "fsync", "truncate", "fchmod", "chown", "unlink")
Act = Callable[[bool], None]  # takes whether the step is one of the database
UNHURT, DIED, FAILED = 0, -signal.SIGKILL, 9
SUCCEEDED = 8  # though a step failed
EXTRA = ("", "-wal", "-shm", "-journal")


def die(sql: bool) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(sql: bool) -> None:
    if sql:
        error = sqlite.OperationalError("database or disk is full")
        error.sqlite_errorname = "SQLITE_FULL"
        raise error
    raise OSError(errno.ENOSPC, "No space left on device")


class Counter:
    """Acts just before step number `at`."""

    def __init__(self, at: int, act: Act) -> None:
        self.at, self.act = at, act

    def step(self, sql: bool) -> None:
        self.at -= 1
        if self.at == 0:
            self.act(sql)

    def watch(self) -> None:
        """From now on every step of this process is counted."""
        # To clean up after a failure is no step that fails.
        for name in STEPS[:-1] if self.act is fail else STEPS:
            setattr(os, name, self._counted(getattr(os, name)))
        counter, connect = self, sqlite.connect

        class Connection(sqlite.Connection):  # type: ignore[misc, name-defined]
            def execute(self, *args: Any) -> Any:
                counter.step(True)
                return super().execute(*args)
        sqlite.connect = lambda *args, **options: connect(*args, factory=Connection, **options)

    def _counted(self, function: Any) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            self.step(False)
            return function(*args, **options)
        return counted


def ended(work: Callable[[], object], at: int, act: Act) -> int:
    """Runs the work in a process of its own; how that ended."""
    child = os.fork()
    if child == 0:
        counter = Counter(at, act)
        counter.watch()
        try:
            work()
        except (CommandFailed, ConfigError):
            os._exit(FAILED)
        os._exit(UNHURT if counter.at > 0 else SUCCEEDED)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def each_step(act: Act, prepare: Callable[[], None], work: Callable[[], object],
              judge: Callable[[int], None]) -> int:
    """Once for each step, from the same beginning; how many there were."""
    at = 0
    while True:
        at += 1
        prepare()
        how = ended(work, at, act)
        assert how == UNHURT or how in ((DIED,) if act is die else (FAILED, SUCCEEDED)), (at, how)
        judge(how)
        if how == UNHURT:
            return at - 1


def of_backup(place: Path, act: Act) -> int:
    """`place` holds the database and an older backup, which is replaced."""
    source, target, older = place / "foyer.db", place / "kept.db", (place / "kept.db").read_bytes()

    def prepare() -> None:
        # Nothing is cleaned up: the next backup must cope with what the one that died has left.
        target.write_bytes(older)

    def work() -> object:
        return backup.make(source, target, check.broken, force=True)

    def judge(how: int) -> None:
        assert (how in (DIED, FAILED) and target.read_bytes() == older) or names(target) == names(source)
        if how != DIED:
            assert files(place) == {"foyer.db", "kept.db"}, files(place)
        assert files(place) <= {"foyer.db", "kept.db", *(f"kept.db.partial{end}" for end in EXTRA)}, files(place)
    number = each_step(act, prepare, work, judge)
    assert verified(target, check.broken, target).members == len(names(source))
    return number


def of_restore(place: Path, act: Act) -> int:
    """`place/begin` holds the old database as a killed server left it, `place/backup.db` the backup."""
    begin, now = place / "begin", place / "now"
    target, file = now / "foyer.db", place / "backup.db"
    old, new = ["ada", "last"], names(file)

    def prepare() -> None:
        shutil.rmtree(now, ignore_errors=True)
        shutil.copytree(begin, now)

    def work() -> object:
        return restore.restore(file, target, check.broken, force=True)

    def judge(how: int) -> None:
        found = names(target)
        assert found == new or (how in (DIED, FAILED) and found == old), (how, found)
        if found == new:
            kept = [path for path in now.glob("foyer.db.before-restore-*") if path.stat().st_size]
            assert [names(path) for path in kept] == [old], kept
        if how == DIED:
            work()  # what is left does not hinder the next one
            assert names(target) == new
        assert not list(now.glob("*.restoring*")) and not list(now.glob("foyer.db-*"))
    return each_step(act, prepare, work, judge)


if __name__ == "__main__":
    what, how, where = sys.argv[1:]
    print({"backup": of_backup, "restore": of_restore}[what](Path(where), {"die": die, "fail": fail}[how]))
