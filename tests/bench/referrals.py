"""What the balance costs at a thousand entries of the ledger and at a million, in turn in the same run.

`python -m tests.bench.referrals [--large N] [--rounds N] [--seconds S]`. So many entries are one member's, and as many
more belong to all the others in turn.
"""
from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from server.referrals import queries
from server.storage import Tx
from server.storage.sqlite import open_database
from tests.bench import data
from tests.bench.http import MEMBERS, Requests
from tests.bench.load import request
from tests.bench.processes import LOAD_CORE, foyer
from tests.bench.scale import measure, show

SMALL, READS, PAGE = 1000, 5000, 21
RICH, OTHERS = [1], range(2, MEMBERS + 1)  # members by id
# Entry i is the n-th of its member, and all amounts are 1000.
INSERT = """
    WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $3)
    INSERT INTO ledger (user_id, key, reason, amount, currency, target, balance, at)
    SELECT $1 + i % $2, 'inviter:' || ($1 + i % $2) || ':' || (1 + i / $2), 'inviter_reward', 1000, 'USD', 5,
        1000 * (1 + i / $2), 1 FROM n"""
INSERT_INVITERS = """
    INSERT INTO inviters (user_id, invited, counted, rewarded)
    SELECT l.user_id, 5 * count(*), 5 * count(*), count(*) FROM ledger l GROUP BY l.user_id"""


async def _fill(path: Path, entries: int) -> list[str]:
    tokens = await data.fill(path, MEMBERS, 0)

    async def write(tx: Tx) -> None:
        for members in (RICH, OTHERS):
            await tx.run(INSERT, members[0], len(members), entries)
        await tx.run(INSERT_INVITERS)
    database = await open_database(path)
    await database.write(write)
    await database.close()
    return tokens


async def _reads(path: Path, members: Sequence[int], ledger: bool) -> float:
    """Seconds for a balance, or the first page of a ledger, from the database, in one transaction of many."""
    async def read(tx: Tx) -> float:
        choose = random.Random(1)
        begin = time.perf_counter()
        for _ in range(READS):
            id_ = choose.choice(members)
            if ledger:
                assert await queries.ledger(tx, id_, 2**53, PAGE)
            else:
                found = await queries.standing(tx, id_)
                assert found is not None and found.balance == 1000 * found.tally.rewarded
        return (time.perf_counter() - begin) / READS
    database = await open_database(path)
    try:
        return statistics.median([await database.read(read) for _ in range(5)])
    finally:
        await database.close()


def _asking(path: str, tokens: list[str]) -> Requests:
    return lambda number: itertools.repeat(request("GET", path, tokens[number % len(tokens)]))


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = {entries: Path(folder) / f"{entries}.db" for entries in (SMALL, given.large)}
        tokens = {entries: asyncio.run(_fill(path, entries)) for entries, path in paths.items()}
        reads: dict[str, tuple[Sequence[int], bool]] = {
            "the balance, who has them all": (RICH, False), "the balance, the others": (OTHERS, False),
            "a page of the ledger, who has them all": (RICH, True)}
        for name, (members, ledger) in reads.items():
            show(name, [asyncio.run(_reads(path, members, ledger)) for path in paths.values()])
        rows: dict[str, Callable[[int], Requests]] = {
            "GET /api/referrals, who has them all": lambda size: _asking("/api/referrals", tokens[size][:1]),
            "GET /api/referrals, the others": lambda size: _asking("/api/referrals", tokens[size][1:]),
            "GET /api/referrals/ledger, who has them all": lambda size: _asking(
                "/api/referrals/ledger", tokens[size][:1])}
        with foyer(paths[SMALL]) as small, foyer(paths[given.large]) as large:
            os.sched_setaffinity(0, LOAD_CORE)
            uvloop.run(measure({SMALL: small, given.large: large}, rows, given.rounds, given.seconds))


if __name__ == "__main__":
    main()
