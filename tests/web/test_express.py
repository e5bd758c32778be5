"""The express lane answers exactly as aiohttp's way does, keeps the order, and lets nothing by that is not plain."""
from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp.http import RawRequestMessage

from server.accounts.queries import hold
from server.storage import Tx
from server.web import protocol
from server.web.express import Express
from server.web.heads import LONGEST, Heads
from tests.conftest import Serve
from tests.enrichment.support import settled
from tests.support import ON_POSTGRES, Answer, Served, until

LONG_WAY = {"X-Long-Way": "please"}  # a header that the lane does not know


@dataclass
class Lane:
    """What went by the lane."""

    taken: int = 0
    sent_on: int = 0
    lines: list[bytes] = field(default_factory=list)


@pytest.fixture
def lane(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lane]:
    """Counts what goes by the lane and what does not."""
    seen = Lane()
    take = Express.take

    def counted(self: Express, line: Any, data: bytes) -> bool:
        taken = take(self, line, data)
        seen.taken += taken
        seen.sent_on += not taken
        if taken:
            seen.lines.append(data.partition(b" HTTP")[0])
        return taken
    monkeypatch.setattr(Express, "take", counted)
    yield seen


def test_the_attributes_of_aiohttp_are_in_place() -> None:
    assert protocol.IN_PLACE


class Raw:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """The next answer."""
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split()[1]), headers, json.loads(body) if body else None

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], Any]:
        """One request and its answer."""
        self.writer.write(data)
        return await self.answer()


