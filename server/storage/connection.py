"""An aiosqlite connection on whose thread whole functions run.

A thread hop is the dearest thing in the house, so what waits travels together. For that `submit` puts a function into
the queue of aiosqlite's thread, a protected attribute; `tests/storage` fails when a new version moves it, and then a
thread of our own serves until it is mended.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiosqlite

from server.storage import driver

sqlite = driver.load()
STATEMENTS_KEPT = 512


class Connection(aiosqlite.Connection):
    """One connection with its thread; `raw` may only be touched on that thread (or before anything is submitted)."""

    def __init__(self, path: Path, pragmas: tuple[str, ...]) -> None:
        super().__init__(self._open, iter_chunk_size=64)
        self._path, self._pragmas = path, pragmas
        self.raw: Any = None
        self._own_thread: ThreadPoolExecutor | None = None
        self.stopped: asyncio.Future[Any] | None = None  # done when the thread has told the loop its last word
        # The process must be able to end when somebody forgot to close: the file is safe at any moment anyway.
        self._thread.daemon = True

    def _open(self) -> Any:
        raw = sqlite.connect(str(self._path), isolation_level=None, check_same_thread=False,
                             cached_statements=STATEMENTS_KEPT, timeout=5.0)
        raw.row_factory = sqlite.Row
        for pragma in self._pragmas:
            raw.execute(f"PRAGMA {pragma}").fetchall()
        self.raw = raw
        return raw

    def submit(self, function: Callable[[], None]) -> None:
        """Runs `function` on the connection's thread, after what was submitted before; it must not raise."""
        queue = getattr(self, "_tx", None)
        if queue is not None:
            queue.put_nowait((None, function))
        else:
            self._own_thread = self._own_thread or ThreadPoolExecutor(1, "foyer-sqlite")
            self._own_thread.submit(function)

    def stop(self) -> asyncio.Future[Any] | None:
        """Ends the thread; aiosqlite does so by itself when the file cannot be opened."""
        self.stopped = super().stop()
        return self.stopped

    async def close(self) -> None:
        """Closes the connection after what was submitted."""
        if self._own_thread:
            self._own_thread.shutdown()
        await super().close()


async def opened(path: Path, pragmas: tuple[str, ...]) -> Connection:
    """A connection that is open; raises the driver's error when the file cannot be used."""
    connection = Connection(path, pragmas)
    try:
        await connection
    except BaseException:
        if connection.stopped is not None:
            await connection.stopped  # else a loop that is closed next gets a traceback on stderr
        raise
    return connection
