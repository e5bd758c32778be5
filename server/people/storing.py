"""Writes imported records: what is new, and what has changed. A uid that comes again is the same record."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar, cast

from server.people import linking, tallies
from server.people.fingerprint import SIZE
from server.people.many import keys, many
from server.people.model import Counts, Linked, New, NewAddress, NewCard, NewPerson, Taken, What
from server.people.words import USERNAME, words
from server.storage import Row, Tx

N = TypeVar("N")
Revised = Mapping[int, tuple[NewPerson | None, NewPerson]]  # by id: what was known before, and what is to be known

_PERSON = """first_name, last_name, username, email, phone, avatar_url, gender, birth_date, job_title, key_skill, plan,
        plan_status, payment_method, plan_term, country, gender_key, country_key"""
_ADDRESS = """street_address, secondary_address, city, zip_code, state, country, country_code, time_zone, latitude,
        longitude"""
_CARD = "type, last4, expires, fingerprint"
_ADDRESS_VALUES = """value ->> 'street_address', value ->> 'secondary_address', value ->> 'city', value ->> 'zip_code',
        value ->> 'state', value ->> 'country', value ->> 'country_code', value ->> 'time_zone',
        CAST(value ->> 'latitude' AS BIGINT), CAST(value ->> 'longitude' AS BIGINT)"""
_SET_ADDRESS = """DO UPDATE SET street_address = excluded.street_address,
        secondary_address = excluded.secondary_address, city = excluded.city, zip_code = excluded.zip_code,
        state = excluded.state, country = excluded.country, country_code = excluded.country_code,
        time_zone = excluded.time_zone, latitude = excluded.latitude, longitude = excluded.longitude,
        updated_at = excluded.updated_at"""
# JSON has no bytes: the fingerprints of all cards are given in one piece, each of SIZE bytes.
_CARD_VALUES = """value ->> 'type', value ->> 'last4', value ->> 'expires',
        substr($3 /* postgres: ::bytea */, CAST(value ->> 'at' AS INTEGER), 32)"""
_SET_CARD = """DO UPDATE SET type = excluded.type, last4 = excluded.last4, expires = excluded.expires,
        fingerprint = excluded.fingerprint, updated_at = excluded.updated_at"""

KNOWN_PEOPLE = """
    SELECT p.id, p.uid, e.id AS address_id, c.id AS card_id, p.first_name, p.last_name, p.username, p.email, p.phone,
        p.avatar_url, p.gender, p.birth_date, p.job_title, p.key_skill, p.plan, p.plan_status, p.payment_method,
        p.plan_term, p.country, p.gender_key, p.country_key, e.street_address, e.secondary_address, e.city, e.zip_code,
        e.state, e.country, e.country_code, e.time_zone, e.latitude, e.longitude, c.type, c.last4, c.expires,
        c.fingerprint
    FROM json_each($1) AS asked JOIN people p ON p.uid = asked.key
        LEFT JOIN addresses e ON e.person_id = p.id AND e.link_rule = 'embedded'
        LEFT JOIN cards c ON c.person_id = p.id AND c.link_rule = 'embedded'"""
KNOWN: Mapping[Linked, str] = {
    "addresses": """
        SELECT a.id, a.uid, a.person_id, a.street_address, a.secondary_address, a.city, a.zip_code, a.state, a.country,
            a.country_code, a.time_zone, a.latitude, a.longitude
        FROM json_each($1) AS asked JOIN addresses a ON a.uid = asked.key""",
    "cards": """
        SELECT c.id, c.uid, c.person_id, c.type, c.last4, c.expires, c.fingerprint
        FROM json_each($1) AS asked JOIN cards c ON c.uid = asked.key"""}
PUT_PEOPLE = """
    INSERT INTO people (uid, """ + _PERSON + """, created_at, updated_at)
    SELECT key, value ->> 'first_name', value ->> 'last_name', value ->> 'username', value ->> 'email',
        value ->> 'phone', value ->> 'avatar_url', value ->> 'gender', value ->> 'birth_date', value ->> 'job_title',
        value ->> 'key_skill', value ->> 'plan', value ->> 'plan_status', value ->> 'payment_method',
        value ->> 'plan_term', value ->> 'country', value ->> 'gender_key', value ->> 'country_key', $2, $2
    FROM json_each($1) WHERE true
    ON CONFLICT (uid) DO UPDATE SET first_name = excluded.first_name, last_name = excluded.last_name,
        username = excluded.username, email = excluded.email, phone = excluded.phone, avatar_url = excluded.avatar_url,
        gender = excluded.gender, birth_date = excluded.birth_date, job_title = excluded.job_title,
        key_skill = excluded.key_skill, plan = excluded.plan, plan_status = excluded.plan_status,
        payment_method = excluded.payment_method, plan_term = excluded.plan_term, country = excluded.country,
        gender_key = excluded.gender_key, country_key = excluded.country_key, updated_at = excluded.updated_at
    RETURNING id, uid"""
PUT_WORDS = """
    INSERT INTO person_words (person_id, kind, word)
    SELECT CAST(value ->> 'person_id' AS BIGINT), CAST(value ->> 'kind' AS BIGINT), value ->> 'word'
    FROM json_each($1) WHERE true
    ON CONFLICT (person_id, kind) DO UPDATE SET word = excluded.word"""
DELETE_USERNAME = "DELETE FROM person_words WHERE person_id = $1 AND kind = $2"
PUT_ADDRESSES = """
    INSERT INTO addresses (uid, """ + _ADDRESS + """, created_at, updated_at)
    SELECT key, """ + _ADDRESS_VALUES + """, $2, $2 FROM json_each($1) WHERE true
    ON CONFLICT (uid) """ + _SET_ADDRESS + " RETURNING id, person_id"
PUT_CARDS = """
    INSERT INTO cards (uid, """ + _CARD + """, created_at, updated_at)
    SELECT key, """ + _CARD_VALUES + """, $2, $2 FROM json_each($1) WHERE true
    ON CONFLICT (uid) """ + _SET_CARD + " RETURNING id, person_id"
EMBED_ADDRESSES = """
    INSERT INTO addresses (person_id, link_rule, """ + _ADDRESS + """, created_at, updated_at)
    SELECT CAST(key AS BIGINT), 'embedded', """ + _ADDRESS_VALUES + """, $2, $2 FROM json_each($1) WHERE true
    ON CONFLICT (person_id) WHERE link_rule = 'embedded' """ + _SET_ADDRESS
EMBED_CARDS = """
    INSERT INTO cards (person_id, link_rule, """ + _CARD + """, created_at, updated_at)
    SELECT CAST(key AS BIGINT), 'embedded', """ + _CARD_VALUES + """, $2, $2 FROM json_each($1) WHERE true
    ON CONFLICT (person_id) WHERE link_rule = 'embedded' """ + _SET_CARD
DELETE_EMBEDDED_ADDRESSES = """
    DELETE FROM addresses
    WHERE link_rule = 'embedded' AND person_id IN (SELECT CAST(key AS BIGINT) FROM json_each($1))"""
DELETE_EMBEDDED_CARDS = """
    DELETE FROM cards
    WHERE link_rule = 'embedded' AND person_id IN (SELECT CAST(key AS BIGINT) FROM json_each($1))"""
_PERSON_FIELDS, _ADDRESS_FIELDS = len(_PERSON.split(",")), len(_ADDRESS.split(","))


async def store(tx: Tx, what: What, taken: Taken) -> Counts:
    """Stores and links what was taken."""
    await tx.lock("people")  # one import at a time: what is known stays as it is until the commit
    counts = Counts(rejected=sum(taken.rejected.values()), reasons=taken.rejected)
    changes: Counter[str] = Counter()
    if what == "users":
        people = await _put_people(tx, cast(list[tuple[str, NewPerson]], taken.records), counts, changes)
        counts.linked = await linking.link_people(tx, people, changes)
    else:
        unlinked = await _put_linked(tx, what, taken.records, counts, changes)
        counts.linked = await linking.link_records(tx, what, unlinked, changes)
    await tallies.tally(tx, changes)
    return counts


def _news(known: Mapping[str, N], records: Sequence[tuple[str, N]], counts: Counts) -> dict[str, N]:
    """What is to be written. A record may come twice: the second is compared with the first."""
    news: dict[str, N] = {}
    for uid, record in records:
        before = news.get(uid) or known.get(uid)
        if before == record:
            counts.unchanged += 1
            continue
        if before is None:
            counts.added += 1
        else:
            counts.changed += 1
        news[uid] = record
    return news


async def _put_people(tx: Tx, records: Sequence[tuple[str, NewPerson]], counts: Counts,
                      changes: Counter[str]) -> list[int]:
    """The ids of all people of the run, also of those about whom there is nothing new."""
    rows = await tx.all(KNOWN_PEOPLE, keys(uid for uid, _ in records))
    people = {row["uid"]: row["id"] for row in rows}
    known = {row["uid"]: _known_person(row) for row in rows}
    news = _news(known, records, counts)
    if news:
        people |= {row["uid"]: row["id"] for row in await tx.all(PUT_PEOPLE, many(news), tx.now)}
        changes["people"] += len(news.keys() - known.keys())
        revised = {people[uid]: (known.get(uid), person) for uid, person in news.items()}
        await _write_words(tx, revised)
        await _embed(tx, revised, changes)
    return list(people.values())


def _known_person(row: Row) -> NewPerson:
    _, _, address_id, card_id, *values = row
    own, rest = values[:_PERSON_FIELDS], values[_PERSON_FIELDS:]
    own.append(None if address_id is None else NewAddress(*rest[:_ADDRESS_FIELDS]))
    own.append(None if card_id is None else NewCard(*rest[_ADDRESS_FIELDS:]))
    return NewPerson(*own)


async def _write_words(tx: Tx, revised: Revised) -> None:
    found = {person_id: _words(person) for person_id, (before, person) in revised.items()
             if before is None or _words(before) != _words(person)}
    rows = [{"person_id": person_id, "kind": kind, "word": word}
            for person_id, each in found.items() for kind, word in each.items()]
    await tx.run(PUT_WORDS, many(dict(enumerate(rows))))
    for person_id, (before, person) in revised.items():  # hardly ever anybody
        if before is not None and before.username is not None and person.username is None:
            await tx.run(DELETE_USERNAME, person_id, USERNAME)


def _words(person: NewPerson) -> dict[int, str]:
    return words(person.first_name, person.last_name, person.username)


async def _embed(tx: Tx, revised: Revised, changes: Counter[str]) -> None:
    """Brings the rows of what people's own records carry to what the records say now."""
    addresses = _carried(revised, attrgetter("address"))
    await tx.run(EMBED_ADDRESSES, many(addresses.put), tx.now)
    cards = _carried(revised, attrgetter("card"))
    rows, fingerprints = _cards(cards.put)
    await tx.run(EMBED_CARDS, rows, tx.now, fingerprints)
    await tx.run(DELETE_EMBEDDED_ADDRESSES, keys(addresses.gone))
    await tx.run(DELETE_EMBEDDED_CARDS, keys(cards.gone))
    changes["addresses embedded"] += addresses.added - len(addresses.gone)
    changes["cards embedded"] += cards.added - len(cards.gone)


