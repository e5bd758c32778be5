"""Sign-ups per second as a ratio to posts on the same server: one core, 64 connections, FULL durability, no hashing.

`python -m tests.bench.signups [--rounds N] [--seconds S]`. No outside service is asked. `and jobs`: on a server for
which a mail server and an enricher are set, so that their jobs are written too; another process would work on them.
The codes count without end, so each sign-up through one writes in the ledger as well.
"""
from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop

from tests.bench import data, load
from tests.bench.load import CONNECTIONS, Result, request
from tests.bench.processes import LOAD_CORE, Server, foyer

MEMBERS, POSTS = 200, 5_000
WANTED = 0.25
PROGRAM = ("-m", "tests.bench.unhashed")
ALONE = {"FOYER_SANDBOX_MODE": "off", "FOYER_REFERRALS_PER_DAY": "0"}
NOWHERE = "127.0.0.1:9"
JOBS = {**ALONE, "FOYER_SERVER_JOBS": "no", "FOYER_MAIL_URL": f"smtp://{NOWHERE}",
        "FOYER_CLEARBIT_URL": f"http://{NOWHERE}", "FOYER_CLEARBIT_API_SECRET": "none"}

Requests = Callable[[int], Iterator[bytes]]
_numbers = itertools.count(1)


def sign_ups(*codes: str) -> Requests:
    """People who are new, each through one of the codes in turn, if there are any."""
    def requests(number: int) -> Iterator[bytes]:
        for number in _numbers:
            name = f"newcomer{number}"
            body = {"username": name, "email": f"{name}@example.org", "password": "corr3ct-horse"}
            code = {"referral_code": codes[number % len(codes)]} if codes else {}
            yield request("POST", "/api/signup", body=json.dumps({**body, **code}).encode())
    return requests


def posts(tokens: list[str]) -> Requests:
    """New posts, each connection's by another member."""
    body = json.dumps({"title": "A new post", "text": data.TEXT}).encode()
    return lambda number: itertools.repeat(request("POST", "/api/posts", tokens[number % CONNECTIONS], body))


ROWS: dict[str, tuple[str, ...]] = {"sign-up": (), "sign-up through a code": ("code0",),
                                    "sign-up through two codes": ("code0", "code1")}


async def _round(server: Server, requests: Requests, seconds: float) -> Result:
    before = server.cpu()
    result = await load.run(server.port, requests, seconds)
    result.cpu = server.cpu() - before
    return result


async def _measure(name: str, server: Server, tokens: list[str], rounds: int, seconds: float) -> None:
    results: dict[str, list[Result]] = {"create a post": [], **{row: [] for row in ROWS}}
    await load.run(server.port, posts(tokens), 1.0)
    for _ in range(rounds):
        results["create a post"].append(await _round(server, posts(tokens), seconds))
        for row, codes in ROWS.items():
            results[row].append(await _round(server, sign_ups(*codes), seconds))
    _print(name, results)


def _print(name: str, results: dict[str, list[Result]]) -> None:
    print(f"{name:30} {'per second':>10} {'ratio':>6} {'p50 ms':>7} {'p99 ms':>7} {'cpu us':>7} {'ratio':>6} failed")
    base = results["create a post"]
    for row, rounds in results.items():
        def median(of: Callable[[Result], float], rounds: list[Result] = rounds) -> float:
            return statistics.median(map(of, rounds))
        ratio = statistics.median(each.per_second / post.per_second for each, post in zip(rounds, base))
        cost = statistics.median(post.cost / each.cost for each, post in zip(rounds, base))
        print(f"{row:30} {median(lambda each: each.per_second):10.0f} {ratio:6.2f} "
              f"{1000 * median(lambda each: each.percentile(0.5)):7.2f} "
              f"{1000 * median(lambda each: each.percentile(0.99)):7.2f} {1e6 * median(lambda each: each.cost):7.1f} "
              f"{cost:6.2f} {sum(each.failures for each in rounds)}")
    print(f"(wanted: a ratio of {WANTED} to the posts)")


def main() -> None:
    """Runs the table, once for each of the two servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    os.sched_setaffinity(0, LOAD_CORE)
    for name, environ in (("nobody outside", ALONE), ("and jobs", JOBS)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "foyer.db"
            tokens = asyncio.run(data.fill(path, MEMBERS, POSTS))
            with foyer(path, True, PROGRAM, **environ) as server:
                uvloop.run(_measure(name, server, tokens, given.rounds, given.seconds))


if __name__ == "__main__":
    main()
