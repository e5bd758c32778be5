"""A database, a queue and a clock under the hand of a test, and the import in it; a server, and a token for it."""
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.events.support import Moment
from tests.jobs.support import Yard
from tests.people.imports import Imports, Source
from tests.support import Served, opened


@pytest.fixture
async def imports(tmp_path: Path) -> AsyncIterator[Imports]:
    moment = Moment()
    database = await opened(tmp_path, clock=moment)
    yard = Yard(database, moment)
    yield Imports(yard, Source())
    await yard.stop()
    await database.close()


@pytest.fixture
async def server(serve: Serve) -> Served:
    return await serve({"sandbox.mode": "off", "limits.enabled": "no"})


@pytest.fixture
async def token(server: Served) -> str:
    return str((await server.api.sign_up())["access_token"])
