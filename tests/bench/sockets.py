"""What an idle socket costs, and how long an event takes from its commit to the client, with 10 000 sockets open.

`python -m tests.bench.sockets [--sockets N] [--likes N]`. Each like tells the author of a post, who holds one of the
sockets; both processes read the machine's one monotonic clock.
"""
from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import resource
import tempfile
import time
from pathlib import Path

import uvloop

from tests.bench import data, load
from tests.bench.processes import LOAD_CORE, Server, foyer

PACE = 0.004  # seconds between two likes
UPGRADE = ("GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
           "Authorization: Bearer {}\r\n\r\n")
_SEQ = re.compile(rb'"type":"post_liked","seq":(\d+)')

Received = dict[tuple[int, int], float]


class Socket(asyncio.Protocol):
    """A client that only notes when its events come."""

    def __init__(self, user_id: int, token: str, received: Received) -> None:
        self._user_id, self._token, self._received = user_id, token, received
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Upgrades."""
        self.transport = transport
        transport.write(UPGRADE.format(self._token).encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """`ready`, or an event."""
        now = time.monotonic()
        if b'"ready"' in data and not self.ready.done():
            self.ready.set_result(None)
        for number in _SEQ.findall(data):
            self._received.setdefault((self._user_id, int(number)), now)


class Answers(asyncio.Protocol):
    """The connection over which is liked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers where to write."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers are not looked at: what matters comes over the sockets."""


async def _open(port: int, tokens: list[str], received: Received) -> list[Socket]:
    loop = asyncio.get_running_loop()
    sockets: list[Socket] = []
    for begin in range(0, len(tokens), 100):
        made = [(await loop.create_connection(lambda n=n: Socket(n + 1, tokens[n], received),  # type: ignore[misc]
                                              "127.0.0.1", port))[1]
                for n in range(begin, min(begin + 100, len(tokens)))]
        await asyncio.gather(*(socket.ready for socket in made))
        sockets += made
    return sockets


async def _like(port: int, tokens: list[str], likes: int) -> None:
    _, line = await asyncio.get_running_loop().create_connection(Answers, "127.0.0.1", port)
    choose = random.Random(1)
    for _ in range(likes):
        post, member = choose.randrange(len(tokens)), choose.randrange(len(tokens))
        line.transport.write(load.request("PUT", f"/api/posts/{post + 1}/like",  # type: ignore[attr-defined]
                                          tokens[member]))
        await asyncio.sleep(PACE)


async def _measure(server: Server, tokens: list[str], likes: int) -> Received:
    received: Received = {}
    await _like(server.port, tokens[:2], 20)
    before = server.memory()
    sockets = await _open(server.port, tokens, received)
    await asyncio.sleep(1)
    each = (server.memory() - before) / len(sockets)
    print(f"{len(sockets)} sockets: {each / 1024:.1f} KiB each, the server {server.memory() / 2**20:.0f} MiB")
    await _like(server.port, tokens, likes)
    await asyncio.sleep(1)
    for socket in sockets:
        socket.transport.abort()  # type: ignore[attr-defined]
    return received


def _report(stamps: Path, received: Received) -> None:
    committed = {}
    for text in stamps.read_text().splitlines():
        user_id, seq, at = text.split()
        committed[int(user_id), int(seq)] = float(at)
    waits = sorted(came - committed[key] for key, came in received.items())
    print(f"{len(waits)} events, from the commit to the client: p50 {1000 * waits[len(waits) // 2]:.2f} ms, "
          f"p99 {1000 * waits[int(len(waits) * 0.99)]:.2f} ms, max {1000 * waits[-1]:.2f} ms")


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--likes", type=int, default=2000)
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        path, stamps = Path(folder) / "foyer.db", Path(folder) / "stamps"
        tokens = asyncio.run(data.fill(path, given.sockets, given.sockets))
        with foyer(path, True, ["-m", "tests.bench.stamped"], BENCH_STAMPS=str(stamps)) as server:
            os.sched_setaffinity(0, LOAD_CORE)
            received = uvloop.run(_measure(server, tokens, given.likes))
        _report(stamps, received)


if __name__ == "__main__":
    main()
