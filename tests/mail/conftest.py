"""An office on a database without a server; and no test's log may tell of anybody."""
from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.events.support import Moment
from tests.jobs.support import Yard
from tests.mail.support import Office
from tests.support import PASSWORD, opened


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.fixture
async def office(tmp_path: Path, moment: Moment) -> AsyncIterator[Office]:
    database = await opened(tmp_path, clock=moment)
    yard = Yard(database, moment)
    yield Office(yard)
    await yard.stop()
    await database.close()


@pytest.fixture(autouse=True)
def nothing_private_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails a test in whose log an address, a password or a token stands."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "foyer")
    yield
    for record in caplog.get_records("call"):
        text = record.getMessage() + (record.exc_text or "")
        assert not re.search(r"\S@\S|#token=|[\w-]{22}(?![\w-])", text) and PASSWORD not in text, text
