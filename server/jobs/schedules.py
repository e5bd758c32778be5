"""Schedules: rows that say when a job is enqueued again. They can be changed while everything runs.

The next time is a row's own and moves on a grid, so that a run that takes long does not push the later ones back. A
clock that was put forward makes what is due run once, one that was put back makes nobody wait for the old time.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from server.core.clock import HOUR, SECOND
from server.jobs.queue import Queue
from server.storage import Row, Tx

LONGEST_PAUSE_MS = HOUR  # after failures
JITTER, MOST_JITTER_MS = 0.05, 10 * SECOND  # of `every`: not all who were started together ask in the same moment

INSERT_SCHEDULE = """
    INSERT INTO schedules (name, every_ms, next_at, enabled, batch) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (name) DO NOTHING"""
READ_SCHEDULE = """
    SELECT name, every_ms, next_at, enabled, batch, failures, last_error FROM schedules WHERE name = $1"""
HOLD_SCHEDULE = READ_SCHEDULE + " /* postgres: FOR UPDATE */"
KEEP_SCHEDULE = """
    INSERT INTO schedules (name, every_ms, next_at) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET every_ms = $2,
        next_at = CASE WHEN schedules.next_at > $4 THEN $4 ELSE schedules.next_at END"""
DROP_SCHEDULE = "DELETE FROM schedules WHERE name = $1"
DROP_OPEN = "DELETE FROM jobs WHERE kind = $1 AND key = $2 AND state IN ('ready', 'running')"
CHANGE_SCHEDULE = "UPDATE schedules SET every_ms = $2, enabled = $3, batch = $4, next_at = $5 WHERE name = $1"
NEXT_SCHEDULE = "SELECT min(next_at) FROM schedules WHERE enabled = 1"
# One statement, so that of two processes the second finds the row as the first has left it: not due any more.
ADVANCE_SCHEDULES = """
    UPDATE schedules SET next_at = CASE WHEN next_at + every_ms > $1 THEN next_at + every_ms ELSE $1 + every_ms END
    WHERE enabled = 1 AND next_at <= $1 RETURNING name, every_ms"""
# Nothing sets a time that is farther away, while the clock goes on.
PULL_SCHEDULES = """
    UPDATE schedules SET next_at = $1 + every_ms
    WHERE next_at > $1 + every_ms AND (failures = 0 OR next_at > $1 + CAST($2 AS BIGINT))"""
SUCCEED = """
    UPDATE schedules SET failures = 0, last_error = NULL,
        next_at = CASE WHEN next_at > $2 + every_ms THEN $2 + every_ms ELSE next_at END WHERE name = $1"""
POSTPONE = "UPDATE schedules SET last_error = COALESCE(last_error, $2), next_at = $3 WHERE name = $1"
FAIL = "UPDATE schedules SET failures = failures + 1, last_error = $2, next_at = $3 WHERE name = $1"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it stands."""

    name: str
    every_ms: int
    next_at: int
    enabled: bool
    batch: int  # 1 where nothing is said
    failures: int
    last_error: str | None


def job_of(name: str) -> tuple[str, str]:
    """The kind and the key of the jobs that a schedule of this name enqueues."""
    kind, _, key = name.partition(":")
    return kind, key


async def schedule(tx: Tx, name: str, every_ms: int, enabled: bool = True, batch: int | None = None) -> None:
    """Makes sure that the schedule exists; one that does is left as it is."""
    await tx.run(INSERT_SCHEDULE, name, every_ms, tx.now + every_ms, int(enabled), batch)


async def keep(tx: Tx, name: str, every_ms: int, first_ms: int) -> None:
    """Makes sure that the schedule exists and has this interval; a new one is due in `first_ms`, one that was there
    as it was, or after the interval if that is sooner."""
    await tx.run(KEEP_SCHEDULE, name, every_ms, tx.now + first_ms, tx.now + every_ms)


async def drop(tx: Tx, name: str) -> None:
    """Makes sure that the schedule does not exist, and nothing waits, or is to be run again, that it has enqueued."""
    kind, key = job_of(name)
    await tx.run(DROP_SCHEDULE, name)
    await tx.run(DROP_OPEN, kind, key)


async def read(tx: Tx, name: str) -> Schedule:
    """The schedule of this name, which was made at the start."""
    return _schedule(await tx.one(READ_SCHEDULE, name))


async def hold(tx: Tx, name: str) -> Schedule:
    """The same, and nobody else changes it to the end of the transaction."""
    return _schedule(await tx.one(HOLD_SCHEDULE, name))


def _schedule(row: Row | None) -> Schedule:
    assert row is not None, "it is made at every start, and never deleted"
    return Schedule(row["name"], row["every_ms"], row["next_at"], row["enabled"] == 1, row["batch"] or 1,
                    row["failures"], row["last_error"])


async def change(tx: Tx, work: Queue, old: Schedule, every_ms: int, enabled: bool, batch: int) -> Schedule:
    """Changes one that is held. With another interval, or enabled again, it is due an interval from now; disabled, it
    takes back the run that it has put off a little."""
    anew = every_ms != old.every_ms or (enabled and not old.enabled)
    next_at = tx.now + every_ms if anew else old.next_at
    await tx.run(CHANGE_SCHEDULE, old.name, every_ms, int(enabled), batch, next_at)
    if old.enabled and not enabled:
        await work.take_back(tx, *job_of(old.name))
    work.look_again(tx)
    return Schedule(old.name, every_ms, next_at, enabled, batch, old.failures, old.last_error)


async def advance(tx: Tx, work: Queue, jumped: bool, chance: Callable[[], float]) -> int | None:
    """Enqueues what is due, and returns when the next is. `jumped`: the clock may have been put back since the times
    were set; `chance` gives numbers from 0 to 1."""
    if jumped:
        await tx.run(PULL_SCHEDULES, tx.now, LONGEST_PAUSE_MS)
    due = await _next(tx)
    if due is None or due > tx.now:
        return due
    for row in await tx.all(ADVANCE_SCHEDULES, tx.now):
        put_off = int(chance() * min(JITTER * row["every_ms"], MOST_JITTER_MS))
        await work.bring_forward(tx, *job_of(row["name"]), tx.now + put_off)
    return await _next(tx)


async def _next(tx: Tx) -> int | None:
    due: int | None = await tx.value(NEXT_SCHEDULE)
    return due


async def succeeded(tx: Tx, name: str) -> None:
    """What it has enqueued has done its work: if it was paused, the pause is over."""
    await tx.run(SUCCEED, name, tx.now)


async def postponed(tx: Tx, name: str, error: str, wait_ms: int) -> None:
    """What it has enqueued could not even be tried: the next time is when it can be, and no failure is counted."""
    await tx.run(POSTPONE, name, error, tx.now + min(max(wait_ms, SECOND), LONGEST_PAUSE_MS))


async def failed(tx: Tx, name: str, error: str, told_ms: int = 0) -> None:
    """What it has enqueued has failed. The pause until the next doubles with each failure in a row, and is at least as
    long as the other side wants it (`told_ms`)."""
    found = await hold(tx, name)
    pause = max(min(found.every_ms * 2 ** min(found.failures, 30), LONGEST_PAUSE_MS), min(told_ms, LONGEST_PAUSE_MS))
    await tx.run(FAIL, name, error, max(found.next_at, tx.now + pause))
