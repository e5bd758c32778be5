"""What every enrichment provider looks like, and the guarded line each of them calls through."""
from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from server.providers.breaker import Breaker
from server.providers.http import Answer, Endpoint
from server.providers.outcome import Kind, Outcome, not_asked
from server.providers.pacing import Clocks, Pace

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

    def __init__(self, name: str, endpoint: Endpoint, pace: Pace | None, clocks: Clocks = Clocks()) -> None:
        self.breaker = Breaker(name, clocks)
        self._endpoint = endpoint
        self._pace = pace
        self._clocks = clocks

    async def ask(self, path: str, email: str, judge: Judge, timeout: float) -> Outcome:
        """Asks about one address within `timeout` seconds in all; raises nothing but CancelledError."""
        held = self.breaker.admit()
        if held is not None:
            return held
        try:
            outcome = await self._paced(path, email, judge, timeout)
        except BaseException:
            self.breaker.release()
            raise
        if outcome.asked:
            return self.breaker.record(outcome)
        self.breaker.release()
        return outcome

    async def _paced(self, path: str, email: str, judge: Judge, timeout: float) -> Outcome:
        began = self._clocks.steady()
        # Whoever would wait longer is better off in the job queue than in here, holding a worker.
        if self._pace and not await self._pace.slot(min(_LONGEST_QUEUE, timeout / 4)):
            return not_asked(Kind.LIMITED, "own pace", self._pace.free_in())
        left = timeout - (self._clocks.steady() - began)
        answer = await self._endpoint.get(path, {"email": email}, left)
        return answer if isinstance(answer, Outcome) else judge(answer, self._clocks.wall())
