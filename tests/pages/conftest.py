"""Browsers for the tests of the pages."""
from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.pages.browser import Page, browsing
from tests.support import Served

Browse = Callable[[Served], Awaitable[Page]]


@pytest.fixture
async def browse(tmp_path: Path) -> AsyncIterator[Browse]:
    """Starts a browser at a server: `await browse(server)`; at the end it may have complained of nothing."""
    opened: list[Page] = []
    async with AsyncExitStack() as stack:
        async def open_one(server: Served) -> Page:
            folder = tmp_path / f"browser{len(opened)}"
            opened.append(await stack.enter_async_context(browsing(folder, server.url)))
            return opened[-1]
        yield open_one
    for page in opened:
        page.judge()


@pytest.fixture
async def page(server: Served, browse: Browse) -> Page:
    """A browser at `server`."""
    return await browse(server)
