"""Keeps our own calls under a service's published rate, since none of them tells what is left of it."""
from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

# Calls sent evenly can arrive unevenly: our windows are a little longer than theirs.
_SECOND, _MINUTE, HOUR = 1.05, 61.0, 3620.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """Time, handed in: `steady` never jumps, `wall` is Unix seconds."""

    steady: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Pace:
    """At most `per_second` calls in any second and `most` in any window (a minute), first come, first served."""

    def __init__(self, per_second: int, most: int, clocks: Clocks = Clocks(), window: float = _MINUTE) -> None:
        self._per_second = per_second
        self._most, self._window = most, window
        self._clocks = clocks
        # The times of the last calls, those included that are still waiting for their turn.
        self._taken: deque[float] = deque(maxlen=max(per_second, most))

    async def slot(self, within: float) -> bool:
        """Waits for a free slot; False, at once, if none comes free within so many seconds.

        A slot once given is used up, also when the waiting task is cancelled: too slow is safe, too fast is not.
        """
        wait = self.free_in()
        if wait > within:
            return False
        self._taken.append(self._clocks.steady() + wait)
        if wait > 0:
            await self._clocks.sleep(wait)
        return True

    def free_in(self) -> float:
        """Seconds until the next slot; 0.0 if there is one now."""
        now = self._clocks.steady()
        turn = max(now, self._after(self._per_second, _SECOND), self._after(self._most, self._window))
        return turn - now

    def _after(self, calls: int, window: float) -> float:
        return self._taken[-calls] + window if len(self._taken) >= calls else 0.0
