"""Notices that another process has written to the SQLite file, so that what is remembered here does not outlive it."""
from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from server.core.errors import Problem
from server.storage.base import Database, Tx

log = logging.getLogger("foyer.storage")
SECONDS = 0.5  # between two looks: others' changes are known within a second

# SQLite changes this number for a connection when any other one has committed. The writer's is asked, which sees all of
# our own commits as its own.
DATA_VERSION = "PRAGMA data_version"


class Watcher:
    """Calls `changed` after each time that somebody else wrote."""

    def __init__(self, database: Database, changed: Callable[[], Awaitable[None]], seconds: float = SECONDS) -> None:
        self._database, self._changed, self._seconds = database, changed, seconds
        self._version = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins. What others wrote before is none of its business."""
        self._version = await self._database.write(_data_version)
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Ends it; harmless when it was not begun."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._look()
            except Problem as error:
                log.warning("cannot see what others write now: %s", error)
            except Exception:
                log.exception("what another process has changed cannot be followed")

    async def _look(self) -> None:
        version = await self._database.write(_data_version)
        if version != self._version:
            await self._changed()
            self._version = version  # only now: what failed is done again after the next look


async def _data_version(tx: Tx) -> int:
    return int(await tx.value(DATA_VERSION))
