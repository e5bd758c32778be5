"""A SQLite file with many people, written directly: as many imports would have left it, in a small part of the time.

Each person carries an address and a card; the first half of them also have one of each by adoption, the others wait.
Names are spread as the source spreads them: some thousand first and some hundred last names.
"""
from __future__ import annotations

import asyncio
import hashlib
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from server.people.words import fold, words
from server.storage import Database
from server.storage.connection import sqlite
from server.storage.sqlite import open_database

NOW = 1_750_000_000_000
GENDERS = ("Female", "Male", "Agender", "Bigender", "Genderqueer", "Non-binary", "Polygender", "Genderfluid")
COUNTRIES = tuple(f"Country {number}" for number in range(240)) + ("Åland Islands",)
RARE = "Åland Islands"
_TABLES = ("people", "person_words", "addresses", "cards")
_AT_ONCE = 50_000
INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?"


def fill(path: Path, people: int) -> None:
    """Makes the file, or fills the one that a server has just made."""
    asyncio.run(_made(path))
    raw = sqlite.connect(str(path), isolation_level=None)
    raw.execute("PRAGMA journal_mode=OFF")
    raw.execute("PRAGMA synchronous=OFF")
    raw.execute("PRAGMA foreign_keys=OFF")
    indexes = [row for table in _TABLES for row in raw.execute(INDEXES, (table,))]
    for name, _ in indexes:
        raw.execute(f"DROP INDEX {name}")
    raw.execute("BEGIN")
    for begin in range(0, people, _AT_ONCE):
        _write(raw, range(begin + 1, min(begin + _AT_ONCE, people) + 1), people)
    raw.executemany("INSERT OR REPLACE INTO tallies (name, n, at) VALUES (?, ?, ?)", [
        (name, n, NOW) for name, n in tallies(people).items()])
    for _, sql in indexes:
        raw.execute(sql)
    raw.execute("COMMIT")
    raw.close()


def tallies(people: int) -> dict[str, int]:
    """How many there are of what."""
    adopted = people // 2
    both = {f"{what}{rest}": n for what in ("addresses", "cards")
            for rest, n in (("", adopted), (" adopted", adopted), (" embedded", people))}
    return {"people": people, **both}


async def measured(paths: list[Path], rounds: int,
                   measure: Callable[[list[Database], int], Awaitable[None]]) -> None:
    """Opens the files, and gives them to `measure`."""
    databases: list[Database] = [await open_database(path) for path in paths]
    try:
        await measure(databases, rounds)
    finally:
        for database in databases:
            await database.close()


async def _made(path: Path) -> None:
    await (await open_database(path)).close()


def _write(raw: sqlite.Connection, numbers: range, people: int) -> None:
    _insert(raw, "people", (_person(number, number <= people // 2) for number in numbers))
    _insert(raw, "person_words", itertools.chain.from_iterable(map(_words, numbers)))
    adopted = range(numbers.start, min(numbers.stop, people // 2 + 1))
    _insert(raw, "addresses", itertools.chain((_address(number, people) for number in adopted),
                                              (_embedded_address(number) for number in numbers)))
    _insert(raw, "cards", itertools.chain((_card(number, people) for number in adopted),
                                          (_embedded_card(number) for number in numbers)))


def _insert(raw: sqlite.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Whole rows, in the order of the table's columns."""
    columns = len(raw.execute(f"SELECT * FROM {table} LIMIT 0").description)
    raw.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})", rows)


def names(number: int) -> tuple[str, str, str]:
    """First name, last name and user name of a person."""
    first, last = _first()[number * 7919 % len(_first())], _last()[number * 104729 % len(_last())]
    return first, last, f"{first}.{last}".lower()


@cache
def _first() -> list[str]:
    syllables = itertools.product("A B C D E F G H J K L M N R S T".split(), "a e i o u".split(),
                                  "da la mir na ra ri sa ta".split(), ("", "h", "n", "s", "lo"))
    return ["".join(each) for each in syllables]


@cache
def _last() -> list[str]:
    return ["".join(each) for each in itertools.product("Ba Do Fe Gu Ha Ke La Mo Ne Po Ri So Tu Wa".split(),
                                                        "ck der gan ler man n rt son x".split(), ("", "er", "s"))]


def uid(kind: str, number: int) -> str:
    """The id in the source of a person, an address or a card."""
    return str(uuid.UUID(bytes=hashlib.md5(f"{kind} {number}".encode(), usedforsecurity=False).digest(), version=4))


def country(number: int) -> str:
    """Where a person lives: one in a hundred thousand in `RARE`."""
    return RARE if number % 100_000 == 1 else COUNTRIES[number % 240]


def _person(number: int, adopts: bool) -> tuple[Any, ...]:
    first, last, username = names(number)
    gender, where = GENDERS[number % len(GENDERS)], country(number)
    return (number, uid("person", number), first, last, username, f"{username}@email.com", "+47 555-010-7788 x12",
            f"https://robohash.org/{number}.png?size=300x300&set=set1", gender, "1987-02-28", "Forward Clerk",
            "Teamwork", "Gold", "Active", "Cheque", "Annual", where, fold(gender), _fold(where), int(not adopts),
            int(not adopts), NOW, NOW)


_fold = cache(fold)


def _words(number: int) -> Iterator[tuple[int, int, str]]:
    return ((number, kind, word) for kind, word in _known_words(*names(number)).items())


_known_words = cache(words)


def _place(number: int) -> tuple[int, int]:
    return number % 180_000_000 - 90_000_000, number * 31 % 360_000_000 - 180_000_000


def _address(number: int, people: int) -> tuple[Any, ...]:
    return (people + number, uid("address", number), number, "adopted", "12 Kiln Row", "Apt. 4", "North Vale",
            "55555-0001", "Ohio", "United States", "NO", "Europe/Belgrade", *_place(people + number), NOW, NOW)


def _embedded_address(number: int) -> tuple[Any, ...]:
    return (number, None, number, "embedded", "7 Mill Lane", None, "South Vale", "55555-0002", "Ohio",
            country(number), None, None, *_place(number), NOW, NOW)


def fingerprint(kind: str, number: int) -> bytes:
    """What stands for the number of a card."""
    return hashlib.sha256(f"{kind} {number}".encode()).digest()


def _card(number: int, people: int) -> tuple[Any, ...]:
    return (people + number, uid("card", number), number, "adopted", "visa", f"{number % 10_000:04}", "2027-02-28",
            fingerprint("card", number), NOW, NOW)


def _embedded_card(number: int) -> tuple[Any, ...]:
    return (number, None, number, "embedded", None, f"{number % 10_000:04}", None, fingerprint("embedded", number),
            NOW, NOW)
