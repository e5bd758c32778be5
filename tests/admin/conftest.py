"""A server without outside services, and an administrator of it."""
from __future__ import annotations

import pytest

from tests.accounts.conftest import promptly
from tests.admin.support import Desk
from tests.conftest import Serve
from tests.support import Served

__all__ = ["promptly"]
QUIET = {"sandbox.mode": "off", "limits.enabled": "no"}


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await serve(QUIET)


@pytest.fixture
async def desk(served: Served) -> Desk:
    return await Desk.of(served)
