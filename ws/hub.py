"""Who is connected here."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.events import Nudges
from server.storage import Database
from server.web.machine import Authenticate
from server.web.route import Member
from ws import protocol

if TYPE_CHECKING:
    from ws.connection import Connection


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every socket works with."""

    database: Database
    authenticate: Authenticate
    nudges: Nudges
    clock: Callable[[], int]
    allows_origin: Callable[[str], bool]
    epoch: str
    most_each: int  # sockets per member


class Hub:
    """The open sockets of this process, by member and by session."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._by_member: dict[int, set[Connection]] = {}
        self._by_session: dict[int, set[Connection]] = {}
        self._all: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.closing = False

    @property
    def count(self) -> int:
        """How many sockets are open."""
        return len(self._all)

    def arrive(self, connection: Connection) -> None:
        """Somebody opened a socket; who, is not known yet."""
        self._all.add(connection)
        self._empty.clear()

    def depart(self, connection: Connection) -> None:
        """The socket is closed."""
        self._all.discard(connection)
        if not self._all:
            self._empty.set()

    def enter(self, connection: Connection, member: Member) -> bool:
        """Adds a socket that has authenticated; False when the member has too many."""
        sockets = self._by_member.setdefault(member.id, set())
        if len(sockets) >= self.surroundings.most_each:
            return False
        sockets.add(connection)
        self._by_session.setdefault(member.session_id, set()).add(connection)
        self.surroundings.nudges.listen(member.id, connection)
        return True

    def move(self, connection: Connection, old: Member, new: Member) -> None:
        """The socket goes on under another session of the same member."""
        _discard(self._by_session, old.session_id, connection)
        self._by_session.setdefault(new.session_id, set()).add(connection)

    def leave(self, connection: Connection, member: Member) -> None:
        """Forgets the socket."""
        self.surroundings.nudges.leave(member.id, connection)
        _discard(self._by_member, member.id, connection)
        _discard(self._by_session, member.session_id, connection)

    def session_ended(self, session_id: int) -> None:
        """Closes the sockets of a session that is over."""
        for connection in tuple(self._by_session.get(session_id, ())):
            connection.end(protocol.UNAUTHORIZED)

    async def close(self, seconds: float = 3.0) -> None:
        """Says good-bye to everybody."""
        self.closing = True
        for connection in tuple(self._all):
            connection.end(protocol.GOING_AWAY)
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            pass


def _discard(index: dict[int, set[Connection]], key: int, connection: Connection) -> None:
    connections = index.get(key)
    if connections is not None:
        connections.discard(connection)
        if not connections:
            del index[key]
