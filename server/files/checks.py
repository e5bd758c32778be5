"""The SQL of checks."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from server.core.clock import iso, iso_or_none
from server.files.model import Check, ExportedCheck, Finding, Options
from server.providers.flake8 import Report
from server.storage import Row, Tx

KEPT = 100  # of a file; older ones go

INSERT_CHECK = """
    INSERT INTO checks (user_id, file_id, version, options, status, requested_at)
    VALUES ($1, $2, $3, $4, 'pending', $5) RETURNING id"""
# The newest check of each file stands first in its index; those beyond the kept ones are few.
PRUNE_CHECKS = """
    DELETE FROM checks WHERE file_id = $1 AND status NOT IN ('pending', 'running') AND id < (
        SELECT min(id) FROM (SELECT id FROM checks WHERE file_id = $1 ORDER BY id DESC LIMIT $2) AS kept)"""
# The one that was begun before a crash is the oldest of those that wait.
NEXT_CHECK = """
    SELECT c.id, c.file_id, c.version, c.options, c.tries, coalesce(v.name, f.name) AS name, t.bytes
    FROM checks c JOIN files f ON f.id = c.file_id
        LEFT JOIN file_versions v ON v.file_id = c.file_id AND v.version = c.version
        LEFT JOIN contents t ON t.sha256 = v.sha256
    WHERE c.user_id = $1 AND c.status IN ('pending', 'running') ORDER BY c.id LIMIT 1"""
HAS_JOB = "SELECT 1 FROM jobs WHERE kind = $1 AND key = $2 AND state IN ('ready', 'running')"
IS_WAITING = "SELECT 1 FROM checks WHERE user_id = $1 AND status IN ('pending', 'running') LIMIT 1"
BEGIN_CHECK = "UPDATE checks SET status = 'running', tries = tries + 1, started_at = $2 WHERE id = $1"
END_CHECK = """
    UPDATE checks SET status = $2, finished_at = $3, flake8 = $4, python = $5, total = $6, suppressed = $7, counts = $8,
        findings = $9, reason = $10
    WHERE id = $1 AND status = 'running'"""
SET_MAIL = "UPDATE checks SET mail_id = $2 WHERE id = $1"
IS_NEWEST = "SELECT NOT EXISTS (SELECT 1 FROM checks WHERE file_id = $1 AND id > $2)"
_CHECK = """
    SELECT c.id, c.file_id, c.version, c.status, c.requested_at, c.started_at, c.finished_at, c.flake8, c.python,
        c.options, c.total, c.suppressed, c.counts, c.findings, m.status AS mail, c.reason
    FROM checks c LEFT JOIN mails m ON m.id = c.mail_id """
READ_CHECK = _CHECK + "WHERE c.id = $1"
LIST_CHECKS = _CHECK + "WHERE c.file_id = $1 AND c.id < $2 ORDER BY c.id DESC LIMIT $3"
EXPORT_CHECKS = _CHECK + "WHERE c.user_id = $1 AND c.id > $2 ORDER BY c.id LIMIT $3"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A check that is to be run. `content`: None when the version is not kept any more."""

    id: int
    file_id: int
    version: int
    name: str
    options: Options
    tries: int
    content: bytes | None


async def insert(tx: Tx, user_id: int, file_id: int, version: int, options: Options) -> int:
    """Adds a check, and lets go of those that are too old; its id."""
    check_id = int(await tx.value(INSERT_CHECK, user_id, file_id, version, _encoded(options), tx.now))
    await tx.run(PRUNE_CHECKS, file_id, KEPT)
    return check_id


async def next_waiting(tx: Tx, user_id: int) -> Waiting | None:
    """The member's oldest check that has not ended."""
    row = await tx.one(NEXT_CHECK, user_id)
    if row is None:
        return None
    content = None if row["bytes"] is None else bytes(row["bytes"])
    options = msgspec.json.decode(row["options"], type=Options)
    return Waiting(row["id"], row["file_id"], row["version"], row["name"], options, row["tries"], content)


async def is_waiting(tx: Tx, user_id: int) -> bool:
    """Whether the member has a check that has not ended."""
    return await tx.value(IS_WAITING, user_id) is not None


async def has_job(tx: Tx, kind: str, user_id: int) -> bool:
    """Whether the member's job is open."""
    return await tx.value(HAS_JOB, kind, str(user_id)) is not None


async def begin(tx: Tx, check: Waiting) -> None:
    """Writes that it runs now."""
    await tx.run(BEGIN_CHECK, check.id, tx.now)


async def end(tx: Tx, check_id: int, report: Report) -> bool:
    """Writes the report; False when the check has ended or is gone."""
    return await tx.run(END_CHECK, check_id, report.status, tx.now, report.flake8 or None, report.python or None,
                        report.total, report.suppressed, _encoded(report.counts), _encoded(report.findings),
                        report.reason) == 1


async def is_newest(tx: Tx, check: Waiting) -> bool:
    """Whether no later check of the file was asked for."""
    return bool(await tx.value(IS_NEWEST, check.file_id, check.id))


async def set_mail(tx: Tx, check_id: int, mail_id: int) -> None:
    """Writes which mail tells of it."""
    await tx.run(SET_MAIL, check_id, mail_id)


async def read(tx: Tx, check_id: int) -> Check | None:
    """One check."""
    row = await tx.one(READ_CHECK, check_id)
    return None if row is None else Check(*_values(row))


async def history(tx: Tx, file_id: int, before: int, limit: int) -> list[Check]:
    """The checks of a file, newest first."""
    return [Check(*_values(row)) for row in await tx.all(LIST_CHECKS, file_id, before, limit)]


async def exported(tx: Tx, user_id: int, after: int, limit: int) -> list[ExportedCheck]:
    """The member's checks behind one, as they are exported."""
    return [ExportedCheck(*_values(row), file_id=row["file_id"])
            for row in await tx.all(EXPORT_CHECKS, user_id, after, limit)]


def _values(row: Row) -> tuple[Any, ...]:
    return (row["id"], row["version"], row["status"], iso(row["requested_at"]), iso_or_none(row["started_at"]),
            iso_or_none(row["finished_at"]), row["flake8"], row["python"],
            msgspec.json.decode(row["options"], type=Options), row["total"], row["suppressed"],
            msgspec.json.decode(row["counts"]), msgspec.json.decode(row["findings"], type=list[Finding]), row["mail"],
            row["reason"])


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()
