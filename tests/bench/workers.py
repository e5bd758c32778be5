"""Two server processes on one port beside one, on PostgreSQL, with both cores free for all.

`python -m tests.bench.workers [--rounds N] [--seconds S]`. The load and PostgreSQL need the same two cores, so the rate
cannot double here; what a request costs the servers together says whether two of them get in each other's way.
"""
from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import uvloop

from tests import postgres
from tests.bench import data, load
from tests.bench.http import MEMBERS, Requests, Rows
from tests.bench.load import Result
from tests.bench.processes import Server, foyer

POSTS = 10_000


def _family(server: Server) -> list[Server]:
    """The processes that serve: the one itself, or those that it has started."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [replace(server, pid=int(pid)) for pid in children] or [server]


async def _measure(servers: dict[int, Server], rows: dict[str, Callable[[], Requests]], rounds: int,
                   seconds: float) -> None:
    families = {count: _family(server) for count, server in servers.items()}
    for name, requests in rows.items():
        results: dict[int, list[Result]] = {count: [] for count in servers}
        for _ in range(rounds):
            for count, family in families.items():
                before = sum(each.cpu() for each in family)
                result = await load.run(servers[count].port, requests(), seconds)
                result.cpu = sum(each.cpu() for each in family) - before
                results[count].append(result)
        rates = [statistics.median(each.per_second for each in found) for found in results.values()]
        costs = [statistics.median(each.cost for each in found) for found in results.values()]
        print(f"{name:26} one {rates[0]:8.0f}/s, two {rates[1]:8.0f}/s, x {rates[1] / rates[0]:.2f}; a request costs "
              f"{1e6 * costs[0]:.0f} and {1e6 * costs[1]:.0f} us: with two cores of their own x "
              f"{2 * costs[0] / costs[1]:.2f}", flush=True)


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    url = postgres.database_of(Path("bench"))
    made = Rows(asyncio.run(data.fill(url, MEMBERS, POSTS)), POSTS)
    rows = {"feed of 20, signed in": made.feed, "one post, signed in": made.post, "like": made.like,
            "create a post": made.create}
    with foyer(url, False) as one, foyer(url, False, FOYER_SERVER_WORKERS="2") as two:
        uvloop.run(_measure({1: one, 2: two}, rows, given.rounds, given.seconds))
    postgres.drop_databases()


if __name__ == "__main__":
    main()
