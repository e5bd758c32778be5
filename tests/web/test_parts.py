"""An answer in parts: whole, or visibly broken off; and no faster than it is read."""
from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict

from server.web import parts
from server.web.parts import PartsResponse
from tests.support import until

Parts = Callable[[], AsyncGenerator[bytes, None]]
Start = Callable[[Parts], Awaitable[str]]
MOST = 2000


class Source:
    """Gives parts, and knows how many were taken and whether it was closed."""

    def __init__(self, number: int, size: int = 100, fails: Exception | None = None) -> None:
        self.number, self.size, self.fails = number, size, fails
        self.taken, self.closed = 0, False

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(self.number):
                self.taken += 1
                yield b"%d" % (number % 10) * self.size
            if self.fails:
                raise self.fails
        finally:
            self.closed = True


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Serves such an answer; its URL."""
    runners: list[web.AppRunner] = []

    async def start_one(source: Parts) -> str:
        async def handle(request: web.Request) -> web.StreamResponse:
            return PartsResponse(source(), 200, CIMultiDict({"Content-Type": "text/plain"}))
        app = web.Application()
        app.router.add_get("/", handle)
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}/"
    yield start_one
    for runner in runners:
        await runner.cleanup()


async def test_the_parts_make_the_whole(start: Start) -> None:
    source = Source(30)
    url = await start(source)
    async with aiohttp.ClientSession() as session:
        for _ in range(2):  # the connection is good for another one
            async with session.get(url) as answer:
                assert await answer.read() == b"".join(b"%d" % (number % 10) * 100 for number in range(30))
        async with session.head(url) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
    assert source.closed


@pytest.mark.parametrize("error", [ValueError("broken"), TimeoutError(), OSError("disk")])
async def test_what_breaks_is_seen(start: Start, error: Exception) -> None:
    source = Source(3, fails=error)
    url = await start(source)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.get(url) as answer:
                await answer.read()
    assert source.closed


async def test_who_does_not_read_is_let_go_of(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SEND_SECONDS", 0.2)
    source = Source(MOST, 100_000)
    url = await start(source)
    async with aiohttp.ClientSession(read_bufsize=1024) as session, session.get(url):
        await until(lambda: source.closed)
    assert source.taken < MOST / 2


async def test_who_goes_away_ends_it(start: Start) -> None:
    source = Source(MOST, 100_000)
    url = await start(source)
    async with aiohttp.ClientSession(read_bufsize=1024) as session:
        answer = await session.get(url)
        answer.close()
        await until(lambda: source.closed)
    assert source.taken < MOST
