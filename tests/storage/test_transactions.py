"""What a feature may rely on inside a transaction."""
from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server.core.errors import Problem, StorageUnavailable
from server.storage import Database, Tx, sqlite as engine
from server.storage.sqlite import SqliteDatabase, open_database
from tests.storage.things import Wrong, add, add_then_raise, ids, together


@pytest.mark.sqlite
async def test_a_foreign_await_is_refused(database: SqliteDatabase) -> None:
    foreign = asyncio.get_running_loop().create_future()

    async def work(tx: Tx) -> None:
        await add(tx, 1)
        await foreign

    async def look(tx: Tx) -> None:
        await foreign
    ends = await together(database.write(work), database.write(add, 2), database.read(look))
    assert isinstance(ends[0], RuntimeError) and ends[1] == 2 and isinstance(ends[2], RuntimeError)
    assert await database.read(ids) == [2] and not database.in_transaction()


async def test_a_read_cannot_write(either: Database) -> None:
    ends = await together(either.read(add, 1), either.read(ids))
    assert isinstance(ends[0], Exception) and ends[1] == []
    await either.write(add, 2)
    assert await either.read(ids) == [2]


async def test_arguments_go_where_their_numbers_say(either: Database) -> None:
    async def work(tx: Tx) -> list[object]:
        row = await tx.one("SELECT $2 AS b, $1 AS a, $2 AS again, $3 || $1 AS joined", "one", "two", "three")
        assert row is not None
        return [row[name] for name in row.keys()]
    assert await either.read(work) == ["two", "one", "two", "threeone"]


async def test_more_than_nine_arguments(either: Database) -> None:
    async def work(tx: Tx) -> list[object]:
        names = ", ".join(f"CAST(${number} AS BIGINT) AS c{number}" for number in range(12, 0, -1))
        row = await tx.one(f"SELECT {names}", *range(1, 13))
        assert row is not None
        return [row[f"c{number}"] for number in range(1, 13)]
    assert await either.read(work) == list(range(1, 13))


async def test_what_each_method_gives(either: Database) -> None:
    async def work(tx: Tx) -> None:
        assert await tx.one("SELECT id FROM things") is None
        assert await tx.value("SELECT id FROM things") is None
        assert await tx.value("INSERT INTO things (text) VALUES ('a') RETURNING id") == 1
        assert await tx.run("INSERT INTO things (text) VALUES ('b'), ('c')") == 2
        assert await tx.run("UPDATE things SET text = text WHERE id > $1", 1) == 2
        assert await tx.run("DELETE FROM things WHERE id = $1", 99) == 0
        row = await tx.one("SELECT id, text FROM things ORDER BY id DESC")
        assert row is not None and list(row.keys()) == ["id", "text"] and row["text"] == "c"
        assert [tuple(row) for row in await tx.all("SELECT id, text FROM things ORDER BY id")] == [
            (1, "a"), (2, "b"), (3, "c")]
    await either.write(work)


async def test_one_reads_ones_own_writes(either: Database) -> None:
    for id_ in range(50):
        await either.write(add, id_)
        assert (await either.read(ids))[-1] == id_


async def test_what_failed_is_taken_back_and_nothing_else(either: Database) -> None:
    ends = await together(either.write(add, 1), either.write(add_then_raise, 2), either.write(add, 3))
    assert ends[0] == 1 and isinstance(ends[1], Wrong) and ends[2] == 3
    assert await either.read(ids) == [1, 3]


async def test_an_action_comes_after_the_commit_and_before_the_answer(either: Database) -> None:
    seen: list[object] = []

    async def work(tx: Tx, id_: int) -> int:
        await add(tx, id_)
        tx.after_commit(lambda: seen.append(id_))
        if id_ == 2:
            raise Wrong
        return id_

    async def ask(id_: int) -> None:
        seen.append(f"{await either.write(work, id_)} told")
    ends = await together(ask(1), ask(2))
    assert seen == [1, "1 told"] and isinstance(ends[1], Wrong)


async def test_a_failing_action_fails_nothing_else(either: Database, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def work(tx: Tx) -> int:
        tx.after_commit(lambda: [][0])
        tx.after_commit(lambda: seen.append("the next"))
        return await add(tx, 1)
    assert await either.write(work) == 1 and seen == ["the next"]
    assert "an action after commit failed" in caplog.text


async def test_a_receiver_is_told(either: Database) -> None:
    loop = asyncio.get_running_loop()
    written, failed, read = loop.create_future(), loop.create_future(), loop.create_future()
    either.write_to(written, add, 1)
    either.write_to(failed, add_then_raise, 2)
    assert await written == 1 and isinstance((await together(failed))[0], Wrong)
    either.read_to(read, ids)
    assert await read == [1]


@pytest.mark.sqlite
async def test_a_group_of_reads_sees_one_snapshot(database: SqliteDatabase) -> None:
    async def writer() -> None:
        for id_ in range(200):
            await database.write(add, id_)
    task = asyncio.ensure_future(writer())
    while not task.done():
        first, second = await together(database.read(ids), database.read(ids))
        assert first == second
    await task


@pytest.mark.sqlite
async def test_the_clock_comes_with_the_transaction(tmp_path: Path) -> None:
    async def now(tx: Tx) -> int:
        return tx.now
    database = await open_database(tmp_path / "other.db", clock=lambda: 1234)
    assert await together(database.read(now), database.write(now)) == [1234, 1234]
    await database.close()


@pytest.mark.sqlite
async def test_closing_finishes_what_waits(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "foyer.db")
    work = [asyncio.ensure_future(database.write(_epoch, str(number))) for number in range(1000)]
    turn = asyncio.ensure_future(asyncio.wait(work, timeout=0))
    await turn  # so that all of them stand in the queue
    await database.close()
    assert [task.result() for task in work] == [1] * 1000
    ends = await together(database.write(_epoch, "late"), database.read(_epoch, "late"))
    assert all(isinstance(end, StorageUnavailable) for end in ends)
    again = await open_database(tmp_path / "foyer.db")
    assert await again.read(_read_epoch) == "999"
    await again.close()


async def _epoch(tx: Tx, epoch: str) -> int:
    return await tx.run("UPDATE meta SET epoch = $1", epoch)


async def _read_epoch(tx: Tx) -> str:
    return str(await tx.value("SELECT epoch FROM meta"))


@pytest.mark.sqlite
async def test_too_many_that_wait_are_told_so(database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "QUEUE", 5)
    ends = await together(*(database.write(add, id_) for id_ in range(8)))
    assert ends[:5] == [0, 1, 2, 3, 4]
    assert all(isinstance(end, Problem) and end.code == "busy" and end.status == 503 for end in ends[5:])
    assert await database.write(add, 9) == 9


@pytest.mark.sqlite
async def test_another_process_that_holds_the_file(database: SqliteDatabase) -> None:
    """`admin` may run beside the server: its transaction is waited for."""
    beside = engine.sqlite.connect(str(database.path), isolation_level=None)
    beside.execute("BEGIN IMMEDIATE")
    beside.execute("INSERT INTO things (id, text) VALUES (1, 'beside')")
    waiting = asyncio.ensure_future(database.write(add, 2))
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    beside.execute("COMMIT")
    beside.close()
    assert await waiting == 2 and await database.read(ids) == [1, 2]
