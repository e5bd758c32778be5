"""A database without a server."""
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.referrals.support import HandClock, Place
from tests.support import opened


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def place(tmp_path: Path, clock: HandClock) -> AsyncIterator[Place]:
    database = await opened(tmp_path, clock=clock)
    yield Place(database)
    await database.close()
