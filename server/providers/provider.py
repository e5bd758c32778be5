"""What every enrichment provider looks like, and the guarded line each of them calls through."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from server.providers.breaker import Breaker
from server.providers.http import Answer, Endpoint
from server.providers.outcome import Kind, Outcome, not_asked
from server.providers.pacing import Clocks, Pace
from server.providers.waits import LONGEST

# `judge(answer, now)`: what a whole answer means; `now` is the wall clock in Unix seconds.
Judge = Callable[[Answer, float], Outcome]

_LONGEST_QUEUE = 1.0


class Provider(Protocol):
    """A service that may know somebody by an e-mail address."""

    name: str

    async def find(self, email: str) -> Outcome:
        """Asks about one address; never raises for anything the outside does."""

    def describe(self) -> dict[str, object]:
        """`state`, `reason` and `until` for /readyz."""


class Line:
    """One kind of call to one service: breaker, pacing, the call, the verdict."""

    def __init__(self, name: str, endpoint: Endpoint, pace: Pace | None, clocks: Clocks = Clocks(),
                 longest_pause: float = LONGEST) -> None:
        self.breaker = Breaker(name, clocks, longest_pause)
        self._endpoint = endpoint
        self._pace = pace
        self._clocks = clocks

    async def ask(self, path: str, params: Mapping[str, str], judge: Judge, timeout: float) -> Outcome:
        """Asks about one address (in `path` or `params`) within `timeout` seconds in all; raises nothing but
        CancelledError."""
        held = self.breaker.admit()
        if held is not None:
            return held
        try:
            outcome = await self._paced(path, params, judge, timeout)
        except BaseException:
            self.breaker.release()
            raise
        if outcome.asked:
            return self.breaker.record(outcome)
        self.breaker.release()
        return outcome

    def describe(self) -> dict[str, str | None]:
        """The state of the breaker, and whether the pace turns calls away."""
        held = self._pace.free_in() if self._pace else 0.0
        return self.breaker.describe(held if held > _LONGEST_QUEUE else 0.0)

    async def _paced(self, path: str, params: Mapping[str, str], judge: Judge, timeout: float) -> Outcome:
        began = self._clocks.steady()
        # Whoever would wait longer is better off in the job queue than in here, holding a worker.
        if self._pace and not await self._pace.slot(min(_LONGEST_QUEUE, timeout / 4)):
            return not_asked(Kind.LIMITED, "own pace", self._pace.free_in())
        left = timeout - (self._clocks.steady() - began)
        answer = await self._endpoint.get(path, params, left)
        return answer if isinstance(answer, Outcome) else judge(answer, self._clocks.wall())
