"""What it takes to read a page of people at a thousand and at a million of them.

`python -m tests.bench.people_search [--large N] [--rounds N] [--keep FILE]`. The time of one page as the database gives
it, with its addresses and cards: the first page of a list, and the worst of a walk along it. The file system's cache is
warm: each walk was walked once before.
"""
from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from server.people import reading
from server.people.reading import Place
from server.people.wire import FindPeople, ListLinked
from server.storage import Database, Tx
from server.web.fields import MAX_ID
from tests.bench import people_data

SMALL, LIMIT, WALKED = 1000, 20, 40
FIRST, LAST, _ = people_data.names(1)
ROWS: dict[str, FindPeople] = {
    "the newest": FindPeople(),
    "of a gender": FindPeople(gender="Female"),
    "of a country": FindPeople(country="country 7"),
    "of a country with one in 100 000": FindPeople(country=people_data.RARE),
    "of a country and a gender": FindPeople(country="country 7", gender="Genderfluid"),
    "of a country and a gender that never meet": FindPeople(country="country 7", gender="Male"),
    "named: one letter": FindPeople(q="a"),
    "named: another letter": FindPeople(q="m"),
    "named: a blank, so everybody": FindPeople(q=" "),
    "named: a first name": FindPeople(q=FIRST),
    "named: a last name": FindPeople(q=LAST),
    "named: first and last name": FindPeople(q=f"{FIRST} {LAST}"),
    "named: nobody": FindPeople(q="zz"),
    "named: one letter, of a gender": FindPeople(q="a", gender="Female"),
    "named: one letter, of a country": FindPeople(q="a", country="country 7"),
    "named: one letter, of the rare country": FindPeople(q="a", country=people_data.RARE),
}
LISTS: dict[str, ListLinked] = {
    "the newest": ListLinked(), "linked": ListLinked(linked=True), "not linked": ListLinked(linked=False),
    "of a person": ListLinked(person_id=7), "of a person, not linked": ListLinked(person_id=7, linked=False),
}


async def walk(tx: Tx, wanted: FindPeople) -> list[float]:
    """Seconds for each page of the beginning of a list."""
    place: Place | None = None
    taken = []
    for _ in range(WALKED):
        begin = time.perf_counter()
        _, place = await reading.people(tx, wanted, place, LIMIT)
        taken.append(time.perf_counter() - begin)
        if place is None:
            break
    return taken


async def listed(tx: Tx, wanted: ListLinked) -> list[float]:
    """Seconds for a page of addresses."""
    begin = time.perf_counter()
    found = await reading.linked(tx, "addresses", wanted, MAX_ID)
    assert [reading.address(row) for row in found.rows] is not None
    return [time.perf_counter() - begin]


async def measure(databases: list[Database], rounds: int) -> None:
    """Prints a line for each kind of page."""
    for name, wanted in ROWS.items():
        for database in databases:
            await database.read(walk, wanted)
        show(name, [[await database.read(walk, wanted) for _ in range(rounds)] for database in databases])
    for name, one in LISTS.items():
        for database in databases:
            await database.read(listed, one)
        show(f"addresses: {name}", [[await database.read(listed, one) for _ in range(rounds)]
                                    for database in databases])


def show(name: str, found: list[list[list[float]]]) -> None:
    """The first page and the worst one, at the small and at the large one; of each page the median of the rounds."""
    pages = [[1000 * statistics.median(taken) for taken in zip(*each)] for each in found]
    firsts, worsts = [each[0] for each in pages], [max(each) for each in pages]
    print(f"{name:44} first {firsts[0]:7.2f} ms {firsts[1]:7.2f} ms   worst {worsts[0]:7.2f} ms {worsts[1]:7.2f} ms",
          flush=True)


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", type=Path, help="where the large file is, or is to stay")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.db", given.keep or Path(folder) / "large.db"
        people_data.fill(small, SMALL)
        if not large.exists():
            begin = time.perf_counter()
            people_data.fill(large, given.large)
            print(f"{given.large} people in {time.perf_counter() - begin:.0f} s, {large.stat().st_size / 1e6:.0f} MB")
        asyncio.run(people_data.measured([small, large], given.rounds, measure))


if __name__ == "__main__":
    main()
