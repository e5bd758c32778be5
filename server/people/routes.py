"""The routes of people, their addresses and cards."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from server.audit import log as audit
from server.audit.log import Actor
from server.core.errors import Problem
from server.people import reading
from server.people.csv_export import CSV, Exporting
from server.people.linking import unlink
from server.people.model import Linked
from server.people.reading import Place
from server.people.tallies import tally
from server.people.wire import Address, Card, FindPeople, ListLinked, ListPeople, PeopleCounts, Person
from server.storage import Database, Row, Tx
from server.web import cursor, paging
from server.web.route import Answer, Call, Listing, Route

DELETE_PERSON = "DELETE FROM people WHERE id = $1"
_NEWEST, _NAMED = "people", "people_named"  # the kinds of cursors


async def _list(tx: Tx, call: Call) -> Answer:
    query: ListPeople = call.query
    found, place = await reading.people(tx, query, _place(query), query.limit)
    return Answer(Listing(found, _behind(query, place) if place else None))


def _place(query: ListPeople) -> Place | None:
    if query.cursor is None:
        return None
    if query.q is None:
        return Place(cursor.decode(_NEWEST, query.cursor, 1)[0])
    return Place(*cursor.decode_text(_NAMED, query.cursor))


def _behind(query: ListPeople, place: Place) -> str:
    if query.q is None:
        return cursor.encode(_NEWEST, place.id)
    return cursor.encode_text(_NAMED, place.id, place.word)


async def _show(tx: Tx, call: Call) -> Answer:
    found = await reading.whole(tx, [call.id])
    if not found:
        raise _no_such_person()
    return Answer(found[0])


async def _list_addresses(tx: Tx, call: Call) -> Answer:
    return await _page(tx, call.query, "addresses", reading.address)


async def _list_cards(tx: Tx, call: Call) -> Answer:
    return await _page(tx, call.query, "cards", reading.card)


async def _page(tx: Tx, query: ListLinked, what: Linked, made: Callable[[Row], Any]) -> Answer:
    found = await reading.linked(tx, what, query, paging.before(what, query))
    more = None if found.behind is None else cursor.encode(what, found.behind["id"])
    return Answer(Listing([made(row) for row in found.rows], more))


async def _count(tx: Tx, call: Call) -> Answer:
    return Answer(await reading.counts(tx))


async def _delete(tx: Tx, call: Call, prepared: None) -> Answer:
    await tx.lock("people")
    await unlink(tx, call.id)
    if not await tx.run(DELETE_PERSON, call.id):
        raise _no_such_person()
    await tally(tx, {"people": -1})
    await audit.record(tx, "person_deleted", Actor.of(call), target=f"person {call.id}")
    return Answer(status=204)


def _no_such_person() -> Problem:
    return Problem("not_found", "There is no such person.")


def routes(database: Database) -> list[Route]:
    """The declarations."""
    return [
        Route("GET", "/api/people", "The people, newest first; with `q` by their names. A page may have fewer than "
              "`limit` while `next` leads on", "member", Person, query=ListPeople, listing=True,
              problems=("bad_cursor",), load=_list, express=True),
        Route("GET", "/api/people/addresses", "The addresses, newest first, each with whose it is", "member", Address,
              query=ListLinked, listing=True, problems=("bad_cursor",), load=_list_addresses, express=True),
        Route("GET", "/api/people/cards", "The cards, newest first, each with whose it is", "member", Card,
              query=ListLinked, listing=True, problems=("bad_cursor",), load=_list_cards, express=True),
        Route("GET", "/api/people/counts", "How many people, addresses, cards and links there are", "member",
              PeopleCounts, load=_count, express=True),
        Route("GET", "/api/people/export", "The people as CSV; a cell that a spreadsheet could take for a formula "
              "begins with an apostrophe", "member", query=FindPeople, media=CSV, tell=Exporting(database).tell),
        Route("GET", "/api/people/{id}", "A person with their addresses and cards", "member", Person,
              problems=("not_found",), load=_show, express=True),
        Route("DELETE", "/api/admin/people/{id}", "Delete a person; their addresses and cards wait for others, but for "
              "those of the person's own record", "admin", status=204, problems=("not_found",), store=_delete),
    ]
