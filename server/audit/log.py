"""Writes the audit."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from server.audit.model import Act
from server.core.clock import MINUTE
from server.jobs.queue import request_id
from server.storage import Tx
from server.web.route import Call

COUNTED_MS = MINUTE  # what comes often has a row for each of these
# Whoever leaves waits for this row, and then takes what is personal out of it; PostgreSQL would let both pass.
HOLD_MEMBER = "SELECT id FROM users WHERE id = $1 /* postgres: FOR KEY SHARE */"
INSERT_AUDIT = """
    INSERT INTO audit (at, act, actor_id, member_id, target, address, request_id, details)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
FIND_COUNTED = """
    SELECT id, details FROM audit
    WHERE at > $1 AND act = $2 AND address = $3 AND COALESCE(actor_id, 0) = $4 AND COALESCE(member_id, 0) = $5
    ORDER BY at DESC LIMIT 1"""
COUNT_AGAIN = "UPDATE audit SET details = $2 WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, and from where; nobody for the command line, and for who was not signed in."""

    id: int | None = None
    address: str | None = None

    @classmethod
    def of(cls, call: Call) -> Actor:
        """The signed-in member who is asking."""
        return cls(call.me.id, call.address)


NOBODY = Actor()


async def record(tx: Tx, act: Act, actor: Actor = NOBODY, member_id: int | None = None, target: str | None = None,
                 **details: Any) -> None:
    """Writes a row in the caller's transaction.

    `member_id`: whose account it concerns; `target`: what else, as `job 12`. `details` go when the member leaves, and
    hold no secret and no address of anybody.
    """
    if actor.id is not None and not await _held(tx, actor.id):
        actor = NOBODY
    await _insert(tx, act, actor, await _held(tx, member_id or 0), target, details)


async def count(tx: Tx, act: Act, actor: Actor, member_id: int | None) -> None:
    """Like `record`, for what a stranger may do as often as they like: one row for each minute says how many times.

    It costs the same for `member_id` None as for somebody's.
    """
    held = await _held(tx, member_id or 0)
    await tx.lock(f"audit {act} {actor.id} {held} {actor.address}")
    row = await tx.one(FIND_COUNTED, tx.now - COUNTED_MS, act, actor.address, actor.id or 0, held or 0)
    if row is None:
        await _insert(tx, act, actor, held, None, {"times": 1})
    else:
        times = msgspec.json.decode(row["details"])["times"] + 1
        await tx.run(COUNT_AGAIN, row["id"], _json({"times": times}))


async def _held(tx: Tx, member_id: int) -> int | None:
    """The member, who cannot leave before the transaction has ended; None for one who has left."""
    found: int | None = await tx.value(HOLD_MEMBER, member_id)
    return found


async def _insert(tx: Tx, act: Act, actor: Actor, member_id: int | None, target: str | None,
                  details: dict[str, Any]) -> None:
    await tx.run(INSERT_AUDIT, tx.now, act, actor.id, member_id, target, actor.address, request_id.get(),
                 _json(details))


def _json(details: dict[str, Any]) -> str:
    return msgspec.json.encode(details).decode()
