"""What is PostgreSQL's own: transactions beside each other, and connections that are lost."""
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from server.core.errors import Problem, StorageUnavailable
from server.storage import Tx, postgres as engine
from server.storage.postgres import PostgresDatabase, open_postgres
from tests.postgres import database_of
from tests.storage.things import Wrong, add, ids, together
from tests.support import until

ME = "SELECT pg_backend_pid()"
END = "SELECT pg_terminate_backend($1)"


class Stop:
    """Transactions wait here until they are let go."""

    def __init__(self) -> None:
        self.inside = 0
        self.open = asyncio.Event()

    async def __call__(self, tx: Tx, id_: int) -> int:
        """Adds a thing and waits."""
        await add(tx, id_)
        await self.wait()
        return id_

    async def wait(self) -> None:
        """Waits."""
        self.inside += 1
        await self.open.wait()


async def bump(tx: Tx, id_: int) -> None:
    """Reads and writes, as whoever comes in between would spoil it."""
    await tx.lock(f"thing {id_}")
    text = await tx.value("SELECT text FROM things WHERE id = $1", id_)
    await tx.run("UPDATE things SET text = $2 WHERE id = $1", id_, str(int(text) + 1))


async def backend(tx: Tx) -> int:
    """The server's process for this connection."""
    return int(await tx.value(ME))


async def open_transactions(database: PostgresDatabase) -> int:
    """How many connections of ours wait in a transaction that nobody ends."""
    async def count(tx: Tx) -> int:
        return int(await tx.value("""
            SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND state LIKE 'idle in transaction%'"""))
    return await database.read(count)


# -- beside each other


async def test_one_that_waits_holds_up_nobody_else(pg: PostgresDatabase) -> None:
    stop = Stop()
    waiting = asyncio.create_task(pg.write(stop, 1))
    await until(lambda: stop.inside)
    assert await pg.write(add, 2) == 2 and await pg.read(ids) == [2]
    stop.open.set()
    assert await waiting == 1 and await pg.read(ids) == [1, 2]


async def test_a_write_whose_caller_has_gone_is_finished(pg: PostgresDatabase) -> None:
    stop = Stop()
    waiting = asyncio.create_task(pg.write(stop, 1))
    await until(lambda: stop.inside)
    waiting.cancel()
    assert isinstance((await together(waiting))[0], asyncio.CancelledError)
    stop.open.set()
    await until(lambda: not pg._tasks)
    assert await pg.read(ids) == [1] and await open_transactions(pg) == 0


async def test_a_read_sees_one_state(pg: PostgresDatabase) -> None:
    stop = Stop()

    async def twice(tx: Tx) -> tuple[list[int], list[int]]:
        before = await ids(tx)
        await stop.wait()
        return before, await ids(tx)
    reading = asyncio.create_task(pg.read(twice))
    await until(lambda: stop.inside)
    await pg.write(add, 1)
    stop.open.set()
    assert await reading == ([], []) and await pg.read(ids) == [1]


async def test_those_that_take_a_lock_wait_for_each_other(pg: PostgresDatabase) -> None:
    for id_ in (1, 2):
        await pg.write(add, id_, f"{id_}00")
    await asyncio.gather(*(pg.write(bump, id_) for id_ in (1, 2) * 30))

    async def texts(tx: Tx) -> list[str]:
        return [row["text"] for row in await tx.all("SELECT text FROM things ORDER BY id")]
    assert await pg.read(texts) == ["130", "230"]


async def test_two_that_wait_for_each_other_are_both_done(pg: PostgresDatabase) -> None:
    both, tries = asyncio.Barrier(2), []

    async def work(tx: Tx, first: str, second: str, id_: int) -> int:
        await tx.lock(first)
        tries.append(id_)
        if len(tries) <= 2:
            await both.wait()
        await tx.lock(second)
        return await add(tx, id_)
    assert await asyncio.gather(pg.write(work, "a", "b", 1), pg.write(work, "b", "a", 2)) == [1, 2]
    assert len(tries) == 3 and await pg.read(ids) == [1, 2]


async def test_a_name_that_was_taken_meanwhile_is_seen_at_the_second_look(pg: PostgresDatabase) -> None:
    async def claim(tx: Tx) -> int:
        if await tx.value("SELECT id FROM things WHERE text = 'name'"):
            raise Wrong
        return int(await tx.value("INSERT INTO things (text) VALUES ('name') RETURNING id"))
    ends = await together(*(pg.write(claim) for _ in range(20)))
    assert sum(isinstance(end, int) for end in ends) == 1 and sum(isinstance(end, Wrong) for end in ends) == 19


