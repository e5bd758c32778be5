"""Two thousand writes, many of them cancelled at random moments: no transaction stays open, nothing acknowledged is
lost, and what only moves is neither made nor destroyed."""
from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import aiohttp
import pytest

from server.storage import Tx
from server.storage.postgres import PostgresDatabase
from server.storage.sqlite import SqliteDatabase, open_database
from tests.proofs.processes import chance
from tests.support import Api, Served, until

WRITES, THROUGH_HTTP, GROUP, PURSES, COINS = 2_000, 600, 40, 10, 1_000
CANCELLED = 0.4


class Poor(Exception):
    """The purse is empty."""


async def _purses(tx: Tx) -> None:
    await tx.run("CREATE TABLE purses (id INTEGER PRIMARY KEY, coins INTEGER NOT NULL CHECK (coins >= 0)) STRICT")
    await tx.run("CREATE TABLE moves (id INTEGER PRIMARY KEY) STRICT")
    for purse in range(PURSES):
        await tx.run("INSERT INTO purses (id, coins) VALUES ($1, $2)", purse, COINS)


async def _move(tx: Tx, number: int, giver: int, taker: int, coins: int) -> int:
    """Several statements, with what fails in between them."""
    await tx.run("UPDATE purses SET coins = coins + $2 WHERE id = $1", taker, coins)
    left = await tx.value("SELECT coins FROM purses WHERE id = $1", giver)
    if left < coins:
        raise Poor
    await tx.run("UPDATE purses SET coins = coins - $2 WHERE id = $1", giver, coins)
    await tx.run("INSERT INTO moves (id) VALUES ($1)", number)
    return number


async def _state(tx: Tx) -> tuple[int, set[int]]:
    moves = {row["id"] for row in await tx.all("SELECT id FROM moves")}
    return await tx.value("SELECT sum(coins) FROM purses"), moves


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """An open database."""
    opened = await open_database(tmp_path / "foyer.db")
    yield opened
    await opened.close()


async def outcomes(rng: random.Random, number: int, write: Callable[[int], Coroutine[None, None, None]]) -> list[str]:
    """Runs the writes as tasks, cancels many of them at random; how each ended.

    A cancel comes within the time that a group of writes takes on this machine: a moment counted in milliseconds meets
    a fast machine only after the end.
    """
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[None]] = []
    for first in (0, GROUP):  # The second is measured: the first opens the connections.
        before = loop.time()
        tasks += [asyncio.ensure_future(write(at)) for at in range(first, first + GROUP)]
        await asyncio.wait(tasks)
        pace = loop.time() - before
    for at in range(2 * GROUP, number):
        tasks.append(asyncio.ensure_future(write(at)))
        if rng.random() < CANCELLED:
            loop.call_later(rng.uniform(0, pace), tasks[-1].cancel)
        if at % GROUP == GROUP - 1:
            # A turn of the loop, at times two: so the groups differ in size and the cancels meet every stage.
            await asyncio.wait(tasks[-rng.randint(1, 3):], timeout=rng.uniform(0, pace))
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return ["done" if end is None else type(end).__name__ for end in ended]


async def test_cancelled_writes(database: SqliteDatabase) -> None:
    rng = chance()
    await database.write(_purses)
    acknowledged: set[int] = set()

    async def write(number: int) -> None:
        giver, taker = rng.sample(range(PURSES), 2)
        acknowledged.add(await database.write(_move, number, giver, taker, rng.randint(1, COINS // 2)))

    ends = Counter(await outcomes(rng, WRITES, write))
    print(dict(ends))
    assert set(ends) <= {"done", "CancelledError", "Poor"} and min(ends["CancelledError"], ends["done"]) > 100
    total, moves = await database.read(_state)
    assert total == PURSES * COINS
    assert acknowledged <= moves
    # One more stands behind all others, so that none can be under way.
    assert await database.write(_move, WRITES + 1, 0, 1, 0) == WRITES + 1
    assert not database.in_transaction() and not database.refuses_writes


async def test_cancelled_before_its_turn_is_not_run(database: SqliteDatabase) -> None:
    await database.write(_purses)
    task = asyncio.ensure_future(database.write(_move, 1, 0, 1, 1))
    # In the turn of the loop in which it is queued, before the queue travels.
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert await database.read(_state) == (PURSES * COINS, set())


async def _cut(api: Api, token: str, number: int, acknowledged: dict[int, int]) -> None:
    answer = await api.post("/api/posts", {"title": f"post {number}", "text": "Some text"}, token=token)
    acknowledged[answer.data["id"]] = number


async def test_clients_that_leave(server: Served) -> None:
    """The same through HTTP: clients close their connections at random moments."""
    rng, acknowledged = chance(), {}  # type: ignore[var-annotated]
    token = (await server.api.sign_up())["access_token"]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50)) as session:
        api = Api(session, server.url)
        ends = Counter(await outcomes(rng, THROUGH_HTTP, lambda at: _cut(api, token, at, acknowledged)))
    print(dict(ends))
    assert set(ends) <= {"done", "CancelledError"} and min(ends.values()) > 50
    await _nothing_lost(server, token, acknowledged)


async def test_handlers_that_are_cancelled(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp does not cancel handlers by itself, a deadline or a stop does: here each one at a random moment."""
    rng, acknowledged, cut = chance(), {}, Counter()  # type: ignore[var-annotated]
    token = (await server.api.sign_up())["access_token"]
    write = server.foyer.database.write

    async def impatient(*args: object, **kwargs: object) -> object:
        try:
            async with asyncio.timeout(rng.choice((None, 0, 0, 0.0005))):
                return await write(*args, **kwargs)  # type: ignore[arg-type]
        except TimeoutError:
            cut["cancelled"] += 1
            raise

    async def ask(number: int) -> None:
        answer = await server.api.post("/api/posts", {"title": f"post {number}", "text": "Some text"}, token=token)
        cut[str(answer.status)] += 1
        if answer.status == 201:
            acknowledged[answer.data["id"]] = number

    with monkeypatch.context() as patched:
        patched.setattr(server.foyer.database, "write", impatient)
        await asyncio.gather(*(ask(number) for number in range(THROUGH_HTTP)))
    print(dict(cut))
    assert cut["cancelled"] > 20 and cut["201"] > 50
    await _nothing_lost(server, token, acknowledged)


async def _nothing_under_way(server: Served) -> None:
    database = server.foyer.database
    if isinstance(database, SqliteDatabase):
        await until(lambda: not database.waiting["write"])
        # One more write stands behind all others, so that none can be under way.
        await database.write(_nothing)
        assert not database.in_transaction()
    elif isinstance(database, PostgresDatabase):
        await until(lambda: not database._tasks)
        assert await database.read(_open_transactions) == 0


async def _nothing(tx: Tx) -> None:
    """Changes nothing."""


async def _open_transactions(tx: Tx) -> int:
    return int(await tx.value("""
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"""))


async def _nothing_lost(server: Served, token: str, acknowledged: dict[int, int]) -> None:
    for id_, number in acknowledged.items():
        assert (await server.api.get(f"/api/posts/{id_}")).data["title"] == f"post {number}"
    await _nothing_under_way(server)
    await server.api.write_post(token)
    me = (await server.api.get("/api/me", token=token)).data
    assert len(acknowledged) < me["post_count"] <= THROUGH_HTTP + 1
