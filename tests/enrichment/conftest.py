"""Servers whose time can be put forward."""
from __future__ import annotations

from functools import partial

import pytest

from server import outside
from server import serve as serving
from server.providers.pacing import Clocks
from server.storage import postgres
from tests.enrichment.support import Ahead


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    """The clock of every server that the test starts from now on."""
    clock = Ahead()
    clocks = Clocks(steady=clock.steady, wall=clock.wall)
    for name in ("Hunter", "Clearbit", "Gravatar"):
        monkeypatch.setattr(outside, name, partial(getattr(outside, name), clocks=clocks))
    for name in ("open_database", "Foyer"):
        monkeypatch.setattr(serving, name, partial(getattr(serving, name), clock=clock.now_ms))
    monkeypatch.setattr(postgres, "open_postgres", partial(postgres.open_postgres, clock=clock.now_ms))
    return clock
