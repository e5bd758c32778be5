"""The rows of the queue: enqueue, claim, finish."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar

from server.jobs.model import Decision, Done, Failed, Job, Retry
from server.storage import Row, Tx

LEASE_MS = 20_000  # a worker that was killed has its jobs done by another after that

# Whose request caused the work, so that its log lines can be told apart later. Set by the web floor.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

INSERT_JOB = """
    INSERT INTO jobs (kind, key, body, state, run_at, request_id, created_at) VALUES ($1, $2, '{}', 'ready', $3, $4, $5)
    ON CONFLICT (kind, key) WHERE state IN ('ready', 'running') DO NOTHING"""
CLAIM = """
    UPDATE jobs SET state = 'running', attempts = attempts + 1, lease_until = $3, worker = $4
    WHERE id IN (SELECT id FROM jobs WHERE kind = $1 AND state = 'ready' AND run_at <= $2 ORDER BY run_at LIMIT $5
        /* postgres: FOR UPDATE SKIP LOCKED */)
    RETURNING id, kind, key, attempts, request_id, created_at"""
NEXT_DUE = "SELECT min(run_at) FROM jobs WHERE kind = $1 AND state = 'ready'"
# An UPDATE and not a SELECT: it also locks the row on a database with many writers.
STILL_MINE = """
    UPDATE jobs SET lease_until = lease_until WHERE id = $1 AND state = 'running' AND attempts = $2 AND worker = $3
    RETURNING id"""
RETRY_JOB = """
    UPDATE jobs SET state = 'ready', run_at = $2, attempts = $3, last_error = $4, lease_until = NULL, worker = NULL
    WHERE id = $1"""
FINISH_JOB = """
    UPDATE jobs SET state = $2, last_error = $3, finished_at = $4, lease_until = NULL, worker = NULL WHERE id = $1"""
EXTEND_LEASE = "UPDATE jobs SET lease_until = $2 WHERE id = $1 AND state = 'running' AND worker = $3"
FREE_EXPIRED = """
    UPDATE jobs SET state = 'ready', lease_until = NULL, worker = NULL WHERE state = 'running' AND lease_until < $1"""
FREE_ALL = "UPDATE jobs SET state = 'ready', lease_until = NULL, worker = NULL WHERE state = 'running'"
RELEASE = """
    UPDATE jobs SET state = 'ready', attempts = attempts - 1, lease_until = NULL, worker = NULL
    WHERE state = 'running' AND worker = $1"""
COUNT_ATTEMPT = "UPDATE jobs SET attempts = $2 WHERE id = $1 AND state = 'ready' AND attempts = $2 - 1 RETURNING id"
OPEN_JOB = "SELECT id FROM jobs WHERE kind = $1 AND key = $2 AND state IN ('ready', 'running')"
PULL_JOB = "UPDATE jobs SET run_at = $3 WHERE kind = $1 AND key = $2 AND state = 'ready' AND run_at > $3"
TAKE_BACK = "DELETE FROM jobs WHERE kind = $1 AND key = $2 AND state = 'ready' AND run_at > $3"
PRUNE_JOBS = """
    DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE finished_at < $1 ORDER BY finished_at LIMIT $2)"""
DELETE_JOBS = "DELETE FROM jobs WHERE key = $1 AND kind = $2 AND state <> 'running'"
LIST_JOBS = """
    SELECT kind, state, attempts, last_error, request_id, created_at, run_at, finished_at FROM jobs
    WHERE key = $1 AND kind = $2 ORDER BY id"""
# State by state, each by its own index: those that are done are many.
COUNT_JOBS = """
    SELECT kind, 'ready' AS state, count(*) AS n FROM jobs WHERE state = 'ready' GROUP BY kind
    UNION ALL SELECT kind, 'running', count(*) FROM jobs WHERE state = 'running' GROUP BY kind
    UNION ALL SELECT kind, 'failed', count(*) FROM jobs WHERE state = 'failed' GROUP BY kind"""


class Queue:
    """Where work is put. `wake` is called once the work is durable."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.elsewhere: Callable[[], None] | None = None  # wakes the other processes

    async def enqueue(self, tx: Tx, kind: str, key: str, run_at: int | None = None) -> bool:
        """Adds a job in the caller's transaction; False when one of that kind and key is open already."""
        added = await tx.run(INSERT_JOB, kind, key, tx.now if run_at is None else run_at, request_id.get(), tx.now)
        if added:
            self.look_again(tx)
        return bool(added)

    async def bring_forward(self, tx: Tx, kind: str, key: str, run_at: int) -> None:
        """Sees to it that a job is open which runs at that time at the latest, if it does not run already."""
        # First a look: an insert beside one that is being finished waits for that, and may hold what it needs.
        if await tx.value(OPEN_JOB, kind, key) is None:
            await self.enqueue(tx, kind, key, run_at)
        elif await tx.run(PULL_JOB, kind, key, run_at):
            self.look_again(tx)

    async def take_back(self, tx: Tx, kind: str, key: str) -> None:
        """Forgets the open job if its time has not come yet."""
        await tx.run(TAKE_BACK, kind, key, tx.now)

    def look_again(self, tx: Tx) -> None:
        """Wakes the workers once the transaction is durable."""
        tx.after_commit(self._wake_all)

    def _wake_all(self) -> None:
        self.wake()
        if self.elsewhere is not None:
            self.elsewhere()