async def test_what_never_fits_ends_and_nothing_of_it_is_in_the_log(pg: PostgresDatabase,
                                                                    caplog: pytest.LogCaptureFixture) -> None:
    await pg.write(add, 1, "a name")
    with pytest.raises(Problem) as caught:
        await pg.write(add, 2, "a name")
    assert (caught.value.code, caught.value.headers) == ("busy", {"Retry-After": "2"})
    assert await open_transactions(pg) == 0
    assert "collided" in caplog.text and "a name" not in caplog.text


async def test_an_error_that_was_swallowed_is_no_success(pg: PostgresDatabase) -> None:
    async def swallow(tx: Tx) -> None:
        await add(tx, 1)
        try:
            await tx.value("SELECT 1 / 0")
        except asyncpg.PostgresError:
            pass
    with pytest.raises(StorageUnavailable):
        await pg.write(swallow)
    assert await pg.write(add, 2) == 2 and await pg.read(ids) == [2]


async def test_an_argument_of_another_type_is_a_fault_of_ours(pg: PostgresDatabase) -> None:
    with pytest.raises(asyncpg.DataError):
        await pg.write(add, "one")  # type: ignore[arg-type]
    assert await pg.write(add, 2) == 2 and await open_transactions(pg) == 0


# -- connections


@pytest.fixture
async def single(tmp_path: Path, pg: PostgresDatabase) -> AsyncIterator[PostgresDatabase]:
    """The same database through a single connection."""
    opened = await open_postgres(database_of(tmp_path), connections=1)
    yield opened
    await opened.close()


async def test_too_many_that_wait_are_told_so(single: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.3)
    stop = Stop()
    waiting = asyncio.create_task(single.write(stop, 1))
    await until(lambda: stop.inside)
    begun = time.monotonic()
    for end in await together(*(single.write(add, id_) for id_ in range(2, 6)), single.read(ids)):
        assert isinstance(end, Problem) and (end.status, end.code, end.headers) == (503, "busy", {"Retry-After": "2"})
    assert time.monotonic() - begun < 3
    stop.open.set()
    assert await waiting == 1 and await single.write(add, 9) == 9


async def test_those_that_wait_have_their_turn(single: PostgresDatabase) -> None:
    assert await asyncio.gather(*(single.write(add, id_) for id_ in range(200))) == list(range(200))


async def test_a_connection_lost_before_the_commit_is_replaced(single: PostgresDatabase, pg: PostgresDatabase) -> None:
    tries = []

    async def work(tx: Tx, id_: int) -> int:
        tries.append(await tx.value(ME))
        if len(tries) == 1:
            assert await pg.write(lambda tx: tx.value(END, tries[0]))
        return await add(tx, id_)
    assert await single.write(work, 1) == 1
    assert len(tries) == 2 and tries[0] != tries[1] and await pg.read(ids) == [1]


async def test_an_idle_connection_that_was_lost_is_replaced(single: PostgresDatabase, pg: PostgresDatabase) -> None:
    for id_ in range(5):
        before = await single.read(backend)
        assert await pg.write(lambda tx: tx.value(END, before))
        assert await single.write(add, id_) == id_
    assert await pg.read(ids) == list(range(5))


async def test_one_that_is_lost_time_and_again_is_no_endless_loop(single: PostgresDatabase,
                                                                  pg: PostgresDatabase) -> None:
    tries = []

    async def work(tx: Tx) -> None:
        tries.append(await tx.value(ME))
        await pg.write(lambda other: other.value(END, tries[-1]))
        await add(tx, 1)
    with pytest.raises(StorageUnavailable):
        await single.write(work)
    assert 1 < len(tries) < 6 and await single.read(ids) == []


async def test_one_lost_in_the_commit_is_not_run_again(single: PostgresDatabase) -> None:
    tries = []

    async def work(tx: Tx) -> None:
        await add(tx, 1)
        tries.append(await tx.value(ME))
        # When this turn of the loop ends the COMMIT has been sent, and its answer has not come.
        asyncio.get_running_loop().call_soon(single._pool._holders[0]._con._transport.abort)
    with pytest.raises(StorageUnavailable):
        await single.write(work)
    assert len(tries) == 1 and await single.write(add, 2) == 2


async def test_closing_finishes_what_waits(tmp_path: Path) -> None:
    database = await open_postgres(database_of(tmp_path), connections=2)

    async def write(tx: Tx, number: int) -> int:
        return await tx.run("UPDATE meta SET epoch = $1", str(number))
    work = [asyncio.create_task(database.write(write, number)) for number in range(50)]
    await asyncio.wait(work, timeout=0)
    await database.close()
    assert [task.result() for task in work] == [1] * 50
    ends = await together(database.write(write, 51), database.read(write, 51))
    assert all(isinstance(end, StorageUnavailable) for end in ends)
