"""Members and posts as administrators see them; suspending, and taking that back."""
from __future__ import annotations

from server.accounts import queries as accounts
from server.accounts.gate import Gate
from server.admin import queries
from server.admin.model import KnownMember, Members, Posts
from server.audit import log
from server.audit.log import Actor
from server.core.errors import Problem
from server.posts.model import Post
from server.storage import Tx, member_lock
from server.web import paging, windows
from server.web.route import Answer, Call, Route


class Suspending:
    """POST /api/admin/users/{id}/suspend and restore. Doing it twice changes nothing."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def suspend(self, tx: Tx, call: Call, prepared: None) -> Answer:
        if call.id == call.me.id:
            raise Problem("own_account", "Nobody can suspend themselves; another administrator can.")
        await _lock_both(tx, call)
        if await queries.suspend(tx, call.id):
            # Sign-ins take the same lock, so there is none on its way that this does not see.
            await self._gate.end_after_commit(tx, await accounts.end_other_sessions(tx, call.id, 0))
            await log.record(tx, "member_suspended", Actor.of(call), call.id)
        return Answer(await _existing(tx, call.id))

    async def restore(self, tx: Tx, call: Call, prepared: None) -> Answer:
        await _lock_both(tx, call)
        if await queries.restore(tx, call.id):
            await log.record(tx, "member_restored", Actor.of(call), call.id)
        return Answer(await _existing(tx, call.id))


async def _lock_both(tx: Tx, call: Call) -> None:
    """Holds both members, in one order everywhere; raises Problem 403 when the one who asks is no administrator any
    more: of two who suspend each other one stays."""
    for member_id in sorted({call.id, call.me.id}):
        await tx.lock(member_lock(member_id))
    if not await queries.is_administrator(tx, call.me.id):
        raise Problem("forbidden", "This is for administrators.")


async def _existing(tx: Tx, member_id: int) -> KnownMember:
    member = await queries.member(tx, member_id)
    if member is None:
        raise Problem("not_found", "There is no such member.")
    return member


async def list_members(tx: Tx, call: Call) -> Answer:
    """GET /api/admin/users. Who is called so to the letter stands first, however long ago they came."""
    query: Members = call.query
    before = paging.before("member", query)
    if query.q is None:
        return Answer(paging.newest_first("member", query, await queries.members(tx, before, query.limit + 1)))
    exact = await queries.member_called(tx, query.q)
    ahead = [exact] if exact is not None and query.cursor is None else []
    found, looked = await queries.members_with(tx, query.q, before, query.limit + 1, exact.id if exact else 0)
    return Answer(windows.listing("member", query.limit, found, looked, ahead))


async def list_posts(tx: Tx, call: Call) -> Answer:
    """GET /api/admin/posts."""
    query: Posts = call.query
    before = paging.before("any-post", query)
    if query.q is None:
        found = await queries.newest_posts(tx, before, query.limit + 1, call.me.id)
        return Answer(paging.newest_first("any-post", query, found))
    some, looked = await queries.posts_with(tx, query.q, before, query.limit + 1, call.me.id)
    return Answer(windows.listing("any-post", query.limit, some, looked))


def routes(gate: Gate) -> list[Route]:
    """The declarations."""
    suspending = Suspending(gate)
    return [
        Route("GET", "/api/admin/users", "The members, newest first, with `q` as a part of a name or of the address; "
              "who is called so to the letter stands before them; a page may be short while `next` leads on", "admin",
              KnownMember, query=Members, listing=True, problems=("bad_cursor",), load=list_members),
        Route("POST", "/api/admin/users/{id}/suspend", "Suspend a member: their sessions end, their tokens are refused "
              "and their sockets closed at once", "admin", KnownMember, problems=("not_found", "own_account"),
              store=suspending.suspend),
        Route("POST", "/api/admin/users/{id}/restore", "Take a suspension back; the member signs in anew", "admin",
              KnownMember, problems=("not_found",), store=suspending.restore),
        Route("GET", "/api/admin/posts", "The posts, newest first, with `q` as a part of the title or of the author's "
              "name; a page may be short while `next` leads on", "admin", Post, query=Posts, listing=True,
              problems=("bad_cursor",), load=list_posts),
    ]
