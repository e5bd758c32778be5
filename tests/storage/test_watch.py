"""What another process writes is noticed; what is written or read here is not."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.core.errors import StorageUnavailable
from server.storage import inspection
from server.storage.sqlite import SqliteDatabase, open_database
from server.storage.watch import Watcher
from tests.storage.lived import live
from tests.storage.test_full_disk import limit_pages
from tests.storage.things import add, ids
from tests.support import until

pytestmark = pytest.mark.sqlite
SECONDS = 0.02


class Heard:
    """Counts the calls; raises as often as `faults` says."""

    def __init__(self) -> None:
        self.times, self.faults = 0, 0

    async def __call__(self) -> None:
        self.times += 1
        if self.faults:
            self.faults -= 1
            raise RuntimeError("cannot follow")


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def watcher(database: SqliteDatabase, heard: Heard) -> AsyncIterator[Watcher]:
    """One that looks often."""
    started = Watcher(database, heard, SECONDS)
    await started.start()
    yield started
    await started.stop()


def elsewhere(path: Path, id_: int) -> None:
    """Writes as another process does: on a connection of its own."""
    with inspection.opened(path) as raw:
        raw.execute("INSERT INTO things (id, text) VALUES (?, ?)", (id_, str(id_)))


async def looks(database: SqliteDatabase, number: int = 3) -> None:
    """Waits until it has looked so often."""
    seen, write = [0], database.write

    async def counted(function, *args):  # type: ignore[no-untyped-def]
        result = await write(function, *args)
        seen[0] += function.__name__ == "_data_version"
        return result
    database.write = counted  # type: ignore[method-assign]
    try:
        await until(lambda: seen[0] >= number)
    finally:
        database.write = write  # type: ignore[method-assign]


async def test_each_time_that_another_one_writes(database: SqliteDatabase, watcher: Watcher, heard: Heard) -> None:
    for number in range(1, 4):
        await asyncio.to_thread(elsewhere, database.path, number)
        await until(lambda: heard.times == number)
    await looks(database)
    assert heard.times == 3


async def test_not_what_is_written_and_read_here(database: SqliteDatabase, watcher: Watcher, heard: Heard) -> None:
    for number in range(200):
        await database.write(add, number)
        await database.read(ids)
    await looks(database)
    assert heard.times == 0


async def test_not_a_look_from_elsewhere_nor_a_transaction_taken_back(database: SqliteDatabase, watcher: Watcher,
                                                                      heard: Heard) -> None:
    with inspection.opened(database.path) as other:
        other.execute("SELECT * FROM things").fetchall()
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO things (id, text) VALUES (1, 'a')")
        other.execute("ROLLBACK")
        other.execute("PRAGMA wal_checkpoint").fetchall()
        await looks(database)
    assert heard.times == 0


async def test_among_many_writes_of_our_own(database: SqliteDatabase, watcher: Watcher, heard: Heard) -> None:
    async def busily() -> None:
        for number in range(300):
            await database.write(add, number)
    async with asyncio.TaskGroup() as group:
        group.create_task(busily())
        await asyncio.to_thread(elsewhere, database.path, 1000)
        await until(lambda: heard.times)
    await looks(database)
    assert heard.times == 1


async def test_what_could_not_be_followed_is_followed_later(database: SqliteDatabase, watcher: Watcher, heard: Heard,
                                                            caplog: pytest.LogCaptureFixture) -> None:
    heard.faults = 2
    await asyncio.to_thread(elsewhere, database.path, 1)
    await until(lambda: heard.times == 3)
    await looks(database)
    assert heard.times == 3 and "cannot be followed" in caplog.text


async def test_a_database_that_refuses_for_a_while(database: SqliteDatabase, watcher: Watcher, heard: Heard,
                                                   caplog: pytest.LogCaptureFixture) -> None:
    write = database.write

    async def refuse(*_: object) -> None:
        raise StorageUnavailable
    database.write = refuse  # type: ignore[method-assign, assignment]
    await asyncio.to_thread(elsewhere, database.path, 1)
    await until(lambda: "cannot see what others write" in caplog.text)
    database.write = write  # type: ignore[method-assign]
    await until(lambda: heard.times == 1)
    assert "Traceback" not in caplog.text


async def test_nothing_is_written_by_looking(database: SqliteDatabase, watcher: Watcher) -> None:
    files = [database.path, database.path.with_name(database.path.name + "-wal")]
    before = [path.read_bytes() for path in files]
    await looks(database, 10)
    assert [path.read_bytes() for path in files] == before


async def test_on_a_full_disk_too(database: SqliteDatabase, watcher: Watcher, heard: Heard) -> None:
    """It sees, says nothing wrong about the disk, and hides nothing."""
    await asyncio.to_thread(elsewhere, database.path, 1)
    await until(lambda: heard.times == 1)
    await limit_pages(database, 0)
    with pytest.raises(StorageUnavailable):
        await database.write(add, 2, "x" * 100_000)
    await looks(database)
    assert database.refuses_writes and heard.times == 1


async def test_stopped_without_having_begun(tmp_path: Path, heard: Heard) -> None:
    await live(tmp_path / "foyer.db", (), 0)
    database = await open_database(tmp_path / "foyer.db")
    await Watcher(database, heard).stop()
    await database.close()
