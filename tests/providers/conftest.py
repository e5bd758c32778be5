"""A sandbox, the clients against it, time under the test's hand, and a mock of the network."""
from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aioresponses import aioresponses

from server.providers.http import ProviderHttp
from server.providers.pacing import Clocks
from server.sandbox.app import Sandbox, start

Switch = Callable[[str, dict[str, Any]], Awaitable[None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
WebServer = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    running = await start()
    yield running
    await running.close()


@pytest.fixture
async def http() -> AsyncIterator[ProviderHttp]:
    async with ProviderHttp() as session:
        yield session


@pytest.fixture
async def control(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of the test's own, for the sandbox's switches."""
    async with aiohttp.ClientSession(sandbox.url) as session:
        yield session


@pytest.fixture
def switch(control: aiohttp.ClientSession) -> Switch:
    async def put(provider: str, body: dict[str, Any]) -> None:
        async with control.put(f"/_switch/{provider}", json=body) as response:
            assert response.status == 200, await response.text()
    return put


@pytest.fixture
async def web_server() -> AsyncIterator[WebServer]:
    """Starts servers that answer every request by a function of the test; gives their URLs."""
    servers: list[TestServer] = []

    async def begin(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", handler)
        server = TestServer(app)
        await server.start_server(shutdown_timeout=0.1)
        servers.append(server)
        return str(server.make_url("/")).rstrip("/")
    yield begin
    for server in servers:
        await server.close()


class Time:
    """Stands still until a test or a sleep moves it."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.slept: list[float] = []
        self.clocks = Clocks(steady=lambda: self.at, wall=lambda: self.at + 1_700_000_000, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@pytest.fixture
def time() -> Time:
    return Time()


class _Response(aiohttp.ClientResponse):
    """aioresponses 0.7.9 does not know the argument that today's aiohttp requires."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, stream_writer=Mock(output_size=0), **kwargs)


class Network:
    """The mocked network: what the next GETs of a URL give."""

    def __init__(self, mock: aioresponses) -> None:
        self._mock = mock

    def get(self, url: str, **answer: Any) -> None:
        self._mock.get(url, response_class=_Response, **answer)

    @property
    def calls(self) -> int:
        return sum(len(calls) for calls in self._mock.requests.values())

    @property
    def sent(self) -> list[Any]:
        return [call.kwargs for calls in self._mock.requests.values() for call in calls]


@pytest.fixture
def network() -> Iterator[Network]:
    with aioresponses() as mock:
        yield Network(mock)
