"""Runs the jobs: claims what is due, does the slow part outside, stores the effect in a transaction guarded by the
job's state and attempt. At least once, effect once."""
from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from server.core.clock import SECOND
from server.core.errors import Problem
from server.jobs import queue, schedules
from server.jobs.model import Decision, Done, Failed, Handler, Job, Retry
from server.jobs.queue import Queue
from server.storage import Database, Tx

log = logging.getLogger("foyer.jobs")
POLL = 5.0  # seconds; a safety net, the commit that enqueues wakes us
HEARTBEAT = 5.0
GRACE = 3.0
STORE_FIRST, STORE_LONGEST = 0.25, 5.0  # seconds until a result is offered again to a database that refused it
STORE_FAULTS = 5  # how often storing a result may break; then the lease ends and the job runs again


class LoadFailed(Exception):
    """A job that cannot even be loaded. It must not keep all others from being claimed with it."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"job {job.kind} {job.id} cannot be loaded")
        self.job = job


class Worker:
    """The background work of this process."""

    def __init__(self, database: Database, work: Queue, handlers: Sequence[Handler],
                 chance: Callable[[], float] = random.random) -> None:
        self._database, self._queue, self._chance = database, work, chance
        self._handlers = {handler.kind: handler for handler in handlers}
        self._name = secrets.token_hex(6)
        self._running: dict[int, tuple[Job, asyncio.Task[None]]] = {}
        self._woken = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._claiming: asyncio.Future[Any] | None = None
        self._latest: int | None = None  # the newest time that was seen

    async def start(self, alone: bool) -> None:
        """Begins. `alone`: no other process can be working, so what was running at a crash runs again at once."""
        await self._database.write(queue.free, alone)
        self._queue.wake = self._woken.set
        self._loops = [asyncio.create_task(self._claim_loop()), asyncio.create_task(self._heartbeat_loop())]

    async def stop(self) -> None:
        """Lets what is running finish for a moment, then gives it back."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        if self._claiming is not None:
            # It goes on without its loop, and on a database with many writers it could be overtaken by what follows.
            await asyncio.gather(self._claiming, return_exceptions=True)
        tasks = [task for _, task in self._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            # By our name: a claim may have been under way whose jobs nobody of us knows of.
            await self._database.write(queue.release, self._name)
        except Problem as error:
            log.warning("cannot give the jobs back now, they run again after the next start: %s", error)

    @property
    def running(self) -> int:
        """How many jobs are being worked on."""
        return len(self._running)

    async def _claim_loop(self) -> None:
        while True:
            wait = POLL
            try:
                wait = await self._claim_due()
            except LoadFailed as error:
                wait = await self._set_aside(error)
            except Exception as error:
                # The database is full or gone for a moment; the work is safe in it.
                log.warning("cannot take jobs now: %s", error)
            await self._sleep(wait)

    async def _set_aside(self, failed: LoadFailed) -> float:
        log.error("%s", failed, exc_info=failed.__cause__)
        try:
            await self._database.write(self._count_failed_load, failed.job)
        except Exception:
            log.exception("job %s %s cannot be set aside", failed.job.kind, failed.job.id)
            return POLL
        return 0.0

    async def _count_failed_load(self, tx: Tx, job: Job) -> None:
        if await queue.count_attempt(tx, job):
            await queue.finish(tx, job, await self._crashed(tx, job, "cannot be loaded"))

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _claim_due(self) -> float:
        """Claims and starts what is due; returns the seconds until the next is."""
        self._woken.clear()
        self._claiming = asyncio.ensure_future(self._database.write(self._claim, self._room()))
        claimed, due, now = await asyncio.shield(self._claiming)
        self._latest = now
        for job, loaded in claimed:
            task = asyncio.create_task(self._run(job, loaded))
            self._running[job.id] = (job, task)
            task.add_done_callback(partial(self._ended, job.id))
        return POLL if due is None else min(POLL, max(due - now, 0) / SECOND)

    def _room(self) -> dict[str, int]:
        room = {kind: handler.concurrency for kind, handler in self._handlers.items()}
        for job, _ in self._running.values():
            room[job.kind] -= 1
        return room

    def _ended(self, job_id: int, task: asyncio.Task[None]) -> None:
        if job_id in self._running and self._running[job_id][1] is task:
            del self._running[job_id]
        self._woken.set()

    async def _claim(self, tx: Tx, room: dict[str, int]) -> tuple[list[tuple[Job, Any]], int | None, int]:
        # Seen by this process itself: what looks like it may also be the clock of another one that goes ahead.
        jumped = self._latest is None or tx.now < self._latest
        scheduled = await schedules.advance(tx, self._queue, jumped, self._chance)
        claimed = []
        for job in await queue.claim(tx, self._name, room):
            loaded = await self._load(tx, job)
            if loaded is None:
                await queue.finish(tx, job, Done())
            else:
                claimed.append((job, loaded))
        taken = {kind: sum(job.kind == kind for job, _ in claimed) for kind in room}
        free = [kind for kind in room if room[kind] > taken[kind]]
        times = [time for time in (scheduled, await queue.next_due(tx, free)) if time is not None]
        return claimed, min(times, default=None), tx.now

    async def _load(self, tx: Tx, job: Job) -> Any:
        try:
            return await self._handlers[job.kind].load(tx, job)
        except Problem:
            raise
        except Exception as error:
            raise LoadFailed(job) from error

    async def _run(self, job: Job, loaded: Any) -> None:
        token = queue.request_id.set(job.request_id)
        handler = self._handlers[job.kind]
        try:
            result = await handler.call(job, loaded)
        except Exception as error:
            log.exception("job %s %s failed unexpectedly (attempt %s)", job.kind, job.id, job.attempts)
            await self._store(job, self._crashed, f"unexpected {type(error).__name__}")
        else:
            await self._store(job, handler.store, loaded, result)
        finally:
            queue.request_id.reset(token)

    async def _store(self, job: Job, effect: Any, *args: Any) -> None:
        faults, wait = 0, STORE_FIRST
        while faults < STORE_FAULTS:
            try:
                await self._database.write(self._store_guarded, job, effect, args)
                return
            except Problem as error:
                # The disk may be full for hours; what an outside service has answered, and is paid for, is kept.
                log.warning("job %s %s cannot store its result now: %s", job.kind, job.id, error)
                await asyncio.sleep(wait)
                wait = min(2 * wait, STORE_LONGEST)
            except Exception:
                log.exception("job %s %s cannot store its result", job.kind, job.id)
                faults += 1
                effect, args = self._crashed, ("its result cannot be stored",)

    async def _store_guarded(self, tx: Tx, job: Job, effect: Any, args: tuple[Any, ...]) -> None:
        if await queue.still_mine(tx, job, self._name):
            decision: Decision = await effect(tx, job, *args)
            await queue.finish(tx, job, decision)
            self._report(job, decision)

    def _report(self, job: Job, decision: Decision) -> None:
        if isinstance(decision, Failed):
            log.warning("job %s %s failed after %s attempts: %s", job.kind, job.id, job.attempts, decision.error)

    async def _crashed(self, tx: Tx, job: Job, error: str) -> Decision:
        handler = self._handlers[job.kind]
        if not handler.policy.exhausted(job.attempts):
            return Retry(handler.policy.wait(job.attempts), error)
        await handler.give_up(tx, job, error)
        return Failed(error)

    async def _heartbeat_loop(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            try:
                await self._database.write(queue.extend, self._name, list(self._running))
                await self._database.write(queue.free, False)
            except Problem as error:
                log.warning("cannot extend the leases now: %s", error)
