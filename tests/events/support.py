"""Short ways to the event log."""
from __future__ import annotations

from server.core.clock import DAY
from server.events import EventLog, Page
from server.events import log as events
from server.ops import check
from server.storage import Database, Tx

INSERT = """
    INSERT INTO users (id, username, username_key, email, email_key, email_status, password_hash, referral_code,
        created_at)
    VALUES ($1, $2, $2, $3, $3, 'valid', '', $2, 0)"""
ENRICHED = "INSERT INTO enrichments (user_id, status, answers, requested_at, updated_at) VALUES ($1, 'found', 1, 0, 0)"
KEPT = "SELECT seq FROM events WHERE user_id = $1 ORDER BY seq"


class Moment:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


class Log:
    """The log of some members."""

    def __init__(self, database: Database, log: EventLog, moment: Moment) -> None:
        self.database, self.log, self.moment = database, log, moment

    async def add_member(self, number: int) -> None:
        async def add(tx: Tx) -> None:
            await tx.run(INSERT, number, f"m{number}", f"m{number}@example.org")
            await tx.run(ENRICHED, number)
            await self.log.append(tx, number, "enriched", "{}")
        await self.database.write(add)

    async def append(self, *types: str, member: int = 1) -> list[int]:
        async def add(tx: Tx) -> list[int]:
            return [await self.log.append(tx, member, type_, "{}") for type_ in types]
        return await self.database.write(add)

    async def page(self, after: int, limit: int = 100, member: int = 1) -> Page:
        return await self.database.read(events.page, member, after, limit)

    async def ack(self, seq: int, member: int = 1) -> None:
        await self.database.write(events.acknowledge, member, seq)

    async def prune(self, most: int = 500) -> int:
        return await self.database.write(events.prune, self.moment.ms - 30 * DAY, most)

    async def kept(self, member: int = 1) -> list[int]:
        async def read(tx: Tx) -> list[int]:
            return [row["seq"] for row in await tx.all(KEPT, member)]
        return await self.database.read(read)

    async def sound(self) -> None:
        assert await self.database.read(check.broken) == []
