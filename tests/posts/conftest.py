"""For posts: a server without enrichment, so that no author's name changes by itself while a test compares."""
from __future__ import annotations

import pytest

from tests.conftest import Serve
from tests.support import Served


@pytest.fixture
async def server(serve: Serve) -> Served:
    return await serve({"sandbox.mode": "off", "limits.enabled": "no"})
