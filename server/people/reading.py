"""Finds people, addresses and cards, page by page."""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from server.core.clock import iso
from server.people.many import keys
from server.people.model import Linked
from server.people.wire import (
    Address, Card, FindPeople, Links, ListLinked, PeopleCounts, Person, Subscription, Unlinked,
)
from server.people.words import fold, fold_or_none
from server.storage import Row, Tx
from server.web.fields import MAX_ID

MOST_OF_EACH = 100  # addresses and cards that are shown with a person
# How many rows a page looks through for those that fit, in parts. Whoever asks for what is rare among what is frequent
# gets short pages, some without an item, instead of one that takes long.
MORE_PARTS = (100, 300)
_BEHIND_ALL = "\U0010ffff"  # no character, now and for ever

_FOUND = "SELECT p.id, p.gender_key, p.country_key FROM people p WHERE "
_NEWEST_FIRST = "p.id < $1 ORDER BY p.id DESC LIMIT $2"
NEWEST_PEOPLE = _FOUND + _NEWEST_FIRST
PEOPLE_OF_GENDER = _FOUND + "p.gender_key = $3 AND " + _NEWEST_FIRST
PEOPLE_OF_COUNTRY = _FOUND + "p.country_key = $3 AND " + _NEWEST_FIRST
# Each person stands where the first of their words that begins so stands: the name, the name the other way round, or
# the user name. Whether there is an earlier one is looked up by the person: the || '' keeps a planner from the words.
_NAMED = """
    SELECT w.word, w.person_id AS id, w.kind > 0 AND EXISTS (
            SELECT 1 FROM person_words o
            WHERE o.person_id = w.person_id AND o.kind < w.kind AND o.word || '' >= $4 AND o.word || '' < $3
        ) AS elsewhere"""
_IN_ORDER = """
    FROM person_words w WHERE (w.word, w.person_id) > ($1, $2) AND w.word < $3
    ORDER BY w.word, w.person_id, w.kind LIMIT $5"""
PEOPLE_NAMED = _NAMED + _IN_ORDER
# Not joined: PostgreSQL would rather go through all people than look a few hundred up.
PEOPLE_NAMED_WITH_KEYS = _NAMED + """,
        (SELECT p.gender_key FROM people p WHERE p.id = w.person_id) AS gender_key,
        (SELECT p.country_key FROM people p WHERE p.id = w.person_id) AS country_key""" + _IN_ORDER
PEOPLE = """
    SELECT p.id, p.uid, p.first_name, p.last_name, p.username, p.email, p.phone, p.avatar_url, p.gender, p.birth_date,
        p.job_title, p.key_skill, p.plan, p.plan_status, p.payment_method, p.plan_term, p.created_at, p.updated_at
    FROM json_each($1) AS page JOIN people p ON p.id = CAST(page.key AS BIGINT)"""
_ADDRESS = """
    SELECT a.id, a.uid, a.person_id, a.link_rule, a.street_address, a.secondary_address, a.city, a.zip_code, a.state,
        a.country, a.country_code, a.time_zone, a.latitude, a.longitude, a.created_at """
_CARD = "SELECT c.id, c.uid, c.person_id, c.link_rule, c.type, c.last4, c.expires "
# Of each person those up to the hundredth, if there are so many.
ADDRESSES_OF_PAGE = _ADDRESS + """
    FROM json_each($1) AS page JOIN addresses a ON a.person_id = CAST(page.key AS BIGINT) AND a.id <= COALESCE((
        SELECT x.id FROM addresses x WHERE x.person_id = CAST(page.key AS BIGINT)
        ORDER BY x.id LIMIT 1 OFFSET $2 - 1), $3)"""
CARDS_OF_PAGE = _CARD + """
    FROM json_each($1) AS page JOIN cards c ON c.person_id = CAST(page.key AS BIGINT) AND c.id <= COALESCE((
        SELECT x.id FROM cards x WHERE x.person_id = CAST(page.key AS BIGINT)
        ORDER BY x.id LIMIT 1 OFFSET $2 - 1), $3)"""
NEWEST = {
    "addresses": _ADDRESS + "FROM addresses a WHERE a.id < $1 ORDER BY a.id DESC LIMIT $2",
    "cards": _CARD + "FROM cards c WHERE c.id < $1 ORDER BY c.id DESC LIMIT $2"}
UNLINKED = {
    "addresses": _ADDRESS + "FROM addresses a WHERE a.person_id IS NULL AND a.id < $1 ORDER BY a.id DESC LIMIT $2",
    "cards": _CARD + "FROM cards c WHERE c.person_id IS NULL AND c.id < $1 ORDER BY c.id DESC LIMIT $2"}
OF_PERSON = {
    "addresses": _ADDRESS + "FROM addresses a WHERE a.person_id = $3 AND a.id < $1 ORDER BY a.id DESC LIMIT $2",
    "cards": _CARD + "FROM cards c WHERE c.person_id = $3 AND c.id < $1 ORDER BY c.id DESC LIMIT $2"}
TALLIES = "SELECT name, n FROM tallies"


