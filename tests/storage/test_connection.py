"""The one place that uses what aiosqlite keeps for itself: this fails loudly when a new version moves it, and shows
that the fallback serves meanwhile."""
from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

import aiosqlite
import pytest

from server.storage import Tx, connection
from server.storage.sqlite import open_database
from tests.storage.things import together

pytestmark = pytest.mark.sqlite


def test_aiosqlite_keeps_its_queue_and_thread_where_we_look() -> None:
    made = aiosqlite.Connection(lambda: None, iter_chunk_size=64)  # type: ignore[arg-type, return-value]
    assert isinstance(made._tx, SimpleQueue), "aiosqlite moved its queue: see server/storage/connection.py"
    assert isinstance(made._thread, threading.Thread), "aiosqlite moved its thread: see server/storage/connection.py"


async def _thread_of(opened: connection.Connection) -> threading.Thread:
    """On which thread something that was submitted runs."""
    done = asyncio.get_running_loop().create_future()
    opened.submit(lambda: done.get_loop().call_soon_threadsafe(done.set_result, threading.current_thread()))
    async with asyncio.timeout(10):
        return await done


async def test_what_is_submitted_runs_on_its_thread_in_order(tmp_path: Path) -> None:
    opened = await connection.opened(tmp_path / "some.db", ())
    assert await _thread_of(opened) is opened._thread
    ran: list[int] = []
    for number in range(100):
        opened.submit(lambda number=number: ran.append(number))  # type: ignore[misc]
    await _thread_of(opened)
    assert ran == list(range(100))
    await opened.close()


async def test_the_process_can_end_when_somebody_forgot_to_close(tmp_path: Path) -> None:
    opened = await connection.opened(tmp_path / "some.db", ())
    assert opened._thread.daemon
    await opened.close()


class Moved(connection.Connection):
    """A connection as if a new aiosqlite kept its queue under another name."""

    def __getattribute__(self, name: str) -> object:
        # aiosqlite itself goes on to find it; we do not.
        if name == "_tx" and _asked_by_us():
            raise AttributeError(name)
        return super().__getattribute__(name)


def _asked_by_us() -> bool:
    return sys._getframe(2).f_code.co_name == "submit"


async def test_a_thread_of_our_own_serves_when_the_queue_has_moved(tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "Connection", Moved)
    database = await open_database(tmp_path / "foyer.db")
    assert isinstance(database._writer.connection, Moved)
    assert (await _thread_of(database._writer.connection)).name.startswith("foyer-sqlite")

    async def add(tx: Tx, number: int) -> int:
        await tx.run("UPDATE meta SET epoch = $1", str(number))
        return number

    async def read(tx: Tx) -> str:
        return str(await tx.value("SELECT epoch FROM meta"))
    assert await together(*(database.write(add, number) for number in range(300))) == list(range(300))
    assert await database.read(read) == "299"
    await database.close()


async def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[connection.Connection] = []

    class Seen(connection.Connection):
        def __init__(self, path: Path, pragmas: tuple[str, ...]) -> None:
            super().__init__(path, pragmas)
            made.append(self)
    monkeypatch.setattr(connection, "Connection", Seen)
    with pytest.raises(connection.sqlite.OperationalError):
        await connection.opened(tmp_path / "nowhere" / "some.db", ())
    assert made[0].stopped is not None and made[0].stopped.done()  # its thread does not speak to a loop that is gone
