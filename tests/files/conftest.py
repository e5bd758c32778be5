"""A server whose cell is a stand-in, and two members."""
from __future__ import annotations

import pytest

from server.storage import postgres
from tests.files.support import Cell
from tests.support import Served


@pytest.fixture
async def cell(server: Served) -> Cell:
    """The stand-in for flake8's processes in `server`."""
    return Cell.of(server)


class Dice:
    """What a transaction of PostgreSQL throws after a collision (a deadlock, say) to know how long it waits."""

    def __init__(self) -> None:
        self.thrown = 0

    def uniform(self, low: float, high: float) -> float:
        self.thrown += 1
        return high


@pytest.fixture
def dice(monkeypatch: pytest.MonkeyPatch) -> Dice:
    """Counts the collisions."""
    made = Dice()
    monkeypatch.setattr(postgres, "random", made)
    return made


@pytest.fixture
async def ada(server: Served) -> str:
    """A member's access token."""
    return str((await server.api.sign_up("ada"))["access_token"])


@pytest.fixture
async def bob(server: Served) -> str:
    """Another one's."""
    return str((await server.api.sign_up("bob"))["access_token"])
