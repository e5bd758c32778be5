"""The same requests to a server on PostgreSQL and to one on SQLite, in turn in the same run; single reads and writes
beside asyncpg alone; what listening costs those who write.

`python -m tests.bench.postgres [--rounds N] [--seconds S]`. The servers on one core, the load and PostgreSQL on the
other, so what PostgreSQL itself spends is in the rate and not in the cost of a request.
"""
from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from server.posts import queries
from server.storage import Tx, dialect
from server.storage.postgres import open_postgres
from tests import postgres
from tests.bench import data, load
from tests.bench.http import MEMBERS, Requests, Rows
from tests.bench.load import Result
from tests.bench.processes import LOAD_CORE, SERVER_CORE, Server, foyer

POSTS = 10_000
CALLS = 3000
AT_ONCE = 8


async def _requests(servers: dict[str, Server], rows: dict[str, Callable[[], Requests]], rounds: int,
                    seconds: float) -> None:
    for name, requests in rows.items():
        results: dict[str, list[Result]] = {kind: [] for kind in servers}
        for _ in range(rounds):
            for kind, server in servers.items():
                before = server.cpu()
                result = await load.run(server.port, requests(), seconds)
                result.cpu = server.cpu() - before
                results[kind].append(result)
        rates = {kind: statistics.median(each.per_second for each in found) for kind, found in results.items()}
        costs = {kind: statistics.median(each.cost for each in found) for kind, found in results.items()}
        failed = sum(each.failures for found in results.values() for each in found)
        print(f"{name:26} SQLite {rates['sqlite']:8.0f}/s  PostgreSQL {rates['postgres']:8.0f}/s  "
              f"ratio {rates['postgres'] / rates['sqlite']:.2f}  (cost {1e6 * costs['sqlite']:.0f} and "
              f"{1e6 * costs['postgres']:.0f} us of the core)  failed {failed}", flush=True)


async def _bare(url: str) -> None:
    """One post read, one post written, by our database and by asyncpg with the same statements."""
    ours = await open_postgres(url)
    pool = await asyncpg.create_pool(url, min_size=AT_ONCE, max_size=AT_ONCE)

    async def our_read() -> Any:
        return await ours.read(queries.post, 1)

    async def bare_read() -> Any:
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            return await connection.fetchrow(dialect.postgres(queries.READ_POST), 1)

    async def our_write() -> Any:
        return await ours.write(_write)

    async def bare_write() -> Any:
        async with pool.acquire() as connection, connection.transaction():
            await connection.fetchrow(queries.COUNT_NEW_POST, 1)
            return await connection.fetchval(queries.INSERT_POST, 1, "A title", data.TEXT, None, 1)
    for name, mine, bare in (("read", our_read, bare_read), ("write", our_write, bare_write)):
        ratios = [await _rate(mine) / await _rate(bare) for _ in range(5)]
        print(f"a single {name}: {statistics.median(ratios):.2f} of asyncpg alone", flush=True)
    await ours.close()
    await pool.close()


async def _write(tx: Tx) -> Any:
    await queries.count_new_post(tx, 1)
    return await queries.insert_post(tx, 1, "A title", data.TEXT, None)


async def _rate(call: Callable[[], Awaitable[Any]]) -> float:
    async def some() -> None:
        for _ in range(CALLS // AT_ONCE):
            await call()
    begin = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return CALLS / (time.perf_counter() - begin)


async def _notify(url: str) -> None:
    """Durable inserts on eight connections: without a word, with a NOTIFY in each transaction, with one for many."""
    connections = [await asyncpg.connect(url) for _ in range(AT_ONCE)]
    await connections[0].execute("CREATE TABLE noise (id BIGINT GENERATED ALWAYS AS IDENTITY, text TEXT)")
    told: list[str] = []

    async def insert(connection: Any, notify: bool) -> None:
        for number in range(CALLS // AT_ONCE):
            async with connection.transaction():
                await connection.execute("INSERT INTO noise (text) VALUES ($1)", "x" * 100)
                if notify:
                    await connection.fetchval("SELECT pg_notify('noise', $1)", str(number))
            told.append("x")

    async def tell() -> None:
        listener = await asyncpg.connect(url)
        try:
            while True:
                await asyncio.sleep(0.001)
                if told:
                    told.clear()
                    await listener.fetchval("SELECT pg_notify('noise', 'many')")
        finally:
            listener.terminate()
    rates = {}
    for name in ("silent", "each", "gathered"):
        teller = asyncio.create_task(tell()) if name == "gathered" else None
        begin = time.perf_counter()
        await asyncio.gather(*(insert(connection, name == "each") for connection in connections))
        rates[name] = CALLS / (time.perf_counter() - begin)
        if teller is not None:
            teller.cancel()
            await asyncio.gather(teller, return_exceptions=True)
    print("inserts/s: " + ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items()), flush=True)
    for connection in connections:
        await connection.close()


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    os.sched_setaffinity(0, LOAD_CORE)
    url = postgres.database_of(Path("bench"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "foyer.db"
        made = Rows(asyncio.run(data.fill(path, MEMBERS, POSTS)), POSTS)
        asyncio.run(data.fill(url, MEMBERS, POSTS))
        asyncio.run(_bare(url))
        asyncio.run(_notify(postgres.database_of(Path("noise"))))
        rows = {"feed of 20, signed in": made.feed, "one post, signed in": made.post,
                "feed, never asked": made.cold_feed, "like": made.like, "create a post": made.create}
        os.sched_setaffinity(0, SERVER_CORE | LOAD_CORE)
        with foyer(path) as small, foyer(url) as large:
            os.sched_setaffinity(0, LOAD_CORE)
            uvloop.run(_requests({"sqlite": small, "postgres": large}, rows, given.rounds, given.seconds))
    postgres.drop_databases()


if __name__ == "__main__":
    main()