@asynccontextmanager
async def raw(server: Served) -> AsyncIterator[Raw]:
    """A connection to the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.foyer.port)
    yield Raw(reader, writer)
    writer.close()


def request(method: str, path: str, token: str, body: bytes = b"", more: str = "") -> bytes:
    """The bytes of a request."""
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: foyer.test\r\nAuthorization: Bearer {token}\r\n{length}{more}\r\n"
    return head.encode() + body


def _shown(answer: Answer) -> Any:
    differ = {"Date", "X-Request-ID"} | ({"Content-Length"} if answer.status >= 400 else set())  # ids have a length too
    headers = {name: value for name, value in answer.headers.items() if name not in differ}
    return answer.status, headers, _without_id(answer.body)


def _without_id(body: Any) -> Any:
    return {name: value for name, value in body.items() if name != "request_id"} if isinstance(body, dict) else body


READS = ("/api/posts", "/api/posts?limit=1", "/api/posts?sort=likes&limit=2", "/api/posts?unliked=true",
         "/api/posts?author=ada", "/api/posts?author=nobody", "/api/posts?limit=0", "/api/posts?limit=x&sort=odd",
         "/api/posts?what=1", "/api/posts?cursor=odd", "/api/posts/1", "/api/posts/2", "/api/posts/99",
         "/api/posts/1/likes", "/api/posts/99/likes", "/api/posts/99999999999999999999")


@pytest.mark.parametrize("path", READS)
async def test_a_read_is_answered_the_same(server: Served, lane: Lane, path: str) -> None:
    ada, bob = [await server.api.sign_up(name) for name in ("ada", "bob")]
    await settled(server)
    for number in range(3):
        await server.api.write_post(ada["access_token"], f"Number {number}")
    await server.api.call("PUT", "/api/posts/1/like", token=bob["access_token"])
    for token in (None, bob["access_token"]):
        long = await server.api.get(path, token=token, headers=LONG_WAY)
        for _ in range(3):  # the block is learnt, then from the database, then from memory
            assert _shown(await server.api.get(path, token=token)) == _shown(long)
    assert lane.taken >= 3, lane


WRITES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/api/posts", {"title": "T", "text": "x", "link": "https://example.org"}),
    ("POST", "/api/posts", {"title": ""}),
    ("POST", "/api/posts", {"title": "T", "text": "a\0b"}),
    ("POST", "/api/posts", [1]),
    ("PATCH", "/api/posts/1", {"title": "Changed"}), ("PATCH", "/api/posts/1", {}), ("PATCH", "/api/posts/99", {}),
    ("PUT", "/api/posts/1/like", None), ("PUT", "/api/posts/2/like", None), ("PUT", "/api/posts/99/like", None),
    ("DELETE", "/api/posts/2/like", None), ("DELETE", "/api/posts/99/like", None),
    ("DELETE", "/api/posts/99", None), ("DELETE", "/api/posts/2", None), ("DELETE", "/api/posts/1", None),
)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_write_is_answered_the_same(serve: Serve, lane: Lane, tmp_path_factory: Any, method: str, path: str,
                                            body: Any) -> None:
    answers = []
    for headers in (LONG_WAY, {}):
        server = await serve(folder=tmp_path_factory.mktemp("one"))
        ada, bob = [await server.api.sign_up(name) for name in ("ada", "bob")]
        await settled(server)
        for member in (ada, bob):
            await server.api.write_post(member["access_token"])
        token, options = ada["access_token"], {} if body is None else {"json": body}
        # The same block of headers with a request that changes nothing, so that it is known.
        await server.api.call(method, "/api/posts/77/like", token=token, headers=headers, **options)
        lane.lines.clear()
        answers.append(_shown(await server.api.call(method, path, token=token, headers=headers, **options)))
        assert bool(lane.lines) is (headers != LONG_WAY), (lane.lines, headers)
    long, express = answers
    assert _timeless(express) == _timeless(long)


def _timeless(shown: Any) -> Any:
    status, headers, body = shown
    if isinstance(body, dict) and isinstance(body.get("data"), dict):
        body["data"].pop("created_at", None), body["data"].pop("edited_at", None)
    return status, headers, body


async def test_what_is_pipelined_is_answered_in_order(server: Served, lane: Lane) -> None:
    ada, bob = [(await server.api.sign_up(name))["access_token"] for name in ("ada", "bob")]
    await server.api.write_post(ada)
    like, take_back = request("PUT", "/api/posts/1/like", bob), request("DELETE", "/api/posts/1/like", bob)
    read, odd = request("GET", "/api/posts/1", bob), request("GET", "/api/posts/1", bob, more="X-Odd: 1\r\n")
    async with raw(server) as line:
        await line.ask(read)
        assert lane.taken == 0
        line.writer.write(like + read)  # two at once go aiohttp's way, and this connection with them
        assert [(await line.answer())[2]["data"]["liked"] for _ in range(2)] == [True, True]
    async with raw(server) as line:
        await line.ask(read)
        for data in (take_back, read, like, read, odd, take_back, odd, like):  # each in a piece of its own
            line.writer.write(data)
            await asyncio.sleep(0)
        said = [(await line.answer())[2]["data"]["liked"] for _ in range(8)]
        assert said == [False, False, True, True, True, False, False, True]
    assert lane.taken >= 1  # how many, is a matter of how the pieces arrived


async def test_a_request_in_pieces_and_more_than_one_are_not_taken(server: Served, lane: Lane) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    whole = request("POST", "/api/posts", token, b'{"title":"T","text":"x"}')
    async with raw(server) as line:
        for cut in (5, len(whole) - 30, len(whole) - 1):
            line.writer.write(whole[:cut])
            await line.writer.drain()
            await asyncio.sleep(0.01)
            assert (await line.ask(whole[cut:]))[0] == 201
    assert lane.taken == 0
    async with raw(server) as line:
        await line.ask(whole)
        assert (await line.ask(whole))[0] == 201
        assert lane.taken == 1
        assert [(await line.ask(whole + whole))[0], (await line.answer())[0]] == [201, 201]
        assert (await line.ask(whole + b"GARBAGE\r\n\r\n"))[0] == 400
    assert lane.taken == 1


@pytest.mark.parametrize("more", ["Expect: 100-continue\r\n", "Connection: close\r\n", "Idempotency-Key: a\r\n",
                                  "X-Request-ID: mine\r\n", "Transfer-Encoding: chunked\r\n", "Upgrade: x\r\n",
                                  "Content-Encoding: gzip\r\n", "Authorization: Bearer again\r\n"])
async def test_what_is_not_plain_is_never_learnt(server: Served, lane: Lane, more: str) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    for _ in range(2):
        async with raw(server) as line:
            line.writer.write(request("GET", "/api/posts", token, more=more) + b"0\r\n\r\n" * ("chunked" in more))
            head = await asyncio.wait_for(line.reader.readuntil(b"\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 ")
    assert lane.taken == 0


async def test_a_token_that_ended_is_refused_on_a_known_block(server: Served, lane: Lane) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    read, end = request("GET", "/api/posts", token), request("POST", "/api/logout", token)
    async with raw(server) as line:
        assert [(await line.ask(read))[0] for _ in range(3)] == [200] * 3
        assert lane.taken == 2
        assert (await line.ask(end))[0] == 204
        status, headers, body = await line.ask(read)
        assert (status, headers["www-authenticate"], body["code"]) == (401, "Bearer", "not_signed_in")


async def test_the_limit_counts_on_both_ways(serve: Serve, lane: Lane) -> None:
    server = await serve({"sandbox.mode": "off", "limits.read": "4/hour"})
    token = (await server.api.sign_up("ada"))["access_token"]
    said = [(await server.api.get("/api/posts", token=token, headers=LONG_WAY if n % 2 else {})).status
            for n in range(6)]
    assert said == [200] * 4 + [429] * 2
    refused = await server.api.get("/api/posts", token=token)
    assert refused.code == "rate_limited" and int(refused.headers["Retry-After"]) > 0
    assert lane.taken >= 2


async def test_behind_a_proxy_the_address_is_the_clients(serve: Serve, lane: Lane) -> None:
    server = await serve({"sandbox.mode": "off", "server.trusted_proxies": "127.0.0.0/8", "limits.read": "2/hour"})
    for address, expected in (("192.0.2.1", [200, 200, 429]), ("192.0.2.2", [200, 200, 429])):
        said = [(await server.api.get("/api/posts", headers={"X-Forwarded-For": address})).status for _ in range(3)]
        assert said == expected
    assert lane.taken >= 4


async def test_a_fault_is_a_problem_and_is_logged(server: Served, lane: Lane, monkeypatch: pytest.MonkeyPatch,
                                                  caplog: pytest.LogCaptureFixture) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]

    async def broken(*args: Any) -> None:
        raise RuntimeError("s3cret inside")
    monkeypatch.setattr(server.foyer.posts, "create", broken)
    for _ in range(2):
        answer = await server.api.post("/api/posts", {"title": "T", "text": "x"}, token=token)
        assert (answer.status, answer.code) == (500, "internal")
        assert b"s3cret" not in answer.raw
    assert lane.taken == 1
    assert len([record for record in caplog.records if record.exc_info]) == 2


async def test_a_client_that_leaves_has_written_all_the_same(server: Served, lane: Lane) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    write = request("POST", "/api/posts", token, b'{"title":"T","text":"x"}')
    async with raw(server) as line:
        await line.ask(write)
        line.writer.write(write)
        line.writer.transport.abort()

    async def both() -> bool:
        return len((await server.api.get("/api/posts")).data) == 2 or lane.taken == 0
    await until(both)


async def test_a_stop_waits_for_the_answer(serve: Serve, lane: Lane) -> None:
    server = await serve()
    token = (await server.api.sign_up("ada"))["access_token"]
    write = request("POST", "/api/posts", token, b'{"title":"T","text":"x"}')
    async with raw(server) as line:
        await line.ask(write)
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        entered = asyncio.Event()

        async def slow(tx: Tx) -> None:
            await hold(tx, 1)
            loop.call_soon_threadsafe(entered.set)
            if ON_POSTGRES:
                await gate.wait()
            else:
                asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(5)
        held = asyncio.create_task(server.foyer.database.write(slow))
        await entered.wait()
        line.writer.write(write)
        await until(lambda: lane.taken == 1)
        stop = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        gate.set()
        assert (await line.answer())[0] == 201
        await stop
        await held


async def _message(server: Served, block: bytes) -> RawRequestMessage:
    """What aiohttp makes of a block."""
    from aiohttp.http_parser import HttpRequestParserPy

    class Nothing:
        _reading_paused = False
    parser = HttpRequestParserPy(Nothing(), asyncio.get_running_loop(), 2**16)  # type: ignore[arg-type]
    messages, _, _ = parser.feed_data(b"GET / HTTP/1.1\r\n" + block)
    return messages[0][0]


async def test_blocks_are_forgotten_when_they_become_too_many(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.web.heads.MOST_BYTES", 1000)
    heads = Heads()
    blocks = [b"Host: a\r\nUser-Agent: " + b"x" * number + b"\r\n\r\n" for number in range(300, 310)]
    for block in blocks:
        heads.learn(block, await _message(server, block))
    assert 0 < len([block for block in blocks if heads.get(block)]) <= 3
    long = b"Host: a\r\nUser-Agent: " + b"x" * LONGEST + b"\r\n\r\n"
    heads.learn(long, await _message(server, long))
    assert heads.get(long) is None
