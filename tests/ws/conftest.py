"""A server on which nothing happens by itself, and a member of it."""
from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Serve
from tests.support import Served
from tests.ws.support import QUIET


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await serve(QUIET)


@pytest.fixture
async def session(served: Served) -> Any:
    return await served.api.sign_up("ada")
