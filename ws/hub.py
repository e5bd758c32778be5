"""Who is connected here."""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.events import Nudges
from server.storage import Database
from server.web.machine import Authenticate
from server.web.route import Member
from ws import protocol

if TYPE_CHECKING:
    from ws.listening import Listening


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every connection works with."""

    database: Database
    authenticate: Authenticate
    nudges: Nudges
    clock: Callable[[], int]
    allows_origin: Callable[[str], bool]
    epoch: str
    most_each: int  # connections per member


class Hub:
    """The open connections of this process (sockets and event streams), by member and by session."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._by_member: dict[int, set[Listening]] = {}
        self._by_session: dict[int, set[Listening]] = {}
        self._all: set[Listening] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.closing = False

    @property
    def count(self) -> int:
        """How many connections are open."""
        return len(self._all)

    def arrive(self, connection: Listening) -> None:
        """Somebody opened a connection; who, may not be known yet."""
        self._all.add(connection)
        self._empty.clear()

    def depart(self, connection: Listening) -> None:
        """The connection is closed."""
        self._all.discard(connection)
        if not self._all:
            self._empty.set()

    def enter(self, connection: Listening, member: Member) -> bool:
        """Adds a connection that has authenticated; False when the member has too many."""
        connections = self._by_member.setdefault(member.id, set())
        if len(connections) >= self.surroundings.most_each:
            return False
        connections.add(connection)
        self._by_session.setdefault(member.session_id, set()).add(connection)
        self.surroundings.nudges.listen(member.id, connection)
        return True

    def move(self, connection: Listening, old: Member, new: Member) -> None:
        """The connection goes on under another session of the same member."""
        _discard(self._by_session, old.session_id, connection)
        self._by_session.setdefault(new.session_id, set()).add(connection)

    def leave(self, connection: Listening, member: Member) -> None:
        """Forgets the connection."""
        self.surroundings.nudges.leave(member.id, connection)
        _discard(self._by_member, member.id, connection)
        _discard(self._by_session, member.session_id, connection)

    def acknowledged(self, member_id: int) -> int:
        """The newest number that a connection of the member here is done with; it may not be stored yet."""
        return max((connection.acknowledged for connection in self._by_member.get(member_id, ())), default=0)

    def session_ended(self, session_id: int) -> None:
        """Closes the connections of a session that is over."""
        for connection in tuple(self._by_session.get(session_id, ())):
            connection.end(protocol.UNAUTHORIZED)

    def sessions(self) -> Collection[int]:
        """The sessions that have connections here."""
        return self._by_session

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


def _discard(index: dict[int, set[Listening]], key: int, connection: Listening) -> None:
    connections = index.get(key)
    if connections is not None:
        connections.discard(connection)
        if not connections:
            del index[key]
