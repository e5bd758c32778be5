"""The SQL of reading the audit, and of forgetting it."""
from __future__ import annotations

from typing import Any, Literal

import msgspec

from server.audit.model import AuditEntry, ExportedAct, Who
from server.core.clock import iso
from server.storage import Row, Tx
from server.web.windows import SIZE, Window, window

Of = Literal["all", "member", "actor"]

_WINDOW = "SELECT min(id) AS first, count(*) AS n FROM (SELECT id FROM audit WHERE "
_WINDOW_END = "id < $1 ORDER BY id DESC LIMIT $2) AS window_rows"
WINDOW = {
    "all": _WINDOW + _WINDOW_END,
    "member": _WINDOW + "member_id = $3 AND " + _WINDOW_END,
    "actor": _WINDOW + "actor_id = $3 AND " + _WINDOW_END,
}
_ENTRY = """
    SELECT e.id, e.at, e.act, e.actor_id, a.username AS actor, e.member_id, m.username AS member, e.target, e.address,
        e.request_id, e.details
    FROM audit e LEFT JOIN users a ON a.id = e.actor_id LEFT JOIN users m ON m.id = e.member_id WHERE """
_MATCHING = """e.id < $1 AND e.id >= $2 AND (lower(e.act) LIKE $4 ESCAPE '!' OR lower(e.target) LIKE $4 ESCAPE '!')
    ORDER BY e.id DESC LIMIT $3"""
LIST_AUDIT = {
    "all": _ENTRY + _MATCHING,
    "member": _ENTRY + "e.member_id = $5 AND " + _MATCHING,
    "actor": _ENTRY + "e.actor_id = $5 AND " + _MATCHING,
}
_EXPORT = """
    SELECT id, at, act, actor_id, member_id, target, address, request_id, details FROM audit """
EXPORT_ABOUT = _EXPORT + "WHERE member_id = $1 AND id > $2 ORDER BY id LIMIT $3"
EXPORT_BY = _EXPORT + "WHERE actor_id = $1 AND id > $2 ORDER BY id LIMIT $3"
# The id that the client gave its request could say anything, too.
FORGET_ABOUT = "UPDATE audit SET address = NULL, request_id = NULL, details = '{}' WHERE member_id = $1"
FORGET_BY = "UPDATE audit SET address = NULL, request_id = NULL, details = '{}' WHERE actor_id = $1"
PRUNE_AUDIT = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)"


async def window_of(tx: Tx, before: int, of: Of, *who: int) -> Window:
    """What a page of the list behind `before` looks through; `who`: of which member, or by which actor."""
    sql = WINDOW[of]
    return window(await tx.one(sql, before, SIZE, *who), before)


async def newest(tx: Tx, looked: Window, limit: int, pattern: str, of: Of, *who: int) -> list[AuditEntry]:
    """The entries in the window whose act or target is like `pattern`, newest first."""
    sql = LIST_AUDIT[of]
    rows = await tx.all(sql, looked.before, looked.first, limit, pattern, *who)
    return [AuditEntry(row["id"], iso(row["at"]), row["act"], _who(row["actor_id"], row["actor"]),
                       _who(row["member_id"], row["member"]), row["target"], row["address"], row["request_id"],
                       _details(row)) for row in rows]


def _who(id_: int | None, username: str | None) -> Who | None:
    return None if id_ is None else Who(id_, username)


def _details(row: Row) -> dict[str, Any]:
    return msgspec.json.decode(row["details"], type=dict[str, Any])


async def exported(tx: Tx, member_id: int, after: int, limit: int) -> list[ExportedAct]:
    """What the member did and what concerns them, behind an entry, as it is exported."""
    about = await tx.all(EXPORT_ABOUT, member_id, after, limit)
    rows = {row["id"]: row for row in [*about, *await tx.all(EXPORT_BY, member_id, after, limit)]}
    return [_exported(rows[id_], member_id) for id_ in sorted(rows)[:limit]]


def _exported(row: Row, member_id: int) -> ExportedAct:
    by_other = row["actor_id"] not in (None, member_id)
    return ExportedAct(
        row["id"], iso(row["at"]), row["act"],
        "administrator" if by_other else "unknown" if row["actor_id"] is None else "you",
        row["member_id"] == member_id, row["target"], None if by_other else row["address"],
        None if by_other else row["request_id"], _details(row))


async def forget(tx: Tx, member_id: int) -> None:
    """Takes all that is personal out of what concerns a member who leaves, and out of what they did."""
    await tx.run(FORGET_ABOUT, member_id)
    await tx.run(FORGET_BY, member_id)


async def prune(tx: Tx, before: int, most: int) -> int:
    """Forgets the oldest entries from before a time, at most so many; returns how many."""
    return await tx.run(PRUNE_AUDIT, before, most)
