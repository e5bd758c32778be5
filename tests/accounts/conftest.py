"""A server whose clock is in the test's hand."""
from __future__ import annotations

import pytest

from server.accounts import recovery
from server.core.clock import now_ms
from tests.support import Served


class HandClock:
    """The server's time; `wait(seconds)` moves it on."""

    def __init__(self, served: Served) -> None:
        self.ahead = 0.0
        for holder in (served.foyer.database, served.foyer.tokens, served.foyer.gate):
            assert hasattr(holder, "_clock")
            holder._clock = self  # type: ignore[attr-defined]

    def __call__(self) -> int:
        return now_ms() + int(self.ahead * 1000)

    def wait(self, seconds: float) -> None:
        """So many seconds pass."""
        self.ahead += seconds


@pytest.fixture
async def clock(server: Served) -> HandClock:
    return HandClock(server)


@pytest.fixture
def promptly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The letter to somebody who forgot their password is written at once."""
    monkeypatch.setattr(recovery, "SOONEST", 0)
    monkeypatch.setattr(recovery, "LATEST", 0)
