"""One commit for many: a fault of one is not a fault of the others, and nobody is answered before the commit."""
from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from server.core.errors import Problem
from server.storage import Tx
from server.storage.connection import sqlite
from server.storage.sqlite import SqliteDatabase
from tests.storage.things import Wrong, add, add_then_raise, groups, ids, together

pytestmark = pytest.mark.sqlite
EACH = 10


async def test_what_waits_together_is_committed_together(database: SqliteDatabase) -> None:
    sizes = groups(database)
    assert await together(*(database.write(add, id_) for id_ in range(EACH))) == list(range(EACH))
    assert sizes == [EACH]


async def test_an_exception_takes_back_only_its_own(database: SqliteDatabase) -> None:
    sizes = groups(database)
    ends = await together(*(database.write(add_then_raise if id_ == 4 else add, id_) for id_ in range(EACH)))
    assert sizes == [EACH]
    assert isinstance(ends[4], Wrong)
    others = [id_ for id_ in range(EACH) if id_ != 4]
    assert [ends[id_] for id_ in others] == others == await database.read(ids)
    assert not database.in_transaction() and not database.refuses_writes


async def test_a_constraint_takes_back_only_its_own(database: SqliteDatabase) -> None:
    async def twice(tx: Tx) -> None:
        await add(tx, 100)
        await add(tx, 101, "thing 1")  # which the first of the group has added
    ends = await together(database.write(add, 1), database.write(twice), database.write(add, 2))
    assert ends[0] == 1 and ends[2] == 2 and isinstance(ends[1], sqlite.IntegrityError)
    assert await database.read(ids) == [1, 2]


async def test_a_foreign_key_takes_back_only_its_own(database: SqliteDatabase) -> None:
    async def orphan(tx: Tx) -> None:
        await add(tx, 100)
        await tx.run("INSERT INTO parts (thing) VALUES ($1)", 99)
    ends = await together(database.write(orphan), database.write(add, 1))
    assert isinstance(ends[0], sqlite.IntegrityError) and ends[1] == 1
    assert await database.read(ids) == [1]


async def test_many_that_fail_among_many_that_do_not(database: SqliteDatabase) -> None:
    ends = await together(*(database.write(add_then_raise if id_ % 3 else add, id_) for id_ in range(600)))
    kept = [id_ for id_ in range(600) if id_ % 3 == 0]
    assert [end for end in ends if isinstance(end, int)] == kept == await database.read(ids)
    assert sum(isinstance(end, Wrong) for end in ends) == 400


async def test_a_failure_before_any_change(database: SqliteDatabase) -> None:
    async def refuse(tx: Tx) -> None:
        await ids(tx)
        raise Problem("not_found", "It is not there.")
    ends = await together(database.write(add, 1), database.write(refuse), database.write(add, 2))
    assert isinstance(ends[1], Problem) and ends[1].code == "not_found"
    assert await database.read(ids) == [1, 2]


async def test_each_sees_what_those_before_it_did(database: SqliteDatabase) -> None:
    async def count_and_add(tx: Tx, id_: int) -> int:
        found = await tx.value("SELECT count(*) FROM things")
        await add(tx, id_)
        return int(found)
    assert await together(*(database.write(count_and_add, id_) for id_ in range(EACH))) == list(range(EACH))


async def test_actions_run_in_order_of_commit_and_before_the_answers(database: SqliteDatabase) -> None:
    told: list[str] = []
    loop_thread = asyncio.get_running_loop()

    def note(word: str) -> Callable[[], None]:
        def action() -> None:
            assert asyncio.get_running_loop() is loop_thread
            told.append(word)
        return action

    async def work(tx: Tx, id_: int) -> None:
        tx.after_commit(note(f"first of {id_}"))
        await add(tx, id_)
        tx.after_commit(note(f"second of {id_}"))
        if id_ == 1:
            raise Wrong

    async def caller(id_: int) -> None:
        try:
            await database.write(work, id_)
        except Wrong:
            pass
        told.append(f"answer {id_}")

    await asyncio.gather(*(caller(id_) for id_ in range(3)))
    actions = ["first of 0", "second of 0", "first of 2", "second of 2"]
    assert told == [*actions, "answer 0", "answer 1", "answer 2"]


async def test_an_action_that_fails_harms_nobody(database: SqliteDatabase) -> None:
    told: list[int] = []

    async def work(tx: Tx, id_: int) -> int:
        tx.after_commit(lambda: told.append(1 // (id_ - 1)))
        return await add(tx, id_)
    assert await together(*(database.write(work, id_) for id_ in range(3))) == [0, 1, 2]
    assert told == [-1, 1]


async def test_actions_run_although_the_caller_has_left(database: SqliteDatabase) -> None:
    told: list[int] = []
    begun, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def work(tx: Tx) -> None:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        await add(tx, 1)
        tx.after_commit(lambda: told.append(1))
    caller = asyncio.ensure_future(database.write(work))
    await begun.wait()
    caller.cancel()
    go_on.set()
    await database.write(add, 2)
    assert caller.cancelled() and told == [1]
    assert await database.read(ids) == [1, 2]
