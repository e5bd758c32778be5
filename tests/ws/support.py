"""What the tests of the socket share."""
from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from server.accounts.verification import EMAIL_VERIFIED, Verified
from server.core.clock import iso
from server.enrichment.model import ENRICHED, Enriched, Field
from server.posts.service import POST_LIKED, Liking, LikeNews
from server.storage import Tx
from tests import frames
from tests.support import Served, frame, until

QUIET = {"sandbox.mode": "off", "limits.enabled": "no"}  # the one event of a new member is there at once


def _liked(size: int) -> str:
    return POST_LIKED.encode(LikeNews(1, Liking(2, "x" * size), 1))


def _enriched(size: int) -> str:
    fields = {"bio": Field("x" * size, "clearbit", iso(0))}
    return ENRICHED.encode(Enriched(status="found", provider="clearbit", attempts=1, updated_at=iso(0),
                                    next_attempt_at=None, fields=fields))


def _verified(size: int) -> str:
    return EMAIL_VERIFIED.encode(Verified("valid"))


DATA = {POST_LIKED.name: _liked, ENRICHED.name: _enriched, EMAIL_VERIFIED.name: _verified}


async def many(served: Served, session: Any, count: int, type_: str = "post_liked", size: int = 1) -> None:
    """Appends events for the member, in one transaction. `size`: of the text in each, where there is one."""
    data = DATA[type_](size)

    async def append(tx: Tx) -> None:
        for _ in range(count):
            await served.foyer.events.append(tx, session["user"]["id"], type_, data)
    await served.foyer.database.write(append)


async def numbers(socket: aiohttp.ClientWebSocketResponse, until_seq: int) -> list[int]:
    """The numbers of the events that come, up to this one."""
    found: list[int] = []
    while not found or found[-1] < until_seq:
        message = await socket.receive_json(timeout=10)
        assert "seq" in message, message
        found.append(message["seq"])
    return found


async def opened(served: Served, session: Any, after: int | None = None) -> aiohttp.ClientWebSocketResponse:
    """A socket that has authenticated by its first frame and got `ready`."""
    socket = await served.socket()
    told = {} if after is None else {"after": after}
    await socket.send_json({"type": "auth", "token": session["access_token"], **told})
    await frame(socket, "ready")
    return socket


async def quiet(served: Served) -> None:
    """Waits until the server knows of no socket any more."""
    await until(lambda: served.foyer.hub.count == 0 and not served.foyer.nudges._listeners)


class Raw:
    """A WebSocket without a client library: it can be silent, deaf and rude."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, payload: bytes, opcode: int = 1, final: bool = True) -> None:
        """One masked frame."""
        self.writer.write(masked(payload, opcode, final))

    async def receive(self) -> tuple[int, bytes]:
        """One frame: opcode and payload."""
        head = await self.reader.readexactly(2)
        size = head[1] & 127
        if size == 126:
            size = struct.unpack(">H", await self.reader.readexactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", await self.reader.readexactly(8))[0]
        opcode, payload = head[0] & 15, await self.reader.readexactly(size)
        if opcode == 1:
            frames.judge(payload)
        elif opcode == 8:
            frames.judge_code(int.from_bytes(payload[:2], "big"))
        return opcode, payload

    async def close_code(self) -> int | None:
        """Reads on to the closing frame; None when the connection ends without one."""
        try:
            while True:
                opcode, payload = await self.receive()
                if opcode == 8:
                    return int(struct.unpack(">H", payload[:2])[0])
        except (asyncio.IncompleteReadError, ConnectionError):
            return None


def masked(payload: bytes, opcode: int = 1, final: bool = True) -> bytes:
    """A client's frame, with a mask of zeros."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", opcode | 128 * final, 128 | size)
    elif size < 65536:
        head = struct.pack(">BBH", opcode | 128 * final, 128 | 126, size)
    else:
        head = struct.pack(">BBQ", opcode | 128 * final, 128 | 127, size)
    return head + bytes(4) + payload


@asynccontextmanager
async def raw(served: Served, *headers: str, first: bytes = b"", limit: int = 2**16) -> AsyncIterator[Raw]:
    """A socket after the upgrade; `first` travels in the same packet as the request."""
    port = served.foyer.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ["GET /ws HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers, "", ""]
    writer.write("\r\n".join(lines).encode() + first)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101"), answer
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
