"""People, addresses and cards written directly, as an import would leave them."""
from __future__ import annotations

import itertools
from typing import Any

from server.people.words import fold, words
from server.storage import Tx
from tests.support import Served

_NUMBERS = itertools.count(1)
INSERT_PERSON = """
    INSERT INTO people (uid, first_name, last_name, username, email, phone, avatar_url, gender, birth_date, job_title,
        key_skill, plan, plan_status, payment_method, plan_term, country, gender_key, country_key, created_at,
        updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) RETURNING id"""
INSERT_WORD = "INSERT INTO person_words (person_id, kind, word) VALUES ($1, $2, $3)"
INSERT_ADDRESS = """
    INSERT INTO addresses (uid, person_id, link_rule, street_address, city, country, country_code, time_zone, latitude,
        longitude, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id"""
INSERT_CARD = """
    INSERT INTO cards (uid, person_id, link_rule, type, last4, expires, fingerprint, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id"""
SET_TALLY = """
    INSERT INTO tallies (name, n, at) VALUES ($1, $2, 0) ON CONFLICT (name) DO UPDATE SET n = $2"""


def uid() -> str:
    """An id that the source has not given before."""
    return f"00000000-0000-4000-8000-{next(_NUMBERS):012}"


async def add_person(tx: Tx, first: str = "Ada", last: str = "Lovelace", username: str | None = None,
                     **more: Any) -> int:
    """Adds a person with their words; their id."""
    given = {"email": None, "phone": None, "avatar_url": None, "gender": None, "birth_date": None, "job_title": None,
             "key_skill": None, "plan": None, "plan_status": None, "payment_method": None, "plan_term": None,
             "country": None, **more}
    keys = [None if given[name] is None else fold(given[name]) for name in ("gender", "country")]
    id_ = int(await tx.value(INSERT_PERSON, uid(), first, last, username, *given.values(), *keys, tx.now, tx.now))
    for kind, word in words(first, last, username).items():
        await tx.run(INSERT_WORD, id_, kind, word)
    return id_


async def add_address(tx: Tx, person_id: int | None = None, rule: str | None = None, city: str | None = "North Vale",
                      place: tuple[int, int] | tuple[None, None] = (None, None)) -> int:
    """Adds an address; its id. One that a record carries has no id of the source."""
    own = None if rule == "embedded" else uid()
    return int(await tx.value(INSERT_ADDRESS, own, person_id, rule, "12 Kiln Row", city, "Norway", "NO", "Europe/Oslo",
                              *place, tx.now, tx.now))


async def add_card(tx: Tx, person_id: int | None = None, rule: str | None = None, last4: str = "0004") -> int:
    """Adds a card; its id."""
    own = None if rule == "embedded" else uid()
    return int(await tx.value(INSERT_CARD, own, person_id, rule, "visa", last4, "2027-02-28", last4.encode(), tx.now,
                              tx.now))


async def set_tallies(tx: Tx, tallies: dict[str, int]) -> None:
    """Writes how many there are."""
    for name, n in tallies.items():
        await tx.run(SET_TALLY, name, n)


async def people(server: Served, *names: tuple[str, ...], **more: Any) -> list[int]:
    """Adds people of these names; their ids."""
    async def add(tx: Tx) -> list[int]:
        return [await add_person(tx, *each, **more) for each in names]
    return await server.foyer.database.write(add)


async def some(server: Served) -> None:
    """Two people, each with an address and a card."""
    async def add(tx: Tx) -> None:
        for name in ("Ada", "Alan"):
            id_ = await add_person(tx, name)
            await add_address(tx, id_, "uid")
            await add_card(tx, id_, "uid")
    await server.foyer.database.write(add)


async def walked(server: Served, token: str, path: str, limit: int = 3, **params: str) -> list[Any]:
    """All items of a list, page by page."""
    found: list[Any] = []
    more: dict[str, str] | None = {}
    while more is not None:
        answer = await server.api.get(path, token=token, params={"limit": str(limit), **params, **more})
        assert len(answer.data) <= limit
        found += answer.data
        more = {"cursor": answer.body["next"]} if answer.body["next"] else None
    return found
