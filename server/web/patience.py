"""How long clients may keep us waiting, and how much of us they may hold meanwhile."""
from __future__ import annotations

import resource
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

_SHARE = 16  # of the connections that say nothing, one in so many goes when it gets crowded
_OTHER_FILES = 256  # what else may be open: the database, the log, calls to outside services
_MOST_FILES = 65_536


@dataclass(frozen=True, slots=True)
class Patience:
    """The limits; times in seconds, sizes in bytes."""

    first: float = 20.0  # from the connection to the end of the first request's head
    idle: float = 75.0  # from an answer to the end of the next request's head
    body: float = 20.0  # for a whole body
    refused_body: float = 3.0  # for the rest of a body that was answered before it was read
    reading: float = 20.0  # in which a client reads `least` of what waits for it, or is cut off
    least: int = 32 * 1024
    unread: int = 256 * 1024**2  # what may wait for all clients together
    head: int = 32 * 1024  # a request's line and headers together
    connections: int = 2**31
    stop: float = 5.0  # for requests in flight when the server stops


def as_files_allow(patience: Patience) -> Patience:
    """Takes as many open files for this process as it may have; the patience with no more connections than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft == resource.RLIM_INFINITY:
        return patience
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):
            pass  # what we have must do
    return replace(patience, connections=min(patience.connections, max(soft - _OTHER_FILES, soft // 2)))


class Client(Protocol):
    """A connection, as the crowd sees it."""

    @property
    def says_nothing(self) -> bool:
        """Whether no request is under way."""

    def force_close(self) -> None:
        """Ends it once everything has left."""

    def cut_off(self) -> None:
        """Ends it at once, if something waits for it."""


class Crowd:
    """All connections of one server: who must go when they are too many or hold too much."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._waiting: dict[Client, int] = {}  # how much waits for whom, the longest first
        self._unread = 0

    def make_room(self, newcomer: Client, everybody: Iterable[Client]) -> None:
        """There is no room left: connections that say nothing end, the oldest first; without any, the newcomer."""
        silent = [client for client in everybody if client is not newcomer and client.says_nothing]
        for client in silent[:max(1, len(silent) // _SHARE)] or [newcomer]:
            client.force_close()

    def waits(self, client: Client, size: int) -> None:
        """So much waits for the client to read it. When it is too much for all, the longest ones are cut off."""
        self.reads(client)
        self._waiting[client] = size
        self._unread += size
        while self._unread > self.patience.unread:
            longest = next(iter(self._waiting))
            self.reads(longest)
            longest.cut_off()

    def reads(self, client: Client) -> None:
        """Nothing to speak of waits for the client any more."""
        self._unread -= self._waiting.pop(client, 0)
