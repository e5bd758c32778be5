"""What a feed costs at a thousand posts and at a million, in turn in the same run.

`python -m tests.bench.scale [--large N] [--rounds N] [--seconds S]`. A thousand posts are soon all in memory, a million
are not: so the pages that nobody has asked for are also compared as the database gives them.
"""
from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from server.posts import queries
from server.posts.memory import kept
from server.posts.queries import Place
from server.storage import Tx
from server.storage.sqlite import open_database
from tests.bench import data, load
from tests.bench.http import MEMBERS, Requests, Rows
from tests.bench.processes import LOAD_CORE, Server, foyer

SMALL, PAGES = 1000, 2000


async def measure(servers: dict[int, Server], rows: dict[str, Callable[[int], Requests]], rounds: int,
                  seconds: float) -> None:
    """Prints what each kind of request costs a small and a large server, in turn."""
    for name, requests_at in rows.items():
        costs: dict[int, list[float]] = {posts: [] for posts in servers}
        for _ in range(rounds):
            for posts, server in servers.items():
                before = server.cpu()
                result = await load.run(server.port, requests_at(posts), seconds)
                result.cpu = server.cpu() - before
                assert not result.failures
                costs[posts].append(result.cost)
        show(name, [statistics.median(each) for each in costs.values()])


def show(name: str, costs: list[float]) -> None:
    """Prints a row: seconds at the small and at the large one, and their ratio."""
    small, large = costs
    print(f"{name:44} {1e6 * small:7.1f} us {1e6 * large:7.1f} us  ratio {large / small:.2f}")


async def _pages(path: Path, posts: int) -> float:
    """Seconds for a page from the database, in one transaction of many."""
    async def read(tx: Tx) -> float:
        choose = random.Random(1)
        begin = time.perf_counter()
        for _ in range(PAGES):
            view = await queries.view(tx, None, False, False, Place(choose.randrange(100, posts), 0), 21, 1)
            assert [kept(queries.made(row)) for row in await queries.feed(tx, view)]
        return (time.perf_counter() - begin) / PAGES
    database = await open_database(path)
    try:
        await database.read(read)
        return await database.read(read)
    finally:
        await database.close()


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = {posts: Path(folder) / f"{posts}.db" for posts in (SMALL, given.large)}
        made = {posts: Rows(asyncio.run(data.fill(path, MEMBERS, posts)), posts) for posts, path in paths.items()}
        show("a page from the database", [asyncio.run(_pages(path, posts)) for posts, path in paths.items()])
        rows: dict[str, Callable[[int], Requests]] = {
            "feed of 20, signed in": lambda posts: made[posts].feed(),
            "one post, signed in": lambda posts: made[posts].post(),
            "feed, never asked for": lambda posts: made[posts].cold_feed()}
        with foyer(paths[SMALL]) as small, foyer(paths[given.large]) as large:
            os.sched_setaffinity(0, LOAD_CORE)
            uvloop.run(measure({SMALL: small, given.large: large}, rows, given.rounds, given.seconds))


if __name__ == "__main__":
    main()