@dataclass(slots=True)
class _Carried:
    """What is new of what people's records carry, by the ids of the people."""

    put: dict[int, Any] = field(default_factory=dict)
    gone: list[int] = field(default_factory=list)
    added: int = 0  # how many of `put` carried none before


def _carried(revised: Revised, part: Callable[[NewPerson], Any]) -> _Carried:
    found = _Carried()
    for person_id, (old, new) in revised.items():
        before, now = None if old is None else part(old), part(new)
        if now is None and before is not None:
            found.gone.append(person_id)
        elif now != before:
            found.put[person_id] = now
            found.added += before is None
    return found


async def _put_linked(tx: Tx, what: Linked, records: Sequence[tuple[str, New]], counts: Counts,
                      changes: Counter[str]) -> list[int]:
    """The ids of those of the run that are not linked."""
    find_known = KNOWN[what]
    rows = await tx.all(find_known, keys(uid for uid, _ in records))
    known = {row["uid"]: _known_linked(what, row) for row in rows}
    news = _news(known, records, counts)
    if what == "addresses":
        put = await tx.all(PUT_ADDRESSES, many(news), tx.now)
    else:
        rows_of_cards, fingerprints = _cards(cast(dict[str, NewCard], news))
        put = await tx.all(PUT_CARDS, rows_of_cards, tx.now, fingerprints)
    added = len(news.keys() - known.keys())
    changes.update({what: added, f"{what} unlinked": added})
    return list(dict.fromkeys(row["id"] for row in (*rows, *put) if row["person_id"] is None))


def _known_linked(what: Linked, row: Row) -> New:
    _, _, _, *values = row
    return NewAddress(*values) if what == "addresses" else NewCard(*values)


def _cards(cards: Mapping[Any, NewCard]) -> tuple[str, bytes]:
    """Cards as the arguments of a statement: the rows, and the fingerprints that they point into."""
    rows = {key: {"type": card.type, "last4": card.last4, "expires": card.expires, "at": 1 + number * SIZE}
            for number, (key, card) in enumerate(cards.items())}
    return many(rows), b"".join(card.fingerprint for card in cards.values())
