"""The people as one CSV file, read and sent in parts; a cell that a spreadsheet would take for a formula is none."""
from __future__ import annotations

import asyncio
import csv
import io
import re
import unicodedata
from collections.abc import AsyncGenerator, Sequence
from weakref import WeakValueDictionary

from server.people import reading
from server.people.reading import Place
from server.people.wire import Address, Card, FindPeople, Person
from server.storage import Database
from server.web.route import Answer, Call

CSV = "text/csv; charset=utf-8"
AT_ONCE = 100
NAME = 'attachment; filename="foyer-people.csv"'
# Of a person's addresses and cards the first one stands there, and how many there are (see `MOST_OF_EACH`).
HEADER = ("id", "uid", "first_name", "last_name", "username", "email", "phone", "avatar_url", "gender", "birth_date",
          "job_title", "key_skill", "plan", "status", "payment_method", "term", "created_at", "updated_at",
          "addresses", "street_address", "secondary_address", "city", "zip_code", "state", "country",
          "cards", "card_type", "card_last4", "card_expires")
_BEGINS_FORMULA = "=+-@\u2212"
_UNSEEN = re.compile("[\\s\u200b-\u200f\u2060\ufeff]*")  # what a spreadsheet may pass over


class Exporting:
    """GET /api/people/export. Each part is a snapshot, the whole is not. A member's exports go one after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def tell(self, call: Call) -> Answer:
        return Answer(parts=self._parts(call.me.id, call.query), content_type=CSV,
                      headers={"Content-Disposition": NAME})

    async def _parts(self, member_id: int, wanted: FindPeople) -> AsyncGenerator[bytes, None]:
        place: Place | None = None
        async with self._turns.setdefault(member_id, asyncio.Lock()):
            yield lines([HEADER])
            while True:
                people, place = await self._database.read(reading.people, wanted, place, AT_ONCE)
                if people:
                    yield lines([_row(person) for person in people])
                if place is None:
                    return


def lines(rows: Sequence[Sequence[object]]) -> bytes:
    """The rows as RFC 4180 has them, every cell in quotes."""
    made = io.StringIO()
    csv.writer(made, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(
        [harmless(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return made.getvalue().encode()


def harmless(cell: str) -> str:
    """The cell, behind an apostrophe when a spreadsheet would run it: `=`, `+`, `-`, `@`, also wide, small or raised
    ones and behind blanks, or a tab or a line break at its head."""
    seen = _UNSEEN.sub("", cell, count=1)
    is_formula = seen and unicodedata.normalize("NFKC", seen[0])[0] in _BEGINS_FORMULA
    return f"'{cell}" if is_formula or cell[:1] in ("\t", "\r", "\n") else cell


def _row(person: Person) -> list[object]:
    subscription = person.subscription
    return [
        person.id, person.uid, person.first_name, person.last_name, person.username, person.email, person.phone,
        person.avatar_url, person.gender, person.birth_date, person.job_title, person.key_skill, subscription.plan,
        subscription.status, subscription.payment_method, subscription.term, person.created_at, person.updated_at,
        len(person.addresses), *_address(person.addresses), len(person.cards), *_card(person.cards)]


def _address(addresses: list[Address]) -> list[str | None]:
    if not addresses:
        return [None] * 6
    first = addresses[0]
    return [first.street_address, first.secondary_address, first.city, first.zip_code, first.state, first.country]


def _card(cards: list[Card]) -> list[str | None]:
    return [cards[0].type, cards[0].last4, cards[0].expires] if cards else [None] * 3
