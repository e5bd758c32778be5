"""Word between the processes that share a PostgreSQL: LISTEN and NOTIFY on a connection of its own.

What travels is a hint ("member 7 has event 12", "post 5 is another one"); the truth stands in the tables, so a doubled
hint is harmless. PostgreSQL lets only one transaction at a time commit a NOTIFY, so what happens often is not told in
the transaction that did it: it is gathered, and told for many commits at once. A hint can be lost that way, when its
process is killed in between, or when the connection is; then there is *doubt*, and whoever remembers anything looks
it up again. That others live is known from their beat.
"""
from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

log = logging.getLogger("foyer.storage")
NOTIFY = "SELECT pg_notify('foyer', $1)"
MOST_BYTES = 7000  # of the 8000 that a payload may have
BEAT = 0.5  # seconds between two signs of life
SILENCE = 3.0  # after so many seconds without one, a process counts as killed
AWAY = 0.3  # seconds between two tries to connect; there is doubt after each
PATIENCE = 2.0  # how long a NOTIFY may take
BYE = "bye"
CHANGED = "changed"  # said by a command that has written past all who remember

Hear = Callable[[str, int], None]  # what was told, and how often


class Channel:
    """This process's end."""

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        self.name = secrets.token_hex(4)
        self._connect = connect
        self._listeners: dict[str, Hear] = {}
        self._doubts: Callable[[], Awaitable[None]] | None = None
        self._waiting: dict[str, int] = {}  # in their order, with how often each was told
        self._wake, self._lost = asyncio.Event(), asyncio.Event()
        self._peers: dict[str, float] = {}
        self._doubtful = False
        self._task: asyncio.Task[None] | None = None

    def listen(self, topic: str, listener: Hear) -> None:
        """Gives what others tell about the topic to `listener`."""
        self._listeners[topic] = listener

    def doubt(self, doubts: Callable[[], Awaitable[None]]) -> None:
        """`doubts` is called when something may have been missed."""
        self._doubts = doubts

    def tell(self, topic: str, text: str) -> None:
        """Tells all others, soon."""
        line = f"{topic} {text}"
        self._waiting[line] = self._waiting.get(line, 0) + 1
        self._wake.set()

    def payload(self, *lines: str) -> str:
        """What is sent, so that the others know from whom it comes."""
        return "\n".join((self.name, *lines))

    async def start(self) -> None:
        """Begins to listen; returns once nothing is missed any more."""
        connection = await self._open()
        self._task = asyncio.create_task(self._run(connection))

    async def stop(self) -> None:
        """Says what is still to be said, and ends; harmless when it was not begun."""
        if self._task is None:
            return
        self.tell(BYE, "")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _open(self) -> Any:
        connection = await self._connect()
        self._lost.clear()
        connection.add_termination_listener(lambda _: self._end())
        await connection.add_listener("foyer", self._hear)
        return connection

    def _end(self) -> None:
        self._lost.set()
        self._wake.set()

    async def _run(self, connection: Any) -> None:
        while True:
            try:
                await self._serve(connection)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                log.warning("the other processes cannot be heard: %s", type(error).__name__)
            connection = await self._again()

    async def _again(self) -> Any:
        while True:
            self._peers.clear()
            await self._say_doubt()
            await asyncio.sleep(AWAY)
            try:
                connection = await self._open()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                continue
            await self._say_doubt()
            log.warning("the other processes can be heard again")
            return connection

    async def _serve(self, connection: Any) -> None:
        try:
            while not self._lost.is_set():
                await self._send(connection)
                await self._look_for_silence()
                await self._pause()
            raise ConnectionResetError
        except asyncio.CancelledError:
            await self._send(connection)
            raise
        finally:
            connection.terminate()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(BEAT):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _send(self, connection: Any) -> None:
        """Tells what waits, in as few messages as it fits; a beat when nothing does."""
        lines, self._waiting = [f"{line} {count}" for line, count in self._waiting.items()], {}
        while True:
            taken, size = 0, 0
            while taken < len(lines) and size < MOST_BYTES:
                size += len(lines[taken].encode()) + 1
                taken += 1
            await connection.fetchval(NOTIFY, self.payload(*lines[:taken]), timeout=PATIENCE)
            del lines[:taken]
            if not lines:
                return

    def _hear(self, connection: Any, process: int, channel: str, payload: str) -> None:
        name, *lines = payload.split("\n")
        if name == self.name:
            return
        self._peers[name] = time.monotonic()
        for line in lines:
            topic, _, rest = line.partition(" ")
            if topic == BYE:
                self._peers.pop(name, None)
            elif topic == CHANGED:
                self._doubtful = True
                self._wake.set()
            elif topic in self._listeners:
                self._tell_listener(topic, *rest.rsplit(" ", 1))

    def _tell_listener(self, topic: str, text: str, count: str) -> None:
        try:
            self._listeners[topic](text, int(count))
        except Exception:
            log.exception("what another process tells about %s cannot be used", topic)

    async def _look_for_silence(self) -> None:
        now = time.monotonic()
        silent = [name for name, heard in self._peers.items() if now - heard > SILENCE]
        for name in silent:
            del self._peers[name]
        if silent:
            log.warning("%s other process(es) fell silent: what they did last may not have been told", len(silent))
        if silent or self._doubtful:
            self._doubtful = False
            await self._say_doubt()

    async def _say_doubt(self) -> None:
        if self._doubts is not None:
            try:
                await self._doubts()
            except Exception as error:
                log.warning("what is remembered cannot be looked up again now: %s", error)
