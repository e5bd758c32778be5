"""The import: asks for as many records as a batch has, and stores and links the good ones in one transaction.

A run that has failed is not tried again: the schedule's next one comes, later when they fail again and again.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import cast, get_args

from server.core.clock import SECOND
from server.jobs import Decision, Done, Job, RetryPolicy, schedules
from server.people import runs
from server.people.model import Counts, Taken, What
from server.people.runs import Runs
from server.people.service import Importing
from server.providers.outcome import Outcome
from server.providers.randomdata import RandomData
from server.storage import Tx

KIND = "import"
WHATS: tuple[What, ...] = get_args(What)
TOO_MANY = "more than was asked for"


def name_of(what: str) -> str:
    """The name of the row among all schedules."""
    return f"{KIND}:{what}"


class Unreadable(Exception):
    """Something in the records could not even be judged."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that is under way."""

    id: int
    what: What
    batch: int


class ImportJob:
    """The job behind the three schedules; its key is what it imports."""

    kind = KIND
    concurrency = len(WHATS)
    policy = RetryPolicy(1, 1.0, 1.0)

    def __init__(self, source: RandomData | None, importing: Importing, runs: Runs) -> None:
        self._source, self._importing, self._runs = source, importing, runs

    async def load(self, tx: Tx, job: Job) -> Begun:
        schedule = await schedules.read(tx, name_of(job.key))
        return Begun(await runs.begin(tx, job.key), cast(What, job.key), schedule.batch)

    async def call(self, job: Job, loaded: Begun) -> Taken | Outcome:
        """What can be stored, or why nothing came."""
        assert self._source is not None, "only who does background work imports"
        outcome = await self._source.ask(loaded.what, loaded.batch)
        if outcome.records is None:
            return outcome
        return self._take(loaded, outcome.records)

    def _take(self, loaded: Begun, records: tuple[object, ...]) -> Taken:
        try:
            taken = self._importing.take(loaded.what, records[:loaded.batch])
        except Exception as error:
            # The words of the error may hold what it stumbled over, and would stand in the log.
            raise Unreadable(type(error).__name__) from None
        if len(records) > loaded.batch:
            taken.rejected[TOO_MANY] = len(records) - loaded.batch
        return taken

    async def store(self, tx: Tx, job: Job, loaded: Begun, result: Taken | Outcome) -> Decision:
        if await runs.running(tx, loaded.what) != loaded.id:
            return Done()  # it was stored before
        if isinstance(result, Taken):
            counts = await self._importing.store(tx, loaded.what, result)
            await schedules.succeeded(tx, name_of(loaded.what))
            await self._runs.finish(tx, loaded.id, counts)
        else:
            await self._fail(tx, loaded, result)
        return Done()

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        await schedules.failed(tx, name_of(job.key), error)
        await self._runs.finish(tx, await runs.begin(tx, job.key), Counts(), error)

    async def _fail(self, tx: Tx, begun: Begun, outcome: Outcome) -> None:
        error, wait = f"{outcome.kind}: {outcome.reason}", int((outcome.wait or 0.0) * SECOND)
        # A pause that another schedule's failure has brought about is no failure of this one.
        end = schedules.failed if outcome.asked else schedules.postponed
        await end(tx, name_of(begun.what), error, wait)
        await self._runs.finish(tx, begun.id, Counts(), error)
