"""The SQL of enrichment."""
from __future__ import annotations

from dataclasses import dataclass

import msgspec

from server.core.clock import iso, iso_or_none
from server.enrichment.model import PROFILE, Enrichment, ExportedEnrichment, Field, Status
from server.storage import Row, Tx
from server.web.route import unauthorized

INSERT = """
    INSERT INTO enrichments (user_id, status, requested_at, updated_at, next_attempt_at)
    VALUES ($1, 'queued', $2, $2, $2)"""
INSERT_UNASKED = """
    INSERT INTO enrichments (user_id, status, requests, requested_at, updated_at)
    VALUES ($1, 'not_configured', 0, 0, $2)"""
READ = """
    SELECT status, provider, attempts, requests, requested_at, updated_at, next_attempt_at, fields, filled
    FROM enrichments WHERE user_id = $1"""
REQUEST_AGAIN = """
    UPDATE enrichments SET status = 'queued', attempts = 0, requests = requests + 1, requested_at = $2, updated_at = $2,
        next_attempt_at = $2
    WHERE user_id = $1"""
START = """
    UPDATE enrichments SET status = 'running', attempts = $2, updated_at = $3, next_attempt_at = NULL
    WHERE user_id = $1 AND status IN ('queued', 'running')"""
POSTPONE = """
    UPDATE enrichments SET status = 'queued', updated_at = $2, next_attempt_at = $3
    WHERE user_id = $1 AND status IN ('queued', 'running')"""
END = """
    UPDATE enrichments SET status = $2, provider = $3, fields = $4, updated_at = $5, next_attempt_at = NULL,
        answers = answers + 1
    WHERE user_id = $1 AND status IN ('queued', 'running')"""
FORGET = """
    UPDATE enrichments SET status = 'not_found', provider = NULL, fields = '{}', filled = '{}', updated_at = $2
    WHERE user_id = $1"""
READ_SUBJECT = """
    SELECT u.email, u.email_key, e.status, e.requests, e.requested_at
    FROM users u JOIN enrichments e ON e.user_id = u.id WHERE u.id = $1"""
READ_FILLED = """
    SELECT u.name, u.title, u.company, u.location, u.bio, u.site, u.avatar_url, e.filled
    FROM users u JOIN enrichments e ON e.user_id = u.id WHERE u.id = $1"""
WRITE_FILLED = "UPDATE enrichments SET filled = $2 WHERE user_id = $1"
# COALESCE keeps what the member wrote, also what they wrote while the provider was being asked.
FILL_PROFILE = """
    UPDATE users SET name = COALESCE(name, $2), title = COALESCE(title, $3), company = COALESCE(company, $4),
        location = COALESCE(location, $5), bio = COALESCE(bio, $6), site = COALESCE(site, $7),
        avatar_url = COALESCE(avatar_url, $8)
    WHERE id = $1"""
CLEAR_PROFILE = """
    UPDATE users SET name = NULLIF(name, $2), title = NULLIF(title, $3), company = NULLIF(company, $4),
        location = NULLIF(location, $5), bio = NULLIF(bio, $6), site = NULLIF(site, $7),
        avatar_url = NULLIF(avatar_url, $8)
    WHERE id = $1"""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a run is about."""

    user_id: int
    email: str
    email_key: str
    status: str
    requests: int
    requested_at: int


async def insert(tx: Tx, user_id: int) -> None:
    """The first enrichment of a new member."""
    await tx.run(INSERT, user_id, tx.now)


async def insert_unasked(tx: Tx, user_id: int) -> None:
    """The enrichment of somebody whom nobody was asked about; they may ask at any time."""
    await tx.run(INSERT_UNASKED, user_id, tx.now)


async def read(tx: Tx, user_id: int) -> Enrichment:
    """The member's enrichment as it is shown."""
    return _shown(await _row(tx, user_id))


async def _row(tx: Tx, user_id: int) -> Row:
    row = await tx.one(READ, user_id)
    if row is None:  # every member has one from sign-up on: the account is gone since the request came
        raise unauthorized()
    return row


def _shown(row: Row) -> Enrichment:
    return Enrichment(
        status=row["status"], provider=row["provider"], attempts=row["attempts"], updated_at=iso(row["updated_at"]),
        next_attempt_at=iso_or_none(row["next_attempt_at"]), fields=_fields(row))


def _fields(row: Row) -> dict[str, Field]:
    return msgspec.json.decode(row["fields"], type=dict[str, Field])


async def requested_at(tx: Tx, user_id: int) -> tuple[Status, int]:
    """The status, and when it was last asked for."""
    row = await _row(tx, user_id)
    return row["status"], row["requested_at"]


async def request_again(tx: Tx, user_id: int) -> None:
    """Begins a new request."""
    await tx.run(REQUEST_AGAIN, user_id, tx.now)


async def subject(tx: Tx, user_id: int) -> Subject | None:
    """Whom a run is about; None when the member is gone."""
    row = await tx.one(READ_SUBJECT, user_id)
    if row is None:
        return None
    return Subject(user_id, row["email"], row["email_key"], row["status"], row["requests"], row["requested_at"])


async def start(tx: Tx, user_id: int, attempts: int) -> None:
    """A run begins."""
    await tx.run(START, user_id, attempts, tx.now)


async def postpone(tx: Tx, user_id: int, until: int) -> None:
    """A run ended without an answer; the next begins then."""
    await tx.run(POSTPONE, user_id, tx.now, until)


async def end(tx: Tx, user_id: int, status: Status, provider: str | None, fields: dict[str, Field]) -> bool:
    """The answer; False when it had been answered before."""
    return await tx.run(END, user_id, status, provider, msgspec.json.encode(fields).decode(), tx.now) == 1


async def fill_profile(tx: Tx, user_id: int, fields: dict[str, Field]) -> None:
    """Fills the profile fields that are empty, and notes which these were: the others are the member's own."""
    row = await tx.one(READ_FILLED, user_id)
    if row is not None:
        new = {name: fields[name].value for name in PROFILE if name in fields and row[name] is None}
        filled = msgspec.json.decode(row["filled"], type=dict[str, str]) | new
        await tx.run(FILL_PROFILE, user_id, *_values(new))
        await tx.run(WRITE_FILLED, user_id, msgspec.json.encode(filled).decode())


async def forget(tx: Tx, user_id: int) -> None:
    """Takes back all that providers told: from the profile where it still stands unchanged, and here."""
    row = await tx.one(READ_FILLED, user_id)
    if row is not None:
        await tx.run(CLEAR_PROFILE, user_id, *_values(msgspec.json.decode(row["filled"], type=dict[str, str])))
        await tx.run(FORGET, user_id, tx.now)


def _values(filled: dict[str, str]) -> list[str | None]:
    return [filled.get(name) for name in PROFILE]


async def exported(tx: Tx, user_id: int) -> ExportedEnrichment:
    """All that is kept of the member's enrichment."""
    row = await _row(tx, user_id)
    shown = msgspec.structs.asdict(_shown(row))
    return ExportedEnrichment(**shown, requests=row["requests"], requested_at=iso_or_none(row["requested_at"] or None),
                              filled=msgspec.json.decode(row["filled"], type=dict[str, str]))
