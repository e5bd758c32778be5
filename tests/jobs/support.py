"""A kind of job that does as the test says, and workers for it."""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from server.jobs import Decision, Done, Job, Queue, RetryPolicy, Worker
from server.storage import Database, Tx
from tests.events.support import Moment
from tests.support import until

ROWS = """
    SELECT id, kind, key, state, attempts, run_at, last_error, worker, lease_until, finished_at FROM jobs ORDER BY id"""


class Toy:
    """Jobs of one kind. `work` is its call; its effect is a row in a list, written by `store`."""

    def __init__(self, kind: str = "toy", concurrency: int = 3, attempts: int = 3) -> None:
        self.kind, self.concurrency = kind, concurrency
        self.policy = RetryPolicy(attempts, 10.0, 40.0)
        self.calls: list[tuple[str, int]] = []
        self.stored: list[tuple[str, Any]] = []
        self.given_up: list[tuple[str, str]] = []
        self.now = self.most = 0
        self.work: Callable[[Job], Awaitable[Any]] = self._nothing
        self.decide: Callable[[Job], Decision] = lambda job: Done()

    async def _nothing(self, job: Job) -> Any:
        return job.attempts

    async def load(self, tx: Tx, job: Job) -> Any:
        return None if job.key.startswith("gone") else job.key

    async def call(self, job: Job, loaded: Any) -> Any:
        self.calls.append((job.key, job.attempts))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self.work(job)
        finally:
            self.now -= 1

    async def store(self, tx: Tx, job: Job, loaded: Any, result: Any) -> Decision:
        decision = self.decide(job)
        await tx.run("UPDATE jobs SET body = $2 WHERE id = $1", job.id, f"stored {result}")
        tx.after_commit(lambda: self.stored.append((job.key, result)))
        return decision

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        tx.after_commit(lambda: self.given_up.append((job.key, error)))


class Gate:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside = 0

    async def __call__(self, job: Job) -> int:
        self.inside += 1
        await self.open.wait()
        return job.attempts


class Yard:
    """A queue and its workers."""

    def __init__(self, database: Database, moment: Moment) -> None:
        self.database, self.moment, self.queue = database, moment, Queue()
        self.workers: list[Worker] = []
        self.chance = 0.0  # how much of the jitter there is

    async def start(self, *toys: Toy, alone: bool = True) -> Worker:
        worker = Worker(self.database, self.queue, toys, lambda: self.chance)
        self.workers.append(worker)
        await worker.start(alone)
        return worker

    async def stop(self) -> None:
        for worker in self.workers:
            await worker.stop()
        self.workers.clear()

    async def add(self, *keys: str, kind: str = "toy", run_at: int | None = None) -> list[bool]:
        async def enqueue(tx: Tx) -> list[bool]:
            return [await self.queue.enqueue(tx, kind, key, run_at) for key in keys]
        return await self.database.write(enqueue)

    async def rows(self) -> list[dict[str, Any]]:
        async def read(tx: Tx) -> list[dict[str, Any]]:
            return [{name: row[name] for name in row.keys()} for row in await tx.all(ROWS)]
        return await self.database.read(read)

    async def states(self) -> list[str]:
        return [row["state"] for row in await self.rows()]

    async def ended(self, *expected: str) -> None:
        """Waits until the jobs are in these states."""
        async def are_they() -> bool:
            return await self.states() == list(expected)
        await until(are_they)

    async def looked(self) -> None:
        """Waits until the newest worker has looked for work once more, after whatever it was at."""
        worker = self.workers[-1]
        for _ in range(2):
            before = worker._claiming
            self.queue.wake()
            await until(lambda: worker._claiming is not before and worker._claiming.done())  # type: ignore[union-attr]

    def later(self, seconds: float) -> None:
        """Puts the clock forward."""
        self.moment.ms += int(seconds * 1000)
        self.queue.wake()
