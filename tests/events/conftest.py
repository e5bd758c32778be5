"""A database with members and without a server, and time under the test's hand."""
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.events import EventLog, Nudges
from server.storage import Database
from tests.events.support import Log, Moment
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
async def log(database: Database, moment: Moment) -> Log:
    made = Log(database, EventLog(Nudges()), moment)
    for number in range(1, 4):
        await made.add_member(number)
    return made
