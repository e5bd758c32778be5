"""A database that imports, and records for it."""
from __future__ import annotations

from typing import Any
from uuid import UUID

from server.ops import check
from server.people import linking, tallies
from server.people.model import Counts, What
from server.people.service import Importing
from server.storage import Database, Tx
from tests.events.support import Moment
from tests.people.imports import CARD_KEY, uid

DELETE_PERSON = "DELETE FROM people WHERE id = $1"
ADDRESSES = """
    SELECT coalesce(a.uid, 'embedded') AS uid, p.uid AS of_uid, a.link_rule FROM addresses a
    LEFT JOIN people p ON p.id = a.person_id ORDER BY a.id"""
CARDS = ADDRESSES.replace("addresses", "cards")
Link = tuple[int, str] | None  # whose it is, by which rule


class House:
    """A database that imports."""

    def __init__(self, database: Database, moment: Moment) -> None:
        self.database, self.moment, self.importing = database, moment, Importing(CARD_KEY)

    async def run(self, what: What, *records: Any) -> Counts:
        """A run of an import, a second later than the one before; afterwards everything holds."""
        self.moment.ms += 1000
        taken = self.importing.take(what, records)
        counts = await self.database.write(self.importing.store, what, taken)
        assert counts.added + counts.changed + counts.unchanged == len(taken.records)
        await self.holds()
        return counts

    async def delete(self, number: int) -> None:
        """A person goes, as an administrator lets them."""
        async def write(tx: Tx) -> None:
            await tx.lock("people")
            person = await tx.value("SELECT id FROM people WHERE uid = $1", uid(number))
            await linking.unlink(tx, person)
            assert await tx.run(DELETE_PERSON, person) == 1
            await tallies.tally(tx, {"people": -1})
        await self.database.write(write)
        await self.holds()

    async def holds(self) -> None:
        """What `check` proves."""
        assert await self.database.read(check.broken) == []

    async def rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        """Rows of the database."""
        async def read(tx: Tx) -> list[dict[str, Any]]:
            return [dict(row) for row in await tx.all(sql, *args)]
        return await self.database.read(read)

    async def links(self, sql: str = ADDRESSES) -> dict[int, Link]:
        """Of each address or card that is not a person's from the beginning: whose it is, by which rule."""
        return {UUID(row["uid"]).int: row["of_uid"] and (UUID(row["of_uid"]).int, row["link_rule"])
                for row in await self.rows(sql) if row["uid"] != "embedded"}


def user(number: int, lat: float | None = None, card: str | None = None, **fields: Any) -> dict[str, Any]:
    """A user, with an address at the latitude and with the card, if they are given."""
    coordinates = None if lat is None else {"lat": lat, "lng": 2.5}
    return {"uid": uid(number), "first_name": "Ada", "last_name": f"Lovelace {number}", "username": f"ada{number}",
            "address": coordinates and {"city": "North Vale", "country": "Norway", "coordinates": coordinates},
            "credit_card": {"cc_number": card}, **fields}


def address(number: int, lat: float | None = None, **fields: Any) -> dict[str, Any]:
    """An address."""
    return {"uid": uid(number), "city": "South Vale", "latitude": lat, "longitude": 2.5, **fields}


def card(number: int, digits: str = "9" * 16, **fields: Any) -> dict[str, Any]:
    """A card."""
    return {"uid": uid(number), "credit_card_number": digits, "credit_card_type": "visa", **fields}


def number(last: int) -> str:
    """The number of a card that ends so."""
    return f"40000000{last:08}"
