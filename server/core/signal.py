"""A flag that one task can wait for."""
from __future__ import annotations

import asyncio


class Signal:
    """`asyncio.Event` for a single waiter: a tenth of its size, which counts where every open socket has some."""

    __slots__ = ("_set", "_waiter")

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wakes who waits, now or later."""
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """Who waits from now on, waits for the next `set`."""
        self._set = False

    async def wait(self) -> None:
        """Returns once the flag is set."""
        if not self._set:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
