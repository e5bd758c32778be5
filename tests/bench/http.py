"""Requests per second as a ratio to an empty aiohttp handler: one core, 64 connections, FULL durability.

`python -m tests.bench.http [--rounds N] [--seconds S]`
"""
from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop

from server.web import cursor
from tests.bench import data, load
from tests.bench.load import CONNECTIONS, Result, request
from tests.bench.processes import LOAD_CORE, Server, empty_handler, foyer

POSTS = 40_000
MEMBERS = 200

Requests = Callable[[int], Iterator[bytes]]


def _same(make: Callable[[int], bytes]) -> Requests:
    return lambda number: itertools.repeat(make(number))


class Rows:
    """The requests of each row of the table."""

    def __init__(self, tokens: list[str], posts: int) -> None:
        self._tokens, self._posts = tokens, posts
        self._next_like = {number: itertools.count(1 + number % MEMBERS) for number in range(CONNECTIONS)}

    def empty(self) -> Requests:
        """The baseline."""
        return _same(lambda _: request("GET", "/"))

    def feed(self) -> Requests:
        """A signed-in feed of 20."""
        return _same(lambda number: request("GET", "/api/posts", self._tokens[number]))

    def cold_feed(self) -> Requests:
        """A signed-in page of 20 that nobody has asked for yet."""
        def requests(number: int) -> Iterator[bytes]:
            choose = random.Random(number)
            while True:
                place = cursor.encode("new", choose.randrange(100, self._posts))
                yield request("GET", f"/api/posts?cursor={place}", self._tokens[number])
        return requests

    def post(self) -> Requests:
        """One post, signed in."""
        return _same(lambda number: request("GET", f"/api/posts/{self._posts - number}", self._tokens[number]))

    def like(self) -> Requests:
        """A like that has not been there; each member likes post after post, passing over their own."""
        return lambda number: (request("PUT", f"/api/posts/{post}/like", self._tokens[number])
                               for post in self._next_like[number] if (post - 1) % MEMBERS != number)

    def create(self) -> Requests:
        """A new post."""
        body = ('{"title":"A new post","text":"' + data.TEXT + '"}').encode()
        return _same(lambda number: request("POST", "/api/posts", self._tokens[number], body))

    def mixed(self) -> Requests:
        """Four reads (feed, feed, post, post), then a like."""
        def requests(number: int) -> Iterator[bytes]:
            likes = self.like()(number)
            feed, post = next(self.feed()(number)), next(self.post()(number))
            while True:
                yield from (feed, post, feed, post)
                yield next(likes)
        return requests


async def _measure(servers: dict[str, Server], warm_up: Requests, rows: dict[str, Requests], rounds: int,
                   seconds: float) -> None:
    results: dict[str, list[Result]] = {name: [] for name in rows}
    await load.run(servers["foyer"].port, warm_up, 1.0)
    for _ in range(rounds):
        for name, requests in rows.items():
            server = servers["empty" if name == "empty handler" else "foyer"]
            before = server.cpu()
            result = await load.run(server.port, requests, seconds)
            result.cpu = server.cpu() - before
            results[name].append(result)
    _print(results)


def _print(results: dict[str, list[Result]]) -> None:
    base = [result.per_second for result in results["empty handler"]]
    base_cost = statistics.median(result.cost for result in results["empty handler"])
    print(f"{'':24} {'per second':>10} {'ratio':>6} {'p50 ms':>7} {'p99 ms':>7} {'cpu us':>7} {'ratio':>6} failed")
    for name, rounds in results.items():
        ratio = statistics.median(result.per_second / empty for result, empty in zip(rounds, base))
        rate = statistics.median(result.per_second for result in rounds)
        p50 = statistics.median(result.percentile(0.5) for result in rounds) * 1000
        p99 = statistics.median(result.percentile(0.99) for result in rounds) * 1000
        cost = statistics.median(result.cost for result in rounds)
        print(f"{name:24} {rate:10.0f} {ratio:6.2f} {p50:7.2f} {p99:7.2f} {cost * 1e6:7.1f} {base_cost / cost:6.2f} "
              f"{sum(r.failures for r in rounds)}")


def main() -> None:
    """Runs the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--posts", type=int, default=POSTS)
    parser.add_argument("--only", help="only rows whose name begins so (and the empty handler)")
    parser.add_argument("--all-cores", action="store_true", help="do not pin the servers to one core")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "foyer.db"
        tokens = asyncio.run(data.fill(path, MEMBERS, given.posts))
        made = Rows(tokens, given.posts)
        rows = {"empty handler": made.empty(), "feed of 20, signed in": made.feed(),
                "feed, never cached": made.cold_feed(), "one post, signed in": made.post(),
                "like (durable)": made.like(), "create a post (durable)": made.create(),
                "mixed, 80 % reads": made.mixed()}
        if given.only:
            rows = {name: row for name, row in rows.items() if name.startswith(("empty", given.only))}
        one_core = not given.all_cores
        with empty_handler(one_core) as empty, foyer(path, one_core) as server:
            os.sched_setaffinity(0, LOAD_CORE)
            uvloop.run(_measure({"empty": empty, "foyer": server}, made.feed(), rows, given.rounds, given.seconds))


if __name__ == "__main__":
    main()