async def claim(tx: Tx, worker: str, room: Mapping[str, int]) -> list[Job]:
    """Takes due jobs, at most `room[kind]` of each kind."""
    jobs: list[Job] = []
    for kind, free in room.items():
        if free > 0:
            rows = await tx.all(CLAIM, kind, tx.now, tx.now + LEASE_MS, worker, free)
            jobs += [_job(row) for row in rows]
    return jobs


def _job(row: Row) -> Job:
    return Job(row["id"], row["kind"], row["key"], row["attempts"], row["request_id"], row["created_at"])


async def next_due(tx: Tx, kinds: Iterable[str]) -> int | None:
    """When the next of these jobs is due."""
    times = [await tx.value(NEXT_DUE, kind) for kind in kinds]
    return min((time for time in times if time is not None), default=None)


async def still_mine(tx: Tx, job: Job, worker: str) -> bool:
    """Whether the job still belongs to this run of it."""
    return await tx.value(STILL_MINE, job.id, job.attempts, worker) is not None


async def finish(tx: Tx, job: Job, decision: Decision) -> None:
    """Writes how the run ended."""
    match decision:
        case Done():
            await tx.run(FINISH_JOB, job.id, "done", None, tx.now)
        case Failed(error):
            await tx.run(FINISH_JOB, job.id, "failed", error, tx.now)
        case Retry(wait, error, burn):
            await tx.run(RETRY_JOB, job.id, tx.now + wait, job.attempts - (not burn), error)


async def extend(tx: Tx, worker: str, ids: Iterable[int]) -> None:
    """The heartbeat: these jobs are still being worked on."""
    for id_ in ids:
        await tx.run(EXTEND_LEASE, id_, tx.now + LEASE_MS, worker)


async def release(tx: Tx, worker: str) -> None:
    """Gives back what the worker claimed and did not do, as if it had not been tried."""
    await tx.run(RELEASE, worker)


async def count_attempt(tx: Tx, job: Job) -> bool:
    """Counts a run whose claim was rolled back; False when somebody has the job meanwhile."""
    return await tx.value(COUNT_ATTEMPT, job.id, job.attempts) is not None


async def free(tx: Tx, everything: bool) -> None:
    """Makes ready again what belonged to a worker that is gone; `everything`, when nobody else can be working."""
    if everything:
        await tx.run(FREE_ALL)
    else:
        await tx.run(FREE_EXPIRED, tx.now)


async def prune(tx: Tx, before: int, most: int) -> int:
    """Forgets jobs that ended before, at most so many; returns how many."""
    return await tx.run(PRUNE_JOBS, before, most)


async def counts(tx: Tx) -> dict[tuple[str, str], int]:
    """How many jobs there are that are not done, by kind and state."""
    return {(row["kind"], row["state"]): row["n"] for row in await tx.all(COUNT_JOBS)}


async def delete_about(tx: Tx, kinds: Iterable[str], key: str) -> None:
    """Forgets what was, or is to be done about somebody who is gone. What is being done ends by itself: it may bring
    an answer that binds us all the same."""
    for kind in kinds:
        await tx.run(DELETE_JOBS, key, kind)


async def about(tx: Tx, kinds: Iterable[str], key: str) -> list[Row]:
    """The jobs of these kinds with this key, by kind and age."""
    return [row for kind in kinds for row in await tx.all(LIST_JOBS, key, kind)]
