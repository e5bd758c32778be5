"""The SQL of mails."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from server.core.clock import DAY, iso, iso_or_none
from server.mail.model import ExportedMail, Status
from server.storage import Row, Tx
from server.web import windows
from server.web.windows import Window, pattern

KIND = "send_mail"
KEPT_MS = 30 * DAY

INSERT_MAIL = """
    INSERT INTO mails (user_id, letter, recipient, words, link_id, message_id, status, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id"""
_MAIL = """
    SELECT m.id, m.user_id, m.letter, m.recipient, m.words, m.message_id, m.status, m.reason, m.created_at, m.sent_at,
        l.purpose, l.nonce, l.expires_at
    FROM mails m LEFT JOIN links l ON l.id = m.link_id """
READ_MAIL = _MAIL + "WHERE m.id = $1"
LIST_NEWEST = _MAIL + "WHERE m.id < $1 ORDER BY m.id DESC LIMIT $2"
LIST_OF_STATUS = _MAIL + "WHERE m.status = $3 AND m.id < $1 ORDER BY m.id DESC LIMIT $2"
IS_WRITTEN_TO = "SELECT 1 FROM mails WHERE recipient = $1 LIMIT 1"
LIST_TO = _MAIL + "WHERE m.recipient = $3 AND m.id < $1 ORDER BY m.id DESC LIMIT $2"
LIST_TO_OF_STATUS = _MAIL + "WHERE m.recipient = $3 AND m.status = $4 AND m.id < $1 ORDER BY m.id DESC LIMIT $2"
_HOLDS = "(lower(m.recipient) LIKE $4 ESCAPE '!' OR lower(m.letter) LIKE $4 ESCAPE '!') ORDER BY m.id DESC LIMIT $3"
WINDOW_OF_ALL = """
    SELECT min(id), count(*) FROM (SELECT id FROM mails WHERE id < $1 ORDER BY id DESC LIMIT $2) AS looked"""
WINDOW_OF_STATUS = """
    SELECT min(id), count(*) FROM (
        SELECT id FROM mails WHERE status = $3 AND id < $1 ORDER BY id DESC LIMIT $2) AS looked"""
SEARCH_ALL = _MAIL + "WHERE m.id < $1 AND m.id >= $2 AND " + _HOLDS
SEARCH_STATUS = _MAIL + "WHERE m.status = $5 AND m.id < $1 AND m.id >= $2 AND " + _HOLDS
END_MAIL = "UPDATE mails SET status = $2, reason = $3, sent_at = $4 WHERE id = $1"
REOPEN_MAIL = "UPDATE mails SET status = 'queued' WHERE id = $1 AND status = 'failed'"
NOTE_REASON = "UPDATE mails SET reason = $2 WHERE id = $1"
EXPORT_MAILS = """
    SELECT id, letter, recipient, status, reason, created_at, sent_at FROM mails
    WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3"""
DELETE_JOBS_OF_MAILS = """
    DELETE FROM jobs WHERE kind = 'send_mail' AND state <> 'running'
        AND key IN (SELECT CAST(id AS TEXT) FROM mails WHERE user_id = $1)"""
PRUNE_MAILS = """
    DELETE FROM mails WHERE id IN (
        SELECT id FROM mails WHERE created_at < $1 AND status <> 'queued' ORDER BY created_at LIMIT $2)"""


@dataclass(frozen=True, slots=True)
class Stored:
    """A mail as it stands in the table, with its link while that is good."""

    id: int
    user_id: int
    letter: str
    recipient: str
    words: dict[str, Any]
    message_id: str
    status: Status
    reason: str | None
    created_at: int
    sent_at: int | None
    link: tuple[str, str] | None  # purpose and nonce


async def insert(tx: Tx, user_id: int, letter: str, recipient: str, words: dict[str, Any], link_id: int | None,
                 message_id: str, status: Status) -> int:
    """Adds a mail; its id."""
    return int(await tx.value(INSERT_MAIL, user_id, letter, recipient, msgspec.json.encode(words).decode(), link_id,
                              message_id, status, tx.now))


async def read(tx: Tx, mail_id: int) -> Stored | None:
    """One mail."""
    row = await tx.one(READ_MAIL, mail_id)
    return None if row is None else _stored(row, tx.now)


async def newest(tx: Tx, status: Status | None, before: int, limit: int) -> list[Stored]:
    """Mails, newest first; of one status, when it is given."""
    if status is not None:
        rows = await tx.all(LIST_OF_STATUS, before, limit, status)
    else:
        rows = await tx.all(LIST_NEWEST, before, limit)
    return [_stored(row, tx.now) for row in rows]


async def is_written_to(tx: Tx, recipient: str) -> bool:
    """Whether there are mails to this very address."""
    return await tx.value(IS_WRITTEN_TO, recipient) is not None


async def newest_to(tx: Tx, status: Status | None, recipient: str, before: int, limit: int) -> list[Stored]:
    """Mails to this very address, newest first; of one status, when it is given."""
    if status is not None:
        rows = await tx.all(LIST_TO_OF_STATUS, before, limit, recipient, status)
    else:
        rows = await tx.all(LIST_TO, before, limit, recipient)
    return [_stored(row, tx.now) for row in rows]


async def with_part(tx: Tx, status: Status | None, part: str, before: int, limit: int) -> tuple[list[Stored], Window]:
    """Mails whose recipient or letter holds this, of one status when it is given, and where was looked for them."""
    if status is not None:
        looked = windows.window(await tx.one(WINDOW_OF_STATUS, before, windows.SIZE, status), before)
        rows = await tx.all(SEARCH_STATUS, before, looked.first, limit, pattern(part), status)
    else:
        looked = windows.window(await tx.one(WINDOW_OF_ALL, before, windows.SIZE), before)
        rows = await tx.all(SEARCH_ALL, before, looked.first, limit, pattern(part))
    return [_stored(row, tx.now) for row in rows], looked


def _stored(row: Row, now: int) -> Stored:
    good = row["nonce"] is not None and row["expires_at"] > now
    return Stored(row["id"], row["user_id"], row["letter"], row["recipient"], msgspec.json.decode(row["words"]),
                  row["message_id"], row["status"], row["reason"], row["created_at"], row["sent_at"],
                  (row["purpose"], row["nonce"]) if good else None)


async def end(tx: Tx, mail_id: int, status: Status, reason: str | None = None) -> None:
    """Writes what became of the mail."""
    await tx.run(END_MAIL, mail_id, status, reason, tx.now if status == "sent" else None)


async def reopen(tx: Tx, mail_id: int) -> None:
    """Writes that a mail which failed is to be sent after all."""
    await tx.run(REOPEN_MAIL, mail_id)


async def note(tx: Tx, mail_id: int, reason: str) -> None:
    """Writes why it is not sent yet."""
    await tx.run(NOTE_REASON, mail_id, reason)


async def exported(tx: Tx, user_id: int, after: int, limit: int) -> list[ExportedMail]:
    """The member's mails behind one, as they are exported."""
    return [ExportedMail(row["id"], row["letter"], row["recipient"], row["status"], row["reason"],
                         iso(row["created_at"]), iso_or_none(row["sent_at"]))
            for row in await tx.all(EXPORT_MAILS, user_id, after, limit)]


async def delete_jobs(tx: Tx, user_id: int) -> None:
    """Forgets the sending of what was written to a member who leaves; the mails go with their row."""
    await tx.run(DELETE_JOBS_OF_MAILS, user_id)


async def prune(tx: Tx, most: int) -> int:
    """Forgets mails that ended a month ago, at most so many; returns how many."""
    return await tx.run(PRUNE_MAILS, tx.now - KEPT_MS, most)
