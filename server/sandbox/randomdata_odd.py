"""Changes to good records of random-data-api: the double, the missing, the wrong and the malicious.

Each of the first kind takes one record and changes it in place; those of the second take all records of an answer and
give back what is sent.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from server.sandbox.randomdata_records import Record, card_number

MARKER, CARD_MARKER = "m4rker", "67719990"  # in what must never be kept: in texts, and as a card number's beginning
HUGE = "~huge~"  # where a number of thousands of digits is to stand
_LONG = 5000  # a hundred of them still fit into an answer that a client reads
_CHANGES = {"first_name": "Changed", "city": "Changed", "credit_card_type": "changed"}
_NESTED = ("employment", "address", "credit_card", "subscription")
_NUMBERS = ("cc_number", "credit_card_number")
_COORDINATES = ("lat", "lng", "latitude", "longitude")


# -- one record

def changed(record: Record) -> None:
    """A value is another one than before; the keys are the same."""
    record.update({name: value for name, value in _CHANGES.items() if name in record})


def emptied(record: Record) -> None:
    """Only the keys are there; every other leaf is null."""
    for name, value in record.items():
        if isinstance(value, dict):
            emptied(value)
        elif name not in ("id", "uid"):
            record[name] = None


def null_nested(record: Record) -> None:
    """Null in the place of each object inside."""
    record.update({name: None for name in _NESTED if name in record})


def without_nested(record: Record) -> None:
    """No object inside."""
    for name in _NESTED:
        record.pop(name, None)


def without_uid(record: Record) -> None:
    """The key is missing."""
    del record["uid"]


def bad_uid(record: Record) -> None:
    """The key is none."""
    record["uid"] = "not-a-uuid"


def wrong_types(record: Record) -> None:
    """Right names, wrong types; the keys alone are right."""
    odd: tuple[object, ...] = (17, [], {"text": "x"}, True, 3.5, ["x"], "")
    for place, name in enumerate(record):
        if name not in ("id", "uid"):
            record[name] = odd[place % len(odd)]


def odd_numbers(record: Record) -> None:
    """Numbers that JSON does not know, and one of thousands of digits."""
    record["id"] = HUGE
    _each_leaf(record, _COORDINATES, float("nan"))
    _each_leaf(record, ("lng", "longitude"), float("inf"))


def malicious(record: Record) -> None:
    """Formulas, scripts, control characters, overrides, half characters."""
    texts = ("=cmd|' /C calc'!A0", "<script>x</script>", "a\u0000b\u202ec\ud800 \n\t d\u200be\u0007", "@SUM(1+1)",
             "javascript:alert(1)", "' OR 1=1 --", "+1\t2", "-2+3")
    for place, name in enumerate(record):
        if isinstance(record[name], dict):
            malicious(record[name])
        elif isinstance(record[name], str) and name not in ("uid", *_NUMBERS):
            record[name] = texts[place % len(texts)]


def too_long(record: Record) -> None:
    """Five thousand characters where a word should be."""
    record.update({name: "b" * _LONG for name in _CHANGES if name in record})


def non_ascii(record: Record) -> None:
    """Names from other alphabets."""
    names = {"first_name": "Žofie-Ñandú", "last_name": "Ångström 王小明 👩‍🚀", "city": "São Paulo", "street_name": "Łąkowa",
             "credit_card_type": "carte bleue é"}
    record.update({name: value for name, value in names.items() if name in record})
    if isinstance(record.get("address"), dict):
        non_ascii(record["address"])


def leap_day(record: Record) -> None:
    """Born on a 29 February."""
    record["date_of_birth"] = "2004-02-29"


def no_such_day(record: Record) -> None:
    """Born on a 29 February that never was."""
    record["date_of_birth"] = "2023-02-29"


def marked(record: Record) -> None:
    """Markers in all that must never be kept, and in fields that nobody knows; the card numbers are still numbers."""
    number = card_number(CARD_MARKER + f"{int(record['uid'].replace('-', ''), 16) % 10**7:07}")
    _each_leaf(record, _NUMBERS, number)
    _each_leaf(record, ("password", "social_insurance_number"), f"{MARKER}-secret")
    record.update({"cvv": f"{MARKER}-cvv", "secrets": {"pin": [f"{MARKER}-pin"]}, f"{MARKER}_key": number})


def _each_leaf(record: Record, names: Iterable[str], value: object) -> None:
    for name in record:
        if isinstance(record[name], dict):
            _each_leaf(record[name], names, value)
        elif name in names:
            record[name] = value


# -- all of them

def mixed(records: list[Record]) -> list[Any]:
    """Every third is good, every third has lost its key, every third is no record."""
    broken: tuple[object, ...] = (None, 5, "x", [], {}, True, {"error": "no such record"})
    for record in records[1::3]:
        without_uid(record)
    return [broken[place // 3 % len(broken)] if place % 3 == 2 else record for place, record in enumerate(records)]


def with_the_same(*names: str) -> Any:
    """A change that gives all records these values of the first."""
    def change(records: list[Record]) -> list[Record]:
        for record in records:
            record.update({name: records[0][name] for name in names})
        return records
    return change


def linked_by_uid(records: list[Record], users: Iterable[Record]) -> list[Record]:
    """Each has the `uid` of a user who was given before."""
    return _linked(records, users, lambda user: {"uid": user["uid"]})


def linked_by_coordinates(records: list[Record], users: Iterable[Record]) -> list[Record]:
    """Each address lies where a user who was given before lives."""
    return _linked(records, users, lambda user: {
        "latitude": user["address"]["coordinates"]["lat"], "longitude": user["address"]["coordinates"]["lng"]})


def linked_by_number(records: list[Record], users: Iterable[Record]) -> list[Record]:
    """Each card has the number of a user who was given before, written without dashes."""
    return _linked(records, users, lambda user: {
        "credit_card_number": user["credit_card"]["cc_number"].replace("-", "")})


def _linked(records: list[Record], users: Iterable[Record], taken: Any) -> list[Record]:
    for record, user in zip(records, users):
        record.update(taken(user))
    return records
