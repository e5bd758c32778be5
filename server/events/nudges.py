"""Wakes the sockets of a member when something was written for them."""
from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Listener(Protocol):
    """Somebody who waits for the events of one member."""

    def nudge(self, seq: int, frame: str | None) -> None:
        """Event number `seq` was committed; `frame` is its text, ready to be sent, where it is known. Must not raise or
        block."""


class Nudges:
    """Who listens for whom. A nudge may be lost or doubled: a listener reads the table to be sure."""

    def __init__(self) -> None:
        self._listeners: dict[int, set[Listener]] = {}
        self.elsewhere: Callable[[int, int], None] | None = None  # tells the other processes

    def listen(self, user_id: int, listener: Listener) -> None:
        """From now on `listener` is nudged for the member."""
        self._listeners.setdefault(user_id, set()).add(listener)

    def leave(self, user_id: int, listener: Listener) -> None:
        """Ends what `listen` began; harmless when it had not."""
        listeners = self._listeners.get(user_id)
        if listeners is not None:
            listeners.discard(listener)
            if not listeners:
                del self._listeners[user_id]

    def anybody(self, user_id: int) -> bool:
        """Whether somebody listens for the member."""
        return user_id in self._listeners

    def members(self) -> list[int]:
        """For whom somebody listens."""
        return list(self._listeners)

    def tell(self, user_id: int, seq: int, frame: str | None) -> None:
        """Nudges everybody who listens for the member here."""
        for listener in tuple(self._listeners.get(user_id, ())):
            listener.nudge(seq, frame)
