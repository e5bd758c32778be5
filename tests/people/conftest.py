"""A database, a queue and a clock under the test's hand, and the import in it."""
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.events.support import Moment
from tests.jobs.support import Yard
from tests.people.imports import Imports, Source
from tests.support import opened


@pytest.fixture
async def imports(tmp_path: Path) -> AsyncIterator[Imports]:
    moment = Moment()
    database = await opened(tmp_path, clock=moment)
    yard = Yard(database, moment)
    yield Imports(yard, Source())
    await yard.stop()
    await database.close()
