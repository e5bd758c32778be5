"""Writes the audit."""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from server.jobs.queue import request_id
from server.storage import Tx

# What is written down: what administrators (and the command line) do, and what happens to somebody's account.
Act = Literal[
    "administrator_created", "member_promoted", "member_demoted", "member_suspended", "member_restored",
    "post_deleted", "job_retried", "job_dropped", "schedule_changed", "schedule_run", "person_deleted",
    "login_failed", "login_blocked", "signed_in", "session_ended", "token_reused",
    "password_changed", "password_reset", "email_changed", "member_left",
]
INSERT_AUDIT = """
    INSERT INTO audit (at, act, actor_id, member_id, target, address, request_id, details)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, and from where; nobody for the command line, and for who was not signed in."""

    id: int | None = None
    address: str | None = None


NOBODY = Actor()


async def record(tx: Tx, act: Act, actor: Actor = NOBODY, member_id: int | None = None, target: str | None = None,
                 **details: Any) -> None:
    """Writes a row in the caller's transaction.

    `member_id`: whose account it concerns; `target`: what else, as `job 12`. `details` go when the member leaves, and
    hold no secret and no address of anybody.
    """
    await tx.run(INSERT_AUDIT, tx.now, act, actor.id, member_id, target, actor.address, request_id.get(),
                 json.dumps(details, separators=(",", ":")))
