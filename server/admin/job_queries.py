"""The SQL of jobs as administrators look for them, in windows like that of members."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from server.admin.model import KnownJob, State
from server.core.clock import iso, iso_or_none
from server.storage import Row, Tx
from server.web import windows
from server.web.windows import Window, pattern

ANY = "%"
FEW = 1000

_JOB = """
    SELECT id, kind, key, state, attempts, run_at, last_error, request_id, created_at, finished_at FROM jobs """
_HOLDS = """
        (lower(kind) LIKE $4 ESCAPE '!' OR lower(key) LIKE $4 ESCAPE '!' OR lower(last_error) LIKE $4 ESCAPE '!')
    ORDER BY id DESC LIMIT $3"""
READ_JOB = _JOB + "WHERE id = $1"
LIST_JOBS = _JOB + "WHERE id < $1 ORDER BY id DESC LIMIT $2"
LIST_FAILED = _JOB + "WHERE state = 'failed' AND id < $1 ORDER BY id DESC LIMIT $2"
# Those that wait or run are few, as a rule, and found by an index of their own; `$3` is more than a few.
LIST_READY = _JOB + """
    WHERE id < $1 AND id IN (SELECT id FROM jobs WHERE state = 'ready' LIMIT $3) ORDER BY id DESC LIMIT $2"""
LIST_RUNNING = _JOB + """
    WHERE id < $1 AND id IN (SELECT id FROM jobs WHERE state = 'running' LIMIT $3) ORDER BY id DESC LIMIT $2"""
COUNT_READY = "SELECT count(*) FROM (SELECT id FROM jobs WHERE state = 'ready' LIMIT $1) AS counted"
COUNT_RUNNING = "SELECT count(*) FROM (SELECT id FROM jobs WHERE state = 'running' LIMIT $1) AS counted"
WINDOW_OF_JOBS = """
    SELECT min(id), count(*) FROM (SELECT id FROM jobs WHERE id < $1 ORDER BY id DESC LIMIT $2) AS looked"""
WINDOW_OF_FAILED = """
    SELECT min(id), count(*) FROM (
        SELECT id FROM jobs WHERE state = 'failed' AND id < $1 ORDER BY id DESC LIMIT $2) AS looked"""
SEARCH_FAILED = _JOB + "WHERE state = 'failed' AND id < $1 AND id >= $2 AND " + _HOLDS
SEARCH_STATE = _JOB + "WHERE id < $1 AND id >= $2 AND state = $5 AND " + _HOLDS
SEARCH_JOBS = _JOB + "WHERE id < $1 AND id >= $2 AND " + _HOLDS
IS_OPEN = "SELECT 1 FROM jobs WHERE kind = $1 AND key = $2 AND state IN ('ready', 'running')"
REOPEN = """
    UPDATE jobs SET state = 'ready', attempts = 0, run_at = $2, finished_at = NULL WHERE id = $1 AND state = 'failed'"""
DROP = "DELETE FROM jobs WHERE id = $1 AND state = 'failed'"


def _job(row: Row) -> KnownJob:
    return KnownJob(row["id"], row["kind"], row["key"], row["state"], row["attempts"], iso(row["run_at"]),
                    row["last_error"], row["request_id"], iso(row["created_at"]), iso_or_none(row["finished_at"]))


async def job(tx: Tx, job_id: int) -> KnownJob | None:
    """The job."""
    row = await tx.one(READ_JOB, job_id)
    return None if row is None else _job(row)


async def open_ones(tx: Tx, state: Literal["ready", "running"], before: int, limit: int) -> list[KnownJob] | None:
    """Jobs that wait or run, newest first; None when there are so many that a window finds them sooner."""
    count = COUNT_READY if state == "ready" else COUNT_RUNNING
    if await tx.value(count, FEW + 1) > FEW:
        return None
    sql = LIST_READY if state == "ready" else LIST_RUNNING
    return [_job(row) for row in await tx.all(sql, before, limit, FEW)]


async def newest(tx: Tx, state: State | None, before: int, limit: int) -> list[KnownJob]:
    """Jobs, newest first: all, or those that failed."""
    if state == "failed":
        return [_job(row) for row in await tx.all(LIST_FAILED, before, limit)]
    return [_job(row) for row in await tx.all(LIST_JOBS, before, limit)]


async def with_part(tx: Tx, state: State | None, part: str | None, before: int,
                    limit: int) -> tuple[Sequence[KnownJob], Window]:
    """Jobs of a state whose kind, key or error holds this, and where was looked for them."""
    held = ANY if part is None else pattern(part)
    if state == "failed":
        looked = windows.window(await tx.one(WINDOW_OF_FAILED, before, windows.SIZE), before)
        rows = await tx.all(SEARCH_FAILED, before, looked.first, limit, held)
    else:
        looked = windows.window(await tx.one(WINDOW_OF_JOBS, before, windows.SIZE), before)
        if state is None:
            rows = await tx.all(SEARCH_JOBS, before, looked.first, limit, held)
        else:
            rows = await tx.all(SEARCH_STATE, before, looked.first, limit, held, state)
    return [_job(row) for row in rows], looked


async def is_open(tx: Tx, kind: str, key: str) -> bool:
    """Whether a job of this kind and key waits or runs."""
    return await tx.value(IS_OPEN, kind, key) is not None


async def reopen(tx: Tx, job_id: int) -> bool:
    """Makes a failed job ready again, as if it had not been tried; False when it has not failed any more."""
    return await tx.run(REOPEN, job_id, tx.now) == 1


async def drop(tx: Tx, job_id: int) -> bool:
    """Forgets a failed job; False when it has not failed any more."""
    return await tx.run(DROP, job_id) == 1
