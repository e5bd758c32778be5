"""The records of random-data-api, invented: every fresh sandbox gives the same ones in the same order.

The parts of a record are drawn one by one, as theirs are: city, state and country need not fit each other, and an id,
a user name or an e-mail address may come twice. Only a `uid` is one record's own.
"""
from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.sandbox.people import makers

if TYPE_CHECKING:
    from faker import Faker

Record = dict[str, Any]

_REMEMBERED = 1000
_GENDERS = ("Agender", "Bigender", "Female", "Genderfluid", "Genderqueer", "Male", "Non-binary", "Polygender")
_STATES = (("Alaska", "AK"), ("Georgia", "GA"), ("Iowa", "IA"), ("Maine", "ME"), ("Ohio", "OH"), ("Utah", "UT"))
_CARD_TYPES = {"visa": "4", "mastercard": "53", "american_express": "37", "dankort": "5019",
               "forbrugsforeningen": "600722", "switch": "6759"}
_SKILLS = ("Communication", "Networking skills", "Self-motivated", "Teamwork", "Work under pressure")
_PLANS = ("Basic", "Bronze", "Business", "Gold", "Platinum", "Starter")
_STATUSES = ("Active", "Blocked", "Idle", "Pending")
_METHODS = ("Bitcoins", "Cheque", "Debit card", "Money transfer", "Visa checkout")
_TERMS = ("Annual", "Monthly", "Payment in advance")


class Source:
    """Makes records: the n-th request for a kind of them gives the same ones in every sandbox."""

    def __init__(self) -> None:
        self.users: deque[Record] = deque(maxlen=_REMEMBERED)  # that were given, the newest first
        self._requests: Counter[str] = Counter()

    async def following(self, what: str, size: int) -> list[Record]:
        """The records of the next request."""
        self._requests[what] += 1
        records = await _request(what, self._requests[what], size)
        if what == "users":
            self.users.extendleft(reversed(records))
        return records

    async def again(self, what: str, size: int) -> list[Record]:
        """The records of the request before, or of the first."""
        return await _request(what, max(1, self._requests[what]), size)


async def _request(what: str, number: int, size: int) -> list[Record]:
    maker, *_ = await makers()
    records = []
    for place in range(size):
        dice = random.Random(f"{what} {number} {place}")
        maker.seed_instance(dice.getrandbits(64))
        records.append(_MAKES[what](dice, maker))
        await asyncio.sleep(0)  # the loop may be the one that serves Foyer itself
    return records


def card_number(begin: str) -> str:
    """The digits with the check digit that makes them a card number."""
    # Every second digit counts double, from the last one on, since the check digit follows it.
    doubled = (int(digit) * 2 if place % 2 == 0 else int(digit) for place, digit in enumerate(reversed(begin)))
    return f"{begin}{-sum(value - 9 if value > 9 else value for value in doubled) % 10}"


def _key(dice: random.Random) -> Record:
    return {"id": dice.randrange(10_000), "uid": str(UUID(int=dice.getrandbits(128), version=4))}


def _user(dice: random.Random, maker: Faker) -> Record:
    given, family = maker.first_name(), maker.last_name()
    username = ".".join("".join(ch for ch in name.lower() if ch.isalpha()) for name in (given, family))
    return _key(dice) | {
        "password": f"{dice.getrandbits(60):x}", "first_name": given, "last_name": family, "username": username,
        "email": f"{username}@email.com", "gender": dice.choice(_GENDERS),
        "avatar": f"https://robohash.org/{dice.getrandbits(50):x}.png?size=300x300&set=set1",
        "phone_number": f"+{dice.randrange(1, 999)} 555-{dice.randrange(1000):03}-{dice.randrange(10_000):04} x12",
        "social_insurance_number": f"{dice.randrange(10**9):09}",
        "date_of_birth": f"{dice.randrange(1955, 2008)}-{_month_and_day(dice)}",
        "employment": {"title": maker.job(), "key_skill": dice.choice(_SKILLS)},
        "address": _embedded_address(dice, maker), "credit_card": {"cc_number": _number(dice, "4")},
        "subscription": {"plan": dice.choice(_PLANS), "status": dice.choice(_STATUSES),
                         "payment_method": dice.choice(_METHODS), "term": dice.choice(_TERMS)},
    }


def _embedded_address(dice: random.Random, maker: Faker) -> Record:
    street = maker.street_name()
    return {"city": maker.city(), "street_name": street, "street_address": f"{dice.randrange(1, 999)} {street}",
            "zip_code": _zip(dice), "state": dice.choice(_STATES)[0], "country": maker.country(),
            "coordinates": {"lat": dice.uniform(-90, 90), "lng": dice.uniform(-180, 180)}}


def _address(dice: random.Random, maker: Faker) -> Record:
    street, city, country, number = maker.street_name(), maker.city(), maker.country(), dice.randrange(1, 999)
    return _key(dice) | {
        "city": city, "street_name": street, "street_address": f"{number} {street}",
        "secondary_address": f"Apt. {dice.randrange(1, 99)}", "building_number": str(number),
        "mail_box": f"PO Box {dice.randrange(1, 999)}", "community": f"{maker.last_name()} Court",
        "zip_code": _zip(dice), "zip": _zip(dice), "postcode": _zip(dice), "time_zone": maker.timezone(),
        "street_suffix": maker.street_suffix(), "city_suffix": maker.city_suffix(), "city_prefix": maker.city_prefix(),
        "state": dice.choice(_STATES)[0], "state_abbr": dice.choice(_STATES)[1], "country": country,
        "country_code": maker.country_code(), "latitude": dice.uniform(-90, 90), "longitude": dice.uniform(-180, 180),
        "full_address": f"{number} {street}, {city}, {country}",
    }


def _card(dice: random.Random, _: Faker) -> Record:
    kind = dice.choice(list(_CARD_TYPES))
    return _key(dice) | {
        "credit_card_number": _number(dice, _CARD_TYPES[kind]),
        "credit_card_expiry_date": f"{dice.randrange(2024, 2032)}-{_month_and_day(dice)}", "credit_card_type": kind,
    }


def _number(dice: random.Random, begin: str) -> str:
    digits = card_number(begin + "".join(dice.choices("0123456789", k=15 - len(begin))))
    return digits if dice.random() < 0.3 else "-".join(digits[at:at + 4] for at in range(0, 16, 4))


def _zip(dice: random.Random) -> str:
    zip_code = f"{dice.randrange(100_000):05}"
    return zip_code if dice.random() < 0.5 else f"{zip_code}-{dice.randrange(10_000):04}"


def _month_and_day(dice: random.Random) -> str:
    return f"{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}"


_MAKES: dict[str, Callable[[random.Random, Faker], Record]] = {"users": _user, "addresses": _address, "cards": _card}
