"""What a client is done with, on its way to the table: however fast it acknowledges, a few writes a second store it."""
from __future__ import annotations

import asyncio
import logging

from server.core.errors import Problem
from server.events import log as events
from server.storage import Database

log = logging.getLogger("foyer.ws")
PAUSE = 0.05  # seconds between two writes for one connection


class Acks:
    """The newest number that a client has acknowledged; one write at a time, which covers all that came meanwhile."""

    __slots__ = ("newest", "_database", "_stored", "_not_before", "_storing")

    def __init__(self, database: Database) -> None:
        self._database = database
        self.newest = self._stored = 0
        self._not_before = 0.0
        self._storing: asyncio.Task[None] | None = None

    def take(self, member_id: int, seq: int) -> None:
        """All up to `seq`, which was given out, is done with."""
        if seq > self.newest:
            self.newest = seq
            if self._storing is None or self._storing.done():
                self._storing = asyncio.create_task(self._store(member_id))

    async def settled(self) -> None:
        """Returns when everything that was taken is stored, or could not be."""
        if self._storing is not None:
            await asyncio.wait([self._storing])

    async def _store(self, member_id: int) -> None:
        loop = asyncio.get_running_loop()
        while self._stored < self.newest:
            await asyncio.sleep(self._not_before - loop.time())  # the first one goes at once
            self._not_before = loop.time() + PAUSE
            self._stored = self.newest
            await self._write(member_id, self._stored)

    async def _write(self, member_id: int, seq: int) -> None:
        try:
            await self._database.write(events.acknowledge, member_id, seq)
        except Problem:
            pass  # a full disk, say: the events come again after the next connect, and nothing is lost
        except Exception:
            log.exception("an acknowledgement of member %s could not be stored", member_id)
