"""A database, a queue, a clock under the test's hand, and workers that are stopped in the end."""
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.storage import Database
from tests.events.support import Moment
from tests.jobs.support import Yard
from tests.support import opened


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
async def database(tmp_path: Path, moment: Moment) -> AsyncIterator[Database]:
    database = await opened(tmp_path, clock=moment)
    yield database
    await database.close()


@pytest.fixture
async def yard(database: Database, moment: Moment) -> AsyncIterator[Yard]:
    made = Yard(database, moment)
    yield made
    await made.stop()
