"""A client of event streams, made from the standard (WHATWG HTML, 9.2): bytes in, events out."""
from __future__ import annotations

import asyncio
import codecs
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.frames import judge
from tests.support import Served

SIZES = (1, 2, 3, 7, 64, 5, 4096)  # so that pieces end in the middle of everything


@dataclass(frozen=True)
class Event:
    """What a page's listener would get."""

    type: str
    data: str
    last_id: str

    @property
    def frame(self) -> Any:
        """The data, which is a frame."""
        return msgspec.json.decode(self.data)


class Parser:
    """Interprets an event stream, however it is cut into pieces."""

    def __init__(self) -> None:
        self.last_id, self.retry, self.comments = "", None, 0  # type: str, int | None, int
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest, self._begun = "", False
        self._type, self._data, self._id = "", list[str](), ""

    def feed(self, data: bytes, final: bool = False) -> Iterator[Event]:
        """The events that are whole now. What is not at the end is thrown away, as the standard says."""
        self._rest += self._decoder.decode(data, final)
        if not self._begun and self._rest:
            self._begun = True
            self._rest = self._rest.removeprefix("\ufeff")
        while (line := self._line(final)) is not None:
            yield from self._take(line)

    def _line(self, final: bool) -> str | None:
        ends = [at for at in (self._rest.find("\n"), self._rest.find("\r")) if at >= 0]
        if not ends:
            return None
        end = min(ends)
        if self._rest[end] == "\r" and end + 1 == len(self._rest) and not final:
            return None  # a line feed that belongs to it may follow
        behind = end + 2 if self._rest[end:end + 2] == "\r\n" else end + 1
        line, self._rest = self._rest[:end], self._rest[behind:]
        return line

    def _take(self, line: str) -> Iterator[Event]:
        if not line:
            yield from self._dispatch()
        elif line.startswith(":"):
            self.comments += 1
        else:
            name, _, value = line.partition(":")
            self._field(name, value.removeprefix(" "))

    def _field(self, name: str, value: str) -> None:
        if name == "event":
            self._type = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)

    def _dispatch(self) -> Iterator[Event]:
        self.last_id = self._id
        if self._data:
            yield Event(self._type or "message", "\n".join(self._data), self.last_id)
        self._type, self._data = "", []


class Chunks:
    """Takes the chunked coding (RFC 9112, 7.1) off a body."""

    def __init__(self) -> None:
        self.ended = False
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """What of the body is there now."""
        self._rest += data
        body = b""
        while not self.ended:
            size, found, behind = self._rest.partition(b"\r\n")
            length = int(size, 16) if found else 0
            if not found or len(behind) < length + 2:
                break
            assert behind[length:length + 2] == b"\r\n"
            body, self._rest, self.ended = body + behind[:length], behind[length + 2:], length == 0
        return body


class EventSource:
    """One connection to an event stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.parser = Parser()
        self.status, self.headers = 0, dict[str, str]()
        self._chunks: Chunks | None = None
        self._events: list[Event] = []
        self._sizes = itertools.cycle(SIZES)

    async def read_head(self) -> None:
        """The status line and the headers."""
        line, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        self.status = int(line.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._chunks = Chunks() if self.headers.get("transfer-encoding") == "chunked" else None

    @property
    def whole(self) -> bool:
        """Whether the body came to its proper end."""
        return self._chunks is None or self._chunks.ended

    async def next(self, seconds: float = 10.0) -> Event | None:
        """The next event; None at the end. Every one of them is judged."""
        async with asyncio.timeout(seconds):
            while not self._events:
                data = await self.reader.read(next(self._sizes))
                body = self._chunks.feed(data) if self._chunks else data
                self._events += self.parser.feed(body)
                if not data:
                    return None
        event = self._events.pop(0)
        judge(event.data, "stream")
        assert event.frame["type"] == event.type
        return event

    async def expect(self, type_: str) -> Event:
        """The next event, which must be of this type."""
        event = await self.next()
        assert event is not None and event.type == type_, event
        return event

    async def numbers(self, until: int) -> list[int]:
        """The numbers of the events that come, up to this one."""
        found: list[int] = []
        while not found or found[-1] < until:
            event = await self.next()
            assert event is not None and event.last_id == str(event.frame["seq"]), event
            found.append(event.frame["seq"])
        return found

    async def farewell(self) -> int:
        """Reads to the end; the code of the last event."""
        last = None
        while (event := await self.next()) is not None:
            last = event
        assert last is not None and last.type == "end" and self.whole, last
        return int(last.frame["code"])

    async def comment(self, count: int) -> None:
        """Waits until so many comments have come."""
        async with asyncio.timeout(10):
            while self.parser.comments < count:
                body = await self.reader.read(next(self._sizes))
                assert body, "the stream ended"
                self._events += self.parser.feed(self._chunks.feed(body) if self._chunks else body)


@asynccontextmanager
async def event_source(served: Served, token: str | None, *headers: str, query: str = "", method: str = "GET",
                       version: str = "1.1", limit: int = 2**16) -> AsyncIterator[EventSource]:
    """A connection whose head has been read."""
    port = served.foyer.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit)
    lines = [f"{method} /api/events/stream{query} HTTP/{version}", f"Host: 127.0.0.1:{port}", *headers]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    source = EventSource(reader, writer)
    try:
        await source.read_head()
        yield source
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def listening(served: Served, session: Any, after: int | None = None,
                    **options: Any) -> AsyncIterator[EventSource]:
    """An open stream, behind its `ready`."""
    told = [] if after is None else [f"Last-Event-ID: {after}"]
    async with event_source(served, session["access_token"], *told, **options) as source:
        assert source.status == 200, await source.reader.read(2000)
        await source.expect("ready")
        yield source
