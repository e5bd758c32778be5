"""The way in for records of the source: what may be kept of them, and nothing else.

A record is read field by field, each by its name: what is not asked for here (passwords, social insurance numbers, and
whatever the source may add) is never looked at. What is wrong with a record is said in fixed words, never with a value
of it. A null is as good as nothing.
"""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from server.people.fingerprint import Fingerprint
from server.people.model import New, NewAddress, NewCard, NewPerson, Taken, What
from server.people.numbers import without_card_numbers
from server.people.words import fold_or_none
from server.providers.text import plain, web_url

MOST = 255  # characters of a text
_UID = re.compile(r"[0-9A-Za-z_.:-]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BETWEEN_DIGITS = re.compile(r"[\s-]+")
_NO_DIGIT = re.compile(r"[^0-9]+")
_NUMBER = re.compile(r"[0-9]{13,19}")
_NOTHING: Mapping[str, Any] = {}


class Unusable(Exception):
    """Why a record is rejected: the field and what is wrong, without its value."""


class Fields:
    """The fields of an object, read one by one; a field of the wrong kind raises `Unusable`."""

    def __init__(self, given: Mapping[str, Any], path: str = "", numbers: list[str] | None = None) -> None:
        self._given, self._path = given, path
        self.numbers: list[str] = [] if numbers is None else numbers  # of cards, that were read of the whole record

    def text(self, name: str) -> str | None:
        """A text of one line, without what looks like the number of a card; None when there is none."""
        value = self.string(name)
        if value is not None and len(value) > MOST:
            raise self.unusable(name, "too long")
        kept = plain(value, MOST)
        # Redacted and not rejected: one digit run in ten passes for a card number, and a long telephone number must not
        # cost a person.
        return None if kept is None else without_card_numbers(kept)

    def name(self, name: str) -> str:
        """A text that must be there."""
        value = self.text(name)
        if value is None:
            raise self.unusable(name, "missing")
        return value

    def uid(self) -> str:
        """What the source tells records apart by: a UUID, in one spelling, or another short name."""
        value = self.string("uid")
        if value is None:
            raise self.unusable("uid", "missing")
        if _UUID.fullmatch(value):
            return value.lower()
        if not _UID.fullmatch(value) or without_card_numbers(value) != value:
            raise self.unusable("uid", "not an identifier")
        return value

    def date(self, name: str) -> str | None:
        """A day that was or will be."""
        value = self.string(name)
        if value is None:
            return None
        try:
            if _DATE.fullmatch(value) and date.fromisoformat(value):
                return value
        except ValueError:
            pass
        raise self.unusable(name, "not a date")

    def digits(self, name: str) -> str | None:
        """The number of a card: it goes into a fingerprint, and no further."""
        value = self.string(name)
        if value is None:
            return None
        digits = _BETWEEN_DIGITS.sub("", value)
        if not _NUMBER.fullmatch(digits):
            raise self.unusable(name, "not a card number")
        self.numbers.append(digits)
        return digits

    def degrees(self, name: str, most: int) -> int | None:
        """Millionths of a degree: whole numbers, so that equal to six decimals is equal."""
        value = self._given.get(name)
        if value is None:
            return None
        # NaN is not between them either.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -most <= value <= most:
            raise self.unusable(name, "not a coordinate")
        return round(round(value, 6) * 1_000_000)

    def string(self, name: str) -> str | None:
        """A string as it came."""
        value = self._given.get(name)
        if value is not None and not isinstance(value, str):
            raise self.unusable(name, "not a text")
        return value

    def object(self, name: str) -> Fields:
        """The object in a field; one without fields when there is none."""
        value = self._given.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.unusable(name, "not an object")
        return Fields(value or _NOTHING, f"{self._path}{name}.", self.numbers)

    def unusable(self, name: str, what: str) -> Unusable:
        """What is wrong with a field."""
        return Unusable(f"{self._path}{name}: {what}")


def take(what: What, records: Sequence[object], fingerprint: Fingerprint) -> Taken:
    """What may be kept of the records; each is judged on its own."""
    read = _READERS[what]
    good: list[tuple[str, New]] = []
    rejected: Counter[str] = Counter()
    for record in records:
        try:
            fields = _fields(record)
            uid, new = fields.uid(), read(fields, fingerprint)
            _expect_no_number(fields.numbers, uid, new)
            good.append((uid, new))
        except Unusable as unusable:
            rejected[str(unusable)] += 1
    return Taken(good, dict(rejected))


def _expect_no_number(numbers: Sequence[str], uid: str, new: New) -> None:
    """The number of the record's own card may stand in none of its texts, whether it passes for one or not."""
    texts = [_NO_DIGIT.sub("", text) for text in (uid, *_texts(new))]
    if any(number in text for number in numbers for text in texts):
        raise Unusable("the number of its card stands in another field")


def _texts(new: object) -> Iterator[str]:
    """All texts of what is to be stored."""
    for name in getattr(new, "__slots__", ()):
        value = getattr(new, name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, (NewAddress, NewCard)):
            yield from _texts(value)


def _fields(record: object) -> Fields:
    if not isinstance(record, dict):
        raise Unusable("not an object")
    return Fields(record)


def _person(fields: Fields, fingerprint: Fingerprint) -> NewPerson:
    employment, subscription = fields.object("employment"), fields.object("subscription")
    address = _embedded_address(fields.object("address"))
    gender, country = fields.text("gender"), None if address is None else address.country
    return NewPerson(
        first_name=fields.name("first_name"), last_name=fields.name("last_name"), username=fields.text("username"),
        email=fields.text("email"), phone=fields.text("phone_number"), avatar_url=_avatar(fields.string("avatar")),
        gender=gender, birth_date=fields.date("date_of_birth"), job_title=employment.text("title"),
        key_skill=employment.text("key_skill"), plan=subscription.text("plan"),
        plan_status=subscription.text("status"), payment_method=subscription.text("payment_method"),
        plan_term=subscription.text("term"), country=country, gender_key=fold_or_none(gender),
        country_key=fold_or_none(country), address=address,
        card=_embedded_card(fields.object("credit_card"), fingerprint))


def _avatar(url: str | None) -> str | None:
    """A picture that cannot be shown is no reason to do without the person."""
    safe = web_url(url, MOST)
    return safe if safe is not None and without_card_numbers(safe) == safe else None


def _embedded_address(fields: Fields) -> NewAddress | None:
    latitude, longitude = _place(fields.object("coordinates"), "lat", "lng")
    found = NewAddress(street_address=fields.text("street_address"), city=fields.text("city"),
                       zip_code=fields.text("zip_code"), state=fields.text("state"), country=fields.text("country"),
                       latitude=latitude, longitude=longitude)
    return None if found == NewAddress() else found


def _place(fields: Fields, latitude: str, longitude: str) -> tuple[int | None, int | None]:
    """Half a place is none."""
    found = fields.degrees(latitude, 90), fields.degrees(longitude, 180)
    return (None, None) if None in found else found


def _embedded_card(fields: Fields, fingerprint: Fingerprint) -> NewCard | None:
    digits = fields.digits("cc_number")
    return None if digits is None else NewCard(None, digits[-4:], None, fingerprint.of(digits))


def _address(fields: Fields, fingerprint: Fingerprint) -> NewAddress:
    latitude, longitude = _place(fields, "latitude", "longitude")
    return NewAddress(
        street_address=fields.text("street_address"), secondary_address=fields.text("secondary_address"),
        city=fields.text("city"), zip_code=fields.text("zip_code"), state=fields.text("state"),
        country=fields.text("country"), country_code=fields.text("country_code"), time_zone=fields.text("time_zone"),
        latitude=latitude, longitude=longitude)


def _card(fields: Fields, fingerprint: Fingerprint) -> NewCard:
    digits = fields.digits("credit_card_number")
    if digits is None:
        raise fields.unusable("credit_card_number", "missing")
    return NewCard(fields.text("credit_card_type"), digits[-4:], fields.date("credit_card_expiry_date"),
                   fingerprint.of(digits))


_READERS: Mapping[What, Callable[[Fields, Fingerprint], New]] = {
    "users": _person, "addresses": _address, "cards": _card}
