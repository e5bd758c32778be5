"""The members as everybody sees them: never an address, never a birthday."""
from __future__ import annotations

import re

from server.accounts import queries
from server.accounts.model import People, Profile
from server.core.errors import Problem
from server.storage import Tx
from server.web import cursor
from server.web.fields import MAX_ID
from server.web.route import Answer, Call, Listing, Route

_NAME = re.compile("[a-zA-Z0-9_.-]{3,30}")


async def _list(tx: Tx, call: Call) -> Answer:
    query: People = call.query
    found = await (_newest(tx, query) if query.q is None else _named(tx, query, queries.name_key(query.q)))
    more = _cursor(query, found[query.limit - 1]) if len(found) > query.limit else None
    return Answer(Listing(found[:query.limit], more))


async def _newest(tx: Tx, query: People) -> list[Profile]:
    before = cursor.decode("members", query.cursor, 1)[0] if query.cursor else MAX_ID
    return await queries.newest(tx, before, query.limit + 1)


async def _named(tx: Tx, query: People, prefix: str) -> list[Profile]:
    after = cursor.decode_word("names", query.cursor) if query.cursor else None
    return await queries.by_name(tx, prefix, after, query.limit + 1)


def _cursor(query: People, last: Profile) -> str:
    if query.q is None:
        return cursor.encode("members", last.id)
    return cursor.encode_word("names", queries.name_key(last.username))


async def _show(tx: Tx, call: Call) -> Answer:
    found = await queries.public_profile(tx, call.name) if _NAME.fullmatch(call.name) else None
    if found is None:
        raise Problem("not_found", "There is no member of this name.")
    return Answer(found)


def routes() -> list[Route]:
    """The declarations."""
    return [
        Route("GET", "/api/users", "The members, newest first; with `q` by name", "open", Profile, query=People,
              listing=True, problems=("bad_cursor",), load=_list, express=True),
        Route("GET", "/api/users/{username}", "A member's public profile", "open", Profile, problems=("not_found",),
              load=_show),
    ]
