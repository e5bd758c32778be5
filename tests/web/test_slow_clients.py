"""Clients that are silent, slow, greedy or gone, against a real server process, by raw sockets.

The deadlines are those of the server, only shorter. Where a server is said to bear something, other members are served
meanwhile.
"""
from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.web.patience import Crowd, Patience, as_files_allow
from tests.proofs.processes import READY, Process, ready
from tests.support import Api, database, until

pytestmark = pytest.mark.long  # it waits for deadlines

ROOT = Path(__file__).resolve().parents[2]
HOST = b"Host: foyer.test\r\n"
JSON_TYPE = b"Content-Type: application/json\r\n"
PAGE = b"GET /api/posts?limit=100 HTTP/1.1\r\n" + HOST
LOGIN = b"POST /api/login HTTP/1.1\r\n" + HOST + JSON_TYPE
MIB = 1024**2
POSTS, TEXT = 100, "\u20ac" * 20_000  # a page of them is 6 MB, more than a socket's buffers take


class Client:
    """A socket that reads and writes when it is told to."""

    def __init__(self, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.socket.setblocking(False)

    async def send(self, data: bytes) -> None:
        """Sends all of it."""
        await self._loop.sock_sendall(self.socket, data)

    def send_what_goes(self, data: bytes) -> int:
        """Sends as much as the system takes; how much that was."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0

    async def drip(self, data: bytes, pause: float = 0.02) -> None:
        """Sends a byte and another one, until the server has had enough."""
        with contextlib.suppress(ConnectionError):
            for byte in data:
                await self.send(bytes([byte]))
                await asyncio.sleep(pause)

    async def read(self, size: int = 65536) -> bytes:
        """What there is to read; nothing at the end."""
        return await self._loop.sock_recv(self.socket, size)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := await self.read(MIB):
                parts.append(part)
        return b"".join(parts)

    def reset(self) -> None:
        """Goes without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Target:
    """A server in a process of its own."""

    def __init__(self, process: Process, api: Api, log: Path) -> None:
        self.process, self.api, self.log = process, api, log
        self.pid, self.port = process.handle.pid, int(process.url.rpartition(":")[2])
        self.token = ""
        self.clients: list[Client] = []

    def connect(self) -> Client:
        """A new connection."""
        self.clients.append(Client(self.port))
        return self.clients[-1]

    async def fill(self) -> None:
        """Makes a page that is larger than what a socket's buffers take."""
        self.token = (await self.api.sign_up())["access_token"]
        await asyncio.gather(*(self.api.write_post(self.token, text=TEXT) for _ in range(POSTS)))

    def held(self, *clients: Client) -> int:
        """How many of these connections the server still has (of all, without any)."""
        ours = {f"{client.port:04X}" for client in clients or self.clients}
        found = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, _, _, _, _, _, inode, *_ = line.split()
            found += local.endswith(f":{self.port:04X}") and remote.rpartition(":")[2] in ours and inode != "0"
        return found

    @property
    def memory(self) -> float:
        """The memory of the server, in MiB."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        assert found
        return int(found[1]) / 1024

    async def slowest(self, requests: int = 200) -> float:
        """How long the slowest of a hundred requests takes."""
        seconds = []
        for _ in range(requests):
            begin = time.perf_counter()
            assert (await self.api.get("/livez")).status == 200
            seconds.append(time.perf_counter() - begin)
        return sorted(seconds)[requests * 99 // 100]

    async def serves(self) -> None:
        """Somebody else is served."""
        async with asyncio.timeout(5):
            assert (await self.api.get("/api/posts?limit=1")).status == 200


Start = Callable[..., Awaitable[Target]]


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a server with other limits: `await target(body=0.3)`. Its log must hold nothing unexpected at the end."""
    async with contextlib.AsyncExitStack() as stack:
        async def start(**patience: float) -> Target:
            log = stack.enter_context(open(tmp_path / "log", "wb"))
            began = time.monotonic()
            handle = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.web.impatient", json.dumps(patience), json.dumps(database(tmp_path)),
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
            process = Process(handle)
            stack.push_async_callback(process.kill)
            await ready(process, READY, began)
            connector = aiohttp.TCPConnector(force_close=True)  # each request is somebody new
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            made = Target(process, Api(session, process.url), tmp_path / "log")
            stack.callback(lambda: [client.socket.close() for client in made.clients])
            return made
        yield start
    lines = (tmp_path / "log").read_text().splitlines()
    assert not [line for line in lines if "Traceback" in line or " error " in line], lines


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def _gone(client: Client, seconds: float = 5.0) -> tuple[bytes, float]:
    """Waits until the server ends the connection; what it said, and after how long it ended."""
    begin = time.monotonic()
    async with asyncio.timeout(seconds):
        said = await client.rest()
    return said, time.monotonic() - begin


# -- silence


async def test_who_says_nothing_is_not_waited_for(target: Start) -> None:
    server = await target(first=0.3)
    said, seconds = await _gone(server.connect())
    assert said == b"" and seconds >= 0.2


@pytest.mark.parametrize("patience", [{"first": 0.3}, {"idle": 0.3}], ids=["first", "next"])
async def test_a_head_that_drips_is_not_waited_for(target: Start, patience: dict[str, float]) -> None:
    server = await target(**patience)
    client = server.connect()
    if "idle" in patience:
        await client.send(b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
        assert _status(await client.read()) == 200
    dripping = asyncio.create_task(client.drip(b"GET /livez HTTP/1.1\r\n" + HOST + b"X-Slow: " + b"a" * 1000))
    said, seconds = await _gone(client)
    assert said == b"" and seconds < 2
    await dripping


async def test_a_thousand_silent_connections_slow_nobody_down(target: Start) -> None:
    server = await target()
    await server.slowest()
    before, memory = min([await server.slowest() for _ in range(5)]), server.memory
    silent = [server.connect() for _ in range(1000)]
    await until(lambda: server.held() == 1000)
    for client in silent[::2]:
        await client.send(b"GET /livez HTTP/1.1\r\nX-")
    during = await server.slowest()
    for _ in range(20):  # a machine that is busy with something else is not slowed down by us each time
        during = min(during, during if during < 2 * before else await server.slowest())
    print(f"p99 {before * 1000:.2f} ms before, {during * 1000:.2f} ms during; memory {server.memory - memory:+.1f} MiB")
    assert during < 2 * before and server.memory - memory < 50
    assert await server.process.terminate() == 0


async def test_when_it_is_crowded_who_says_nothing_goes(target: Start) -> None:
    server = await target(connections=40)
    silent = [server.connect() for _ in range(200)]
    await server.serves()
    assert server.held() <= 40
    assert (await _gone(silent[0]))[0] == b""


async def test_a_request_under_way_does_not_go_when_it_is_crowded(target: Start) -> None:
    server = await target(connections=20)
    client = server.connect()
    await client.send(LOGIN + b"Content-Length: 2\r\n\r\n{")
    for _ in range(100):
        server.connect()
    await server.serves()
    await client.send(b"}")
    assert _status(await client.read()) == 422


def test_as_many_connections_as_files() -> None:
    import resource
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        given = as_files_allow(Patience())
        assert 0 < given.connections < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert as_files_allow(Patience(connections=7)).connections == 7
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# -- bodies


@pytest.mark.parametrize("drips", [False, True], ids=["nothing more", "a byte and another"])
async def test_a_body_that_does_not_come_is_not_waited_for(target: Start, drips: bool) -> None:
    server = await target(body=0.3, refused_body=0.3)
    client = server.connect()
    await client.send(LOGIN + b"Content-Length: 100000\r\n\r\n{")
    dripping = asyncio.create_task(client.drip(b" " * (1000 if drips else 0)))
    said, seconds = await _gone(client)
    assert _status(said) == 408 and b'"code":"request_timeout"' in said and b"Connection: close" in said
    assert seconds < 2
    await dripping
    await server.serves()


@pytest.mark.parametrize("head", [b"POST /api/posts HTTP/1.1\r\n", b"POST /nothing HTTP/1.1\r\n",
                                  b"GET /livez HTTP/1.1\r\n"], ids=["not signed in", "not there", "not wanted"])
async def test_a_body_that_nobody_wants_is_not_waited_for(target: Start, head: bytes) -> None:
    server = await target(refused_body=0.3)
    client = server.connect()
    await client.send(head + HOST + JSON_TYPE + b"Content-Length: 100000\r\n\r\n{")
    dripping = asyncio.create_task(client.drip(b" " * 1000))
    said, seconds = await _gone(client)
    assert _status(said) in (200, 401, 404) and seconds < 2
    await dripping


async def test_an_endless_body_is_refused(target: Start) -> None:
    server = await target(refused_body=0.3)
    memory = server.memory
    client = server.connect()
    await client.send(LOGIN + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"

    async def flood() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await client.send(chunk)
    flooding = asyncio.create_task(flood())
    said, _ = await _gone(client)
    assert _status(said) == 413 and server.memory - memory < 50
    await flooding


@pytest.mark.parametrize("head", [LOGIN, b"POST /api/posts HTTP/1.1\r\n" + HOST + JSON_TYPE], ids=["read", "not read"])
async def test_a_bomb_does_not_go_off(target: Start, head: bytes) -> None:
    server = await target(refused_body=0.5)
    memory = server.memory
    bomb = gzip.compress(b" " * 100 * MIB)
    clients = [server.connect() for _ in range(5)]
    head += b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    sent = asyncio.gather(*(client.send(head + bomb) for client in clients), return_exceptions=True)
    assert {_status(await client.read()) for client in clients} <= {401, 413}
    await server.serves()
    assert server.memory - memory < 50
    await sent


async def test_who_goes_in_the_middle_of_a_body_leaves_nothing_behind(target: Start) -> None:
    server = await target()
    for number in range(100):
        client = server.connect()
        await client.send(LOGIN + b"Content-Length: 100000\r\n\r\n" + b" " * number * 500)
        client.reset()
    await until(lambda: not server.held())
    await server.serves()


# -- heads


async def test_heads_that_are_too_long_are_refused(target: Start) -> None:
    server = await target()
    await server.serves()
    memory = server.memory
    head = b"GET /livez HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: " % n + b"a" * 8000 + b"\r\n" for n in range(120))
    clients = [server.connect() for _ in range(100)]

    async def send(client: Client) -> None:
        with contextlib.suppress(ConnectionError):
            await client.send(head)
    await asyncio.gather(*map(send, clients))
    assert server.memory - memory < 50
    client = server.connect()
    await client.send(head[:33_000])
    said, _ = await _gone(client)
    assert _status(said) == 431 and b'"code":"header_too_large"' in said
    await server.serves()


async def test_a_large_body_is_no_head(target: Start) -> None:
    server = await target()
    token = (await server.api.sign_up())["access_token"]
    for _ in range(3):
        await server.api.write_post(token, text=TEXT)
    client = server.connect()
    one = LOGIN + b"Content-Length: 40000\r\n\r\n{" + b" " * 39_999
    await client.send(one * 3 + PAGE.replace(b"100", b"1") + b"\r\n")
    for status in (400, 400, 400, 200):
        answer = await _answer(client)
        assert _status(answer) == status


async def _answer(client: Client) -> bytes:
    """One whole answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await client.read(1)
    found = re.search(rb"Content-Length: (\d+)", data)
    assert found
    length = len(data) + int(found[1])
    while len(data) < length:
        data += await client.read(length - len(data))
    return data


# -- answers


@pytest.mark.parametrize("end", [b"\r\n", b"Connection: close\r\n\r\n"], ids=["kept", "closed"])
async def test_an_answer_that_nobody_reads_is_given_up(target: Start, end: bytes) -> None:
    server = await target(reading=0.4)
    await server.fill()
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        await client.send(PAGE + end)
    await until(lambda: server.held() == 5)
    await server.serves()
    await until(lambda: not server.held())
    said, _ = await _gone(clients[0])
    assert len(said) < POSTS * len(TEXT.encode())


async def test_a_small_rest_that_nobody_reads_is_given_up(target: Start) -> None:
    """What fits into the buffers of the transport holds no handler, but would hold a closed connection for ever."""
    server = await target(reading=0.4)
    await server.fill()
    client = server.connect()
    await client.send(PAGE.replace(b"100", b"2") + b"Connection: close\r\n\r\n")
    await until(lambda: server.held() == 1)
    await until(lambda: not server.held())


async def test_who_reads_slowly_gets_everything(target: Start) -> None:
    server = await target(reading=0.3)
    await server.fill()
    client = server.connect()
    await client.send(PAGE + b"Connection: close\r\n\r\n")
    size, begin = 0, time.monotonic()
    async with asyncio.timeout(20):
        while part := await client.read(MIB // 8):
            size += len(part)
            if time.monotonic() - begin < 1.5:
                await asyncio.sleep(0.01)
    assert size > POSTS * len(TEXT.encode()) and time.monotonic() - begin > 3 * 0.3


async def test_a_flood_of_requests_without_reading_costs_little(target: Start) -> None:
    server = await target(stop=2)
    await server.fill()
    memory = server.memory
    client = server.connect()
    requests, sent = (PAGE + b"\r\n") * 400_000, 0
    took = -1
    while took:
        took = client.send_what_goes(requests[sent:sent + 65536])
        sent += took
        if not took:
            await server.serves()
            took = client.send_what_goes(requests[sent:sent + 65536])
            sent += took
    assert sent < len(requests) and server.memory - memory < 64
    begin = time.monotonic()
    assert await server.process.terminate() == 0
    assert time.monotonic() - begin < 3.5  # aiohttp alone waits twice


class _Reader:
    """A connection, as the crowd sees it."""

    says_nothing = True

    def __init__(self) -> None:
        self.ended = ""

    def force_close(self) -> None:
        self.ended = "closed"

    def cut_off(self) -> None:
        self.ended = "cut off"


def test_what_waits_for_all_together_has_a_limit() -> None:
    crowd = Crowd(Patience(unread=100))
    first, second, third = _Reader(), _Reader(), _Reader()
    crowd.waits(first, 40)
    crowd.waits(second, 40)
    crowd.waits(first, 30)  # it has read something, so it is the newest again
    crowd.waits(third, 35)
    assert (first.ended, second.ended, third.ended) == ("", "cut off", "")
    crowd.reads(first)
    crowd.reads(first)
    crowd.waits(second, 64)
    assert (first.ended, third.ended) == ("", "")
    alone: Any = _Reader()
    Crowd(Patience(unread=10)).waits(alone, 11)
    assert alone.ended == "cut off"
