"""Allowances that hold in all processes and over a restart: what must be counted exactly stands in the database.

The same rule as in `limits`: each subject has one number, the time at which its allowance is whole again (GCRA). It
costs a durable transaction, so it is for what is slow anyway: signing up and signing in.
"""
from __future__ import annotations

from typing import NamedTuple

from server.core.errors import Problem
from server.core.units import Rate
from server.storage import Database, Tx
from server.web.limits import Limiter, refusal

READ_ALLOWANCE = "SELECT whole_at FROM allowances WHERE name = $1 AND subject = $2"
WRITE_ALLOWANCE = """
    INSERT INTO allowances (name, subject, whole_at) VALUES ($1, $2, $3)
    ON CONFLICT (name, subject) DO UPDATE SET whole_at = excluded.whole_at"""
PRUNE_ALLOWANCES = """
    DELETE FROM allowances WHERE (name, subject) IN (
        SELECT name, subject FROM allowances WHERE whole_at < $1 ORDER BY whole_at LIMIT $2)"""


class Allowance(NamedTuple):
    """What is counted of whom, and how many there may be in how long."""

    name: str
    rate: Rate
    subject: str

    @property
    def step_ms(self) -> int:
        """How much later each one makes the allowance whole."""
        return max(1, int(1000 * self.rate.seconds / self.rate.count))


class Allowances:
    """Counts and refuses."""

    def __init__(self, database: Database, limiter: Limiter) -> None:
        self._database, self._limiter = database, limiter

    async def take(self, wanted: Allowance) -> None:
        """Counts one; raises Problem 429 when there is no allowance left."""
        if self._limiter.enabled:
            refused = await self._database.write(_take, wanted)
            if refused is not None:
                raise refused

    async def take_in(self, tx: Tx, wanted: Allowance) -> Problem | None:
        """Counts one in the caller's transaction; the Problem 429 when there is no allowance left."""
        return await _take(tx, wanted) if self._limiter.enabled else None

    async def give_back(self, taken: Allowance) -> None:
        """Takes the counting of one back."""
        if self._limiter.enabled:
            await self._database.write(_give_back, taken)


async def _take(tx: Tx, wanted: Allowance) -> Problem | None:
    whole_at = await _whole_at(tx, wanted) + wanted.step_ms
    wait = whole_at - int(1000 * wanted.rate.seconds) - tx.now
    if wait > 0:
        return refusal(wanted.name, wanted.rate, wait / 1000)
    await tx.run(WRITE_ALLOWANCE, wanted.name, wanted.subject, whole_at)
    return None


async def _give_back(tx: Tx, taken: Allowance) -> None:
    whole_at = await _whole_at(tx, taken) - taken.step_ms
    await tx.run(WRITE_ALLOWANCE, taken.name, taken.subject, whole_at)


async def _whole_at(tx: Tx, allowance: Allowance) -> int:
    await tx.lock(f"allowance {allowance.name} {allowance.subject}")
    return max(int(await tx.value(READ_ALLOWANCE, allowance.name, allowance.subject) or 0), tx.now)


async def prune(tx: Tx, most: int) -> int:
    """Forgets allowances that are whole, at most so many; returns how many."""
    return await tx.run(PRUNE_ALLOWANCES, tx.now, most)
