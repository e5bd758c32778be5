"""Referrals on a database without a server: members come, confirm their address and leave."""
from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from server import settings as settings_room
from server.core.clock import DAY, now_ms
from server.enrichment import queries as enrichment
from server.events import EventLog, Nudges
from server.ops import check
from server.referrals import queries
from server.referrals.model import CodeStatus, InvitedMember, LedgerEntry, ReferralSummary
from server.referrals.service import Outcome, Referrals
from server.storage import Database, Tx
from tests.support import split

INSERT = """
    INSERT INTO users (username, username_key, email, email_key, email_status, password_hash, referral_code, created_at)
    VALUES ($1, $1, $2, $2, 'valid', 'no hash', $3, $4) RETURNING id"""
MANY = 10**6


class HandClock:
    """The time, moved by hand: it stands still at noon, so that no test sees the day end by itself."""

    def __init__(self) -> None:
        self.now = now_ms() // DAY * DAY + DAY // 2

    def __call__(self) -> int:
        return self.now


def rules(confirmed_only: bool = False, **changed: int | str) -> Referrals:
    """The rules with these settings: `inviter_target=2`."""
    given = settings_room.load(environ={}, overrides={
        split(f"referrals.{name}"): str(value) for name, value in changed.items()})
    return Referrals(given.referrals, EventLog(Nudges()), lambda key: f"hash of {key}", confirmed_only)


@dataclass
class Place:
    """A database, and the rules of the moment."""

    database: Database
    referrals: Referrals = field(default_factory=rules)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def member(self, code: str | None = None, email: str | None = None) -> tuple[int, Outcome]:
        """Somebody signs up, through a code or without one; their id and what became of the code."""
        name = f"member{next(self.numbers)}"
        return await self.database.write(self._sign_up, name, email or f"{name}@example.org", code)

    async def _sign_up(self, tx: Tx, name: str, email: str, code: str | None) -> tuple[int, Outcome]:
        id_ = int(await tx.value(INSERT, name, email, f"code{name}", tx.now))
        await enrichment.insert_unasked(tx, id_)
        return id_, await self.referrals.join(tx, id_, email, code)

    async def code(self, id_: int) -> str:
        """The member's code."""
        return (await self.summary(id_)).code

    async def inviter(self, email: str | None = None) -> tuple[int, str]:
        """Somebody who came by themselves, and their code."""
        id_ = (await self.member(email=email))[0]
        return id_, await self.code(id_)

    async def confirm(self, id_: int) -> None:
        """The member confirms their address."""
        async def confirm(tx: Tx) -> None:
            email = await tx.value(
                "UPDATE users SET email_confirmed_at = $2 WHERE id = $1 RETURNING email_key", id_, tx.now)
            await self.referrals.confirmed(tx, id_, email)
        await self.database.write(confirm)

    async def leave(self, id_: int) -> None:
        """The member leaves, as `erasure` has it."""
        async def leave(tx: Tx) -> None:
            await tx.one("SELECT id FROM users WHERE id = $1 /* postgres: FOR UPDATE */", id_)
            await tx.run("DELETE FROM users WHERE id = $1", id_)
        await self.database.write(leave)

    async def run(self, sql: str, *args: Any) -> None:
        """Executes."""
        async def run(tx: Tx) -> None:
            assert await tx.run(sql, *args) > 0
        await self.database.write(run)

    async def rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        """What a statement gives."""
        async def read(tx: Tx) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await tx.all(sql, *args)]
        return await self.database.read(read)

    async def summary(self, id_: int) -> ReferralSummary:
        """Where the member stands."""
        return await self.database.read(self.referrals.summary, id_, lambda code: f"to {code}")

    async def standing(self, id_: int) -> tuple[int, int, int, int]:
        """How many the member invited, how many of them count, the rewards for them, and the balance."""
        found = await self.summary(id_)
        return found.invited, found.counted, found.rewarded, found.balance

    async def invited(self, id_: int) -> list[InvitedMember]:
        """Whom the member brought."""
        return await self.database.read(queries.invited, id_, MANY, MANY)

    async def ledger(self, id_: int) -> list[LedgerEntry]:
        """The member's entries, newest first."""
        return await self.database.read(queries.ledger, id_, MANY, MANY)

    async def status(self, code: str) -> CodeStatus:
        """Whose code it is."""
        return await self.database.read(queries.code_status, code)

    async def events(self, id_: int) -> list[Any]:
        """What the member was told, in order."""
        rows = await self.rows("SELECT seq, type, data FROM events WHERE user_id = $1 ORDER BY seq", id_)
        assert [seq for seq, _, _ in rows] == list(range(1, len(rows) + 1))
        assert {type_ for _, type_, _ in rows} <= {"referral_credited"}
        return [json.loads(data) for _, _, data in rows]

    async def whole(self) -> None:
        """All invariants hold."""
        assert await self.database.read(check.broken) == []
