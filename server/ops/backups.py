"""Backups on a schedule: a process of its own makes and proves each, and the database remembers what came of it."""
from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from server.core.clock import DAY, MINUTE, SECOND, Clock, now_ms
from server.core.errors import ConfigError
from server.jobs import Decision, Done, Failed, Job, Retry, RetryPolicy
from server.settings import Backup as Wanted
from server.storage import Tx
from server.storage.inspection import Place

KIND = "backup"
FIRST_MS = MINUTE  # after the start that finds none planned: whoever sets a folder sees soon whether it works
KEPT_MS = 365 * DAY  # what is remembered of them
_PROGRAM = Path(__file__).with_name("backup_process.py")

INSERT_BACKUP = "INSERT INTO backups (file, started_at, finished_at, size, error) VALUES ($1, $2, $3, $4, $5)"
LAST_GOOD = "SELECT id, finished_at FROM backups WHERE error IS NULL ORDER BY id DESC LIMIT 1"
COUNT_SINCE = "SELECT count(*) FROM backups WHERE id > $1"
PRUNE_BACKUPS = """
    DELETE FROM backups WHERE id IN (SELECT id FROM backups WHERE finished_at < $1 ORDER BY finished_at LIMIT $2)"""

log = logging.getLogger("foyer.backup")


@dataclass(frozen=True, slots=True)
class Tried:
    """A backup that was tried; one without an error was opened, checked and read. `file` is without its folder."""

    file: str
    started_at: int
    finished_at: int
    size: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The age of the last good backup, and how many have failed since."""

    age_ms: int | None
    failures: int


def expect_folder(wanted: Wanted) -> None:
    """Makes the folder if only the last part of it is missing; raises `ConfigError` when it cannot be used.

    Only at the start: later it may be missing because a disk is, and what is put in its place would fill another one.
    """
    if not wanted.folder:
        return
    folder = Path(wanted.folder)
    try:
        folder.mkdir(0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"[backup] folder: {folder} is no folder and cannot be made: {error.strerror}; "
                          "expected a folder that this user may write to") from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"[backup] folder: {folder} cannot be written to; expected a folder that this user may "
                          "write to")


async def state(tx: Tx) -> State:
    """How the backups stand."""
    row = await tx.one(LAST_GOOD)
    age_ms = tx.now - row["finished_at"] if row else None
    return State(age_ms, await tx.value(COUNT_SINCE, row["id"] if row else 0))


async def prune(tx: Tx, most: int) -> int:
    """Forgets what came of backups a year ago, at most of so many; returns of how many."""
    return await tx.run(PRUNE_BACKUPS, tx.now - KEPT_MS, most)


class BackupJob:
    """The job behind the schedule of the same name."""

    kind = KIND
    concurrency = 1
    policy = RetryPolicy(3, 60.0, 600.0)

    def __init__(self, place: Place, wanted: Wanted, clock: Clock = now_ms) -> None:
        self._place, self._wanted, self._clock = place, wanted, clock

    async def load(self, tx: Tx, job: Job) -> bool:
        return True

    async def call(self, job: Job, loaded: bool) -> Tried:
        started_at = self._clock()
        file = f"foyer-{datetime.fromtimestamp(started_at // SECOND, UTC):%Y%m%dT%H%M%SZ}.db"
        told = await self._made(file)
        tried = Tried(file, started_at, self._clock(), told.get("size"), told.get("error"))
        self._tell(job, tried, told)
        return tried

    def _tell(self, job: Job, tried: Tried, told: dict[str, Any]) -> None:
        for line in told.get("left", ()):
            log.warning("%s", line)
        if "trace" in told:
            log.error("the backup failed unexpectedly: %s", told["trace"])
        if tried.error:
            log.warning("no backup in %s (attempt %s): %s", self._wanted.folder, job.attempts, tried.error)
        else:
            log.info("backup %s: %s bytes, verified, %.1f s", tried.file, tried.size,
                     (tried.finished_at - tried.started_at) / SECOND)

    async def _made(self, file: str) -> dict[str, Any]:
        """What the process tells of the backup that it has made; when we are stopped, it is, too."""
        try:
            process = await asyncio.create_subprocess_exec(sys.executable, "-I", str(_PROGRAM), stdin=PIPE,
                                                           stdout=PIPE, stderr=DEVNULL)
        except OSError as error:
            return {"error": f"its process cannot be started: {error.strerror}"}
        try:
            return await self._told(process, file)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _told(self, process: Process, file: str) -> dict[str, Any]:
        assert process.stdin is not None and process.stdout is not None
        kind = "postgres" if isinstance(self._place, str) else "sqlite"
        asked = {kind: str(self._place), "folder": self._wanted.folder, "file": file, "keep": self._wanted.keep}
        # Over a pipe, because others can read the command line, and a URL holds a password. It stays open: the process
        # ends when it is closed, and so with us, however we end.
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        text = await process.stdout.read()
        if text:
            return dict(json.loads(text))
        return {"error": f"its process ended with {await process.wait()} before it was done"}

    async def store(self, tx: Tx, job: Job, loaded: bool, result: Tried) -> Decision:
        await tx.run(INSERT_BACKUP, result.file, result.started_at, result.finished_at, result.size, result.error)
        if result.error is None:
            return Done()
        if self.policy.exhausted(job.attempts):
            return Failed(result.error)
        return Retry(self.policy.wait(job.attempts), result.error)

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        return None
