"""A source that answers as the test says, and the import behind it with the clock under the test's hand."""
from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from server.core.clock import MINUTE
from server.events import EventLog, Nudges
from server.events import log as events
from server.jobs import schedules
from server.jobs.schedules import Schedule
from server.people import runs
from server.people.jobs import WHATS, ImportJob, name_of
from server.people.model import ImportRun
from server.people.runs import Runs
from server.people.service import Importing
from server.providers.outcome import Kind, Outcome
from server.storage import Tx
from tests.events.support import Log
from tests.jobs.support import Yard
from tests.support import until

CARD_KEY = "the key of the fingerprints in a test"
EVERY = MINUTE
MAKE_ADMINISTRATOR = "UPDATE users SET role = 'admin', suspended_at = $2 WHERE id = $1"


def uid(number: int) -> str:
    """The uid of the record of this number."""
    return str(uuid.UUID(int=number))


def record(number: int, **fields: Any) -> dict[str, Any]:
    """A record that is good as a user and as an address."""
    return {"uid": uid(number), "first_name": "Ada", "last_name": f"Lovelace {number}", **fields}


def came(*records: object) -> Outcome:
    """The source has answered with these."""
    return Outcome(Kind.FOUND, records=records)


class Source:
    """Stands in for random-data-api: `answer` says what comes; `hold` lets it wait until `free` is set."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.answer: Callable[[int], Outcome] = lambda number: came(record(number))
        self.free = asyncio.Event()
        self.free.set()
        self.now = {what: 0 for what in WHATS}
        self.most = 0

    def hold(self) -> None:
        """From now on nothing is answered."""
        self.free.clear()

    async def ask(self, what: str, size: int) -> Outcome:
        self.asked.append((what, size))
        number = len(self.asked)
        self.now[what] += 1
        self.most = max(self.most, *self.now.values())
        try:
            await self.free.wait()
            return self.answer(number)
        finally:
            self.now[what] -= 1


class Imports:
    """The import in a yard: its schedules, its workers, and whom it tells."""

    def __init__(self, yard: Yard, source: Source) -> None:
        self.yard, self.source = yard, source
        self.importing, self.events = Importing(CARD_KEY), EventLog(Nudges())

    async def schedule(self, *whats: str, enabled: bool = True, batch: int = 10) -> None:
        """Makes the schedules of these, of users when none is said."""
        for what in whats or ("users",):
            await self.yard.database.write(schedules.schedule, name_of(what), EVERY, enabled, batch)

    async def start(self, alone: bool = True) -> None:
        """One more worker."""
        job = ImportJob(self.source, self.importing, Runs(self.events))  # type: ignore[arg-type]
        await self.yard.start(job, alone=alone)  # type: ignore[arg-type]

    async def run_now(self, what: str = "users") -> None:
        """As an administrator does."""
        async def write(tx: Tx) -> None:
            await self.yard.queue.bring_forward(tx, "import", what, tx.now)
        await self.yard.database.write(write)

    async def runs(self, what: str = "users") -> list[ImportRun]:
        """Its runs, oldest first."""
        return (await self.yard.database.read(runs.history, what, 2**53, 1000))[::-1]

    async def ended(self, *expected: str, what: str = "users") -> list[ImportRun]:
        """Waits until its runs have ended so; the runs."""
        async def are_they() -> bool:
            return [run.status for run in await self.runs(what)] == list(expected)
        await until(are_they)
        return await self.runs(what)

    async def stands(self, what: str = "users") -> Schedule:
        """Its schedule."""
        return await self.yard.database.read(schedules.read, name_of(what))

    async def administrators(self, *members: int, suspended: int | None = None) -> None:
        """Members who are administrators."""
        log = Log(self.yard.database, self.events, self.yard.moment)

        async def write(tx: Tx, member: int) -> None:
            await tx.run(MAKE_ADMINISTRATOR, member, suspended)
        for member in members:
            await log.add_member(member)
            await self.yard.database.write(write, member)

    async def told(self, member: int) -> list[Any]:
        """The data of the member's `import_finished` events."""
        page = await self.yard.database.read(events.page, member, 0, 100)
        return [msgspec.json.decode(event.data) for event in page.events if event.type == "import_finished"]
