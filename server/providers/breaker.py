"""Stops asking a service that is broken, refuses our key, has no quota left or told us to wait."""
from __future__ import annotations

import logging

from server.core.clock import iso
from server.providers.outcome import Kind, Outcome, not_asked
from server.providers.pacing import Clocks
from server.providers.waits import LONGEST

FAILURES, OPEN_FOR = 5, 30.0
OFF_FOR = {"key": 15 * 60.0, "quota": 3600.0}
_PROBE_WAIT = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
_READY, _OPEN, _OFF = "ready", "open", "off"
_ERRORS = (Kind.BROKEN, Kind.OFF, Kind.LIMITED)

_log = logging.getLogger("foyer.providers")


class Breaker:
    """The state of one service: ready, open (broken) or off (key, quota), and a pause it may have asked for.

    Five broken answers in a row open it for 30 s. When that time, or the time it is off, is over, one call is let
    through; its answer decides. A rate limit pauses all calls, because it is counted by key and not by address, for
    as long as was told but never longer than `longest_pause`.
    """

    def __init__(self, name: str, clocks: Clocks = Clocks(), longest_pause: float = LONGEST) -> None:
        self._name = name
        self._longest_pause = longest_pause
        self._clocks = clocks
        self._state = _READY
        self._reason = ""
        self._until = 0.0
        self._failures = 0
        self._probing = False
        self._paused_until = 0.0
        self._limits = 0
        self._last_error: str | None = None
        self._last_error_at: str | None = None

    def admit(self) -> Outcome | None:
        """None: call, then `record` its outcome or `release`. An Outcome: the answer, without a call."""
        left = self._left(self._until)
        if self._state == _READY:
            pause = self._left(self._paused_until)
            return not_asked(Kind.LIMITED, "pause after a rate limit", pause) if pause else None
        if left or self._probing:
            return self._held(left or _PROBE_WAIT)
        self._probing = True
        return None

    def record(self, outcome: Outcome) -> Outcome:
        """Takes note of a call's outcome and gives it back, with a `wait` where the service named none."""
        self._probing = False
        if outcome.kind in _ERRORS:
            self._last_error, self._last_error_at = outcome.reason, iso(int(self._clocks.wall() * 1000))
        if outcome.kind is Kind.OFF:
            return self._switched_off(outcome)
        if outcome.kind is Kind.BROKEN:
            self._failed()
            return outcome
        self._answered()
        if outcome.kind is Kind.LIMITED:
            return self._limited(outcome)
        self._limits = 0
        return outcome

    def release(self) -> None:
        """The call that was admitted did not take place or was cancelled: it proves nothing."""
        self._probing = False

    def describe(self, held: float = 0.0) -> dict[str, str | None]:
        """The state for /readyz: `state` (ready, open, off), `reason`, `until` (ISO time or None).

        `last_error` and `last_error_at` stay when it is over; None: there was none. `held` is how many seconds our own
        pace makes calls wait.
        """
        last = {"last_error": self._last_error, "last_error_at": self._last_error_at}
        pause = max(held, self._left(self._paused_until))
        if self._state == _READY:
            return {"state": _READY, "reason": "limited" if pause else "", "until": self._iso(pause), **last}
        return {"state": self._state, "reason": self._reason, "until": self._iso(self._left(self._until)), **last}

    def _switched_off(self, outcome: Outcome) -> Outcome:
        lasts = outcome.wait or OFF_FOR.get(outcome.reason, OFF_FOR["quota"])
        self._failures = 0
        self._stop(_OFF, outcome.reason, lasts)
        return Outcome(Kind.OFF, wait=lasts, reason=outcome.reason)

    def _failed(self) -> None:
        self._failures += 1
        probe_failed = self._state != _READY and not self._left(self._until)
        # Calls that began before it opened may still fail: they do not prolong it.
        if probe_failed or (self._state == _READY and self._failures >= FAILURES):
            self._stop(_OPEN, "broken", OPEN_FOR)

    def _answered(self) -> None:
        self._failures = 0
        if self._state == _OFF and self._left(self._until):
            return  # began before it was switched off: says nothing about the key or the quota of now
        if self._state != _READY:
            _log.warning("%s is back", self._name)
        self._state, self._reason = _READY, ""

    def _limited(self, outcome: Outcome) -> Outcome:
        wait = outcome.wait
        if wait is None:
            wait = self._left(self._paused_until) or self._next_pause()
        self._paused_until = max(self._paused_until, self._clocks.steady() + min(wait, self._longest_pause))
        return Outcome(Kind.LIMITED, wait=wait, reason=outcome.reason)

    def _next_pause(self) -> float:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._limits, 10))
        self._limits += 1
        return pause

    def _stop(self, state: str, reason: str, lasts: float) -> None:
        if (self._state, self._reason) != (state, reason):
            _log.warning("%s is %s (%s) for %.0f s", self._name, state, reason, lasts)
        self._state, self._reason = state, reason
        self._until = self._clocks.steady() + lasts

    def _held(self, wait: float) -> Outcome:
        if self._state == _OFF:
            return not_asked(Kind.OFF, self._reason, wait)
        return not_asked(Kind.LIMITED, "breaker open", wait)

    def _left(self, until: float) -> float:
        return max(0.0, until - self._clocks.steady())

    def _iso(self, left: float) -> str | None:
        return iso(int((self._clocks.wall() + left) * 1000)) if left else None