class Place(NamedTuple):
    """Where a page of people begins: behind this person, and with `q` behind this word of theirs."""

    id: int
    word: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A page, and the row that the next one stands behind; None when nothing is left."""

    rows: list[Row]
    behind: Row | None


Read = Callable[[Row | None, int], Awaitable[Sequence[Row]]]  # so many rows behind one


async def sift(read: Read, keep: Callable[[Row], bool], limit: int) -> Found:
    """The next rows that are kept: `limit` of them, if they are found among the first hundreds."""
    kept: list[Row] = []
    last: Row | None = None
    for size in (limit + 1, *MORE_PARTS):
        rows = await read(last, size)
        kept += [row for row in rows if keep(row)]
        if len(kept) > limit:
            return Found(kept[:limit], kept[limit - 1])
        if len(rows) < size:
            return Found(kept, None)
        last = rows[-1]
    return Found(kept, last)


async def people(tx: Tx, wanted: FindPeople, place: Place | None, limit: int) -> tuple[list[Person], Place | None]:
    """The people behind a place, and where the page behind them begins."""
    by_name = wanted.q is not None
    found = await (_named if by_name else _newest)(tx, wanted, place, limit)
    behind = found.behind
    following = None if behind is None else Place(behind["id"], behind["word"] if by_name else "")
    return await whole(tx, [row["id"] for row in found.rows]), following


async def _newest(tx: Tx, wanted: FindPeople, place: Place | None, limit: int) -> Found:
    gender, country = fold_or_none(wanted.gender), fold_or_none(wanted.country)

    async def read(last: Row | None, size: int) -> Sequence[Row]:
        before = last["id"] if last else place.id if place else MAX_ID
        if country is not None:
            return await tx.all(PEOPLE_OF_COUNTRY, before, size, country)
        if gender is not None:
            return await tx.all(PEOPLE_OF_GENDER, before, size, gender)
        return await tx.all(NEWEST_PEOPLE, before, size)
    return await sift(read, lambda row: _fits(row, gender, country), limit)


async def _named(tx: Tx, wanted: FindPeople, place: Place | None, limit: int) -> Found:
    gender, country, prefix = fold_or_none(wanted.gender), fold_or_none(wanted.country), fold(wanted.q or "")
    begin = max((prefix, 0), (place.word, place.id) if place else ("", 0))

    async def read(last: Row | None, size: int) -> Sequence[Row]:
        word, id_ = (last["word"], last["id"]) if last else begin
        sql = PEOPLE_NAMED if gender is None and country is None else PEOPLE_NAMED_WITH_KEYS
        return await tx.all(sql, word, id_, prefix + _BEHIND_ALL, prefix, size)
    return await sift(read, lambda row: not row["elsewhere"] and _fits(row, gender, country), limit)


def _fits(row: Row, gender: str | None, country: str | None) -> bool:
    return (gender is None or row["gender_key"] == gender) and (country is None or row["country_key"] == country)


async def whole(tx: Tx, ids: list[int]) -> list[Person]:
    """The people of these ids who are there, in this order."""
    if not ids:
        return []
    page = keys(ids)
    found = {row["id"]: _person(row) for row in await tx.all(PEOPLE, page)}
    for row in sorted(await tx.all(ADDRESSES_OF_PAGE, page, MOST_OF_EACH, MAX_ID), key=_id):
        found[row["person_id"]].addresses.append(address(row))
    for row in sorted(await tx.all(CARDS_OF_PAGE, page, MOST_OF_EACH, MAX_ID), key=_id):
        found[row["person_id"]].cards.append(card(row))
    return [found[id_] for id_ in ids if id_ in found]


def _id(row: Row) -> int:
    return int(row["id"])


def _person(row: Row) -> Person:
    *plain, plan, status, payment_method, term, created_at, updated_at = row
    subscription = Subscription(plan, status, payment_method, term)
    return Person(*[*plain, subscription, iso(created_at), iso(updated_at), [], []])


def address(row: Row) -> Address:
    """The address of a row."""
    *plain, latitude, longitude, created_at = row
    return Address(*[*plain, _degrees(latitude), _degrees(longitude), iso(created_at)])


def _degrees(millionths: int | None) -> float | None:
    return None if millionths is None else millionths / 1_000_000


def card(row: Row) -> Card:
    """The card of a row."""
    return Card(*row)


async def linked(tx: Tx, what: Linked, wanted: ListLinked, before: int) -> Found:
    """The addresses or cards behind one, as rows."""
    of_person = OF_PERSON[what]
    of_all = UNLINKED[what] if wanted.linked is False else NEWEST[what]

    async def read(last: Row | None, size: int) -> Sequence[Row]:
        start = last["id"] if last else before
        if wanted.person_id is not None:
            return await tx.all(of_person, start, size, wanted.person_id)
        return await tx.all(of_all, start, size)
    return await sift(read, lambda row: wanted.linked in (None, row["person_id"] is not None), wanted.limit)


async def counts(tx: Tx) -> PeopleCounts:
    """How many there are, as it was counted when they came and went."""
    n = {row["name"]: row["n"] for row in await tx.all(TALLIES)}

    def by(rule: str) -> int:
        return sum(n.get(f"{what} {rule}", 0) for what in ("addresses", "cards"))
    return PeopleCounts(
        n.get("people", 0), n.get("addresses", 0), n.get("cards", 0),
        Unlinked(n.get("addresses unlinked", 0), n.get("cards unlinked", 0)),
        Links(by("uid"), by("embedded"), by("coordinates"), by("card"), by("adopted")))
