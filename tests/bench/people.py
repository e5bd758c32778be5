"""What it takes to import a hundred records beside a thousand people and beside a million.

`python -m tests.bench.people [--large N] [--rounds N]`. The time of the whole transaction, from the
records as they came to the commit on the disk, and what of it the processor was busy: on a machine that does other
things too, only that tells something. Half of the people wait for an address and a card. The file system's cache is
warm, because the file has just been written.
"""
from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.ops import check
from server.people.model import Counts, What
from server.people.service import Importing
from server.storage import Database
from tests.bench import people_data

SMALL, BATCH = 1000, 100
Records = list[dict[str, Any]]


def users(first: int) -> Records:
    """New people, each with an address and a card."""
    return [{"uid": people_data.uid("new person", number), "first_name": names[0], "last_name": names[1],
             "username": names[2], "email": f"{names[2]}@email.com", "phone_number": "+47 555-010-7788 x12",
             "avatar": f"https://robohash.org/{number}.png?size=300x300&set=set1", "gender": "Agender",
             "date_of_birth": "1987-02-28", "employment": {"title": "Forward Clerk", "key_skill": "Teamwork"},
             "address": {"city": "South Vale", "street_address": "7 Mill Lane", "zip_code": "55555-0002",
                         "state": "Ohio", "country": "Norway", "coordinates": place(number)},
             "credit_card": {"cc_number": card_number(number)},
             "subscription": {"plan": "Gold", "status": "Active", "payment_method": "Cheque", "term": "Annual"}}
            for number in range(first, first + BATCH) for names in (people_data.names(number),)]


def moved(first: int) -> Records:
    """The same people with another name, address and card each."""
    return [{**user, "username": user["username"] + "2", "credit_card": {"cc_number": card_number(number + 1)},
             "address": {"city": "North Vale", "coordinates": place(number + 1)}}
            for number, user in enumerate(users(first), first)]


def addresses(first: int) -> Records:
    """New addresses: some of a person by their uid, some by their place, the others of whoever waits."""
    return [{"uid": own(number, "address"), "street_address": "12 Kiln Row", "city": "North Vale",
             "latitude": place(number + number % 3)["lat"], "longitude": place(number)["lng"]}
            for number in range(first, first + BATCH)]


def cards(first: int) -> Records:
    """New cards, likewise."""
    return [{"uid": own(number, "card"), "credit_card_number": card_number(number + number % 3 * 10**9),
             "credit_card_type": "visa", "credit_card_expiry_date": "2027-02-28"}
            for number in range(first, first + BATCH)]


def own(number: int, kind: str) -> str:
    """The uid of one that is a person's for every third."""
    return people_data.uid("new person" if number % 3 == 1 else f"new {kind}", number)


def place(number: int) -> dict[str, float]:
    """Where the person of this number lives."""
    return {"lat": number % 90_000 / 1000 + 0.0005, "lng": number % 180_000 / 1000 + 0.0005}


def card_number(number: int) -> str:
    """The number of their card."""
    return f"4000{number:012}"


RUNS: tuple[tuple[str, What, Callable[[int], Records]], ...] = (
    ("new people", "users", users), ("the same again", "users", users), ("the same, moved", "users", moved),
    ("people as they were", "users", users),
    ("new addresses", "addresses", addresses), ("the same again", "addresses", addresses),
    ("new cards", "cards", cards), ("the same again", "cards", cards))


async def measure(databases: list[Database], rounds: int) -> None:
    """Prints a line for each kind of run; each round brings other records."""
    importing = Importing("the key of the fingerprints in a benchmark")
    for name, what, records in RUNS:
        taken: list[list[tuple[float, float]]] = [[] for _ in databases]
        for turn, (database, times) in itertools.product(range(rounds), zip(databases, taken)):
            came = records(1 + turn * BATCH)
            begin, busy = time.perf_counter(), time.process_time()
            counts = await imported(importing, database, what, came)
            times.append((time.perf_counter() - begin, time.process_time() - busy))
        show(f"{name} ({counts.added} new, {counts.changed} changed, {counts.linked} linked)", taken)
    for database in databases:
        assert await database.read(check.broken) == []


async def imported(importing: Importing, database: Database, what: What, records: Records) -> Counts:
    """What a run does once the answer is there."""
    return await database.write(importing.store, what, importing.take(what, records))


def show(name: str, taken: list[list[tuple[float, float]]]) -> None:
    """Prints the medians at the small and at the large one: of the whole time, of the busy time; and the longest."""
    small, large = ([*(1000 * statistics.median(each) for each in zip(*times)), 1000 * max(times)[0]]
                    for times in taken)
    print(f"{name:56} " + "   ".join(f"{whole:6.1f} ms (busy {busy:5.1f}, longest {longest:6.1f})"
                                     for whole, busy, longest in (small, large)), flush=True)


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "small.db", Path(folder) / "large.db"]
        for path, people in zip(paths, (SMALL, given.large)):
            people_data.fill(path, people)
        asyncio.run(people_data.measured(paths, given.rounds, measure))


if __name__ == "__main__":
    main()
