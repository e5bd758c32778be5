"""A fake server on a free port, and a client signed in at it that never really waits."""

from collections.abc import AsyncIterator

import pytest

from bot.client import FoyerClient
from tests.bot.fake_server import FakeServer


@pytest.fixture
def slept() -> list[float]:
    """How long the client would have waited."""
    return []


@pytest.fixture
async def fake() -> FakeServer:
    return FakeServer()


@pytest.fixture
async def url(fake: FakeServer) -> AsyncIterator[str]:
    server = await fake.start()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


@pytest.fixture
async def stranger(url: str, slept: list[float]) -> AsyncIterator[FoyerClient]:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with FoyerClient(url, sleep=sleep) as client:
        yield client


@pytest.fixture
async def ada(stranger: FoyerClient) -> FoyerClient:
    await stranger.sign_up("ada", "ada@example.org", "a long password")
    return stranger
