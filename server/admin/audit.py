"""What an administrator sees of the audit."""
from __future__ import annotations

from server.audit import queries
from server.audit.model import Acts, AuditEntry
from server.audit.queries import Of
from server.core.errors import FieldError
from server.storage import Tx
from server.web import paging, windows
from server.web.bodies import invalid
from server.web.route import Answer, Call, Route


async def _list(tx: Tx, call: Call) -> Answer:
    query: Acts = call.query
    of, who = _of(query)
    before = paging.before("audit", query)
    looked = await queries.window_of(tx, before, of, *who) if query.q else windows.everything(before)
    found = await queries.newest(tx, looked, query.limit + 1, windows.pattern(query.q or ""), of, *who)
    return Answer(windows.listing("audit", query.limit, found, looked))


def _of(query: Acts) -> tuple[Of, tuple[int, ...]]:
    if query.member_id is not None and query.actor_id is not None:
        raise invalid([FieldError("actor_id", "not_both", "cannot be given together with member_id")])
    if query.member_id is not None:
        return "member", (query.member_id,)
    return ("all", ()) if query.actor_id is None else ("actor", (query.actor_id,))


def routes() -> list[Route]:
    """The declarations."""
    return [
        Route("GET", "/api/admin/audit", "What administrators did and what concerns the safety of accounts, newest "
              "first; about a member, or by one; with `q` as a part of the act or its target", "admin", AuditEntry,
              query=Acts, listing=True, problems=("bad_cursor",), load=_list),
    ]
