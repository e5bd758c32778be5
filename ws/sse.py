"""The same events as server-sent events (WHATWG HTML, section 9.2), for whoever cannot or need not open a socket."""
from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from server.core.errors import FieldError, Problem
from server.web import bodies, reply
from server.web.fields import Seq
from server.web.route import Call, Member, Route, bearer
from server.web.schemas import ID
from ws import protocol
from ws.hub import Hub
from ws.listening import Ended, Listening
from ws.protocol import HEARTBEAT, SEND_SECONDS, End, text_of

MEDIA = "text/event-stream"
LAST_EVENT_ID = "Last-Event-ID"
KEEP_ALIVE = b": still here\n\n"
CLOSE_SECONDS = 2.0
RETRY_MS, SPREAD_MS = 1000, 2000  # not all come back in the same moment when the server starts anew
UNBUFFERED = {"X-Accel-Buffering": "no"}  # as nginx is told


class From(msgspec.Struct, forbid_unknown_fields=True):
    """Where the stream begins: behind `after`, else behind the last acknowledged one."""

    after: Seq | None = None


class _Head(msgspec.Struct):
    """What of a frame stands outside of `data`, too."""

    type: str
    seq: int | None = None
    first: int | None = msgspec.field(name="from", default=None)


_head = msgspec.json.Decoder(_Head)


def block(frame: str) -> bytes:
    """A frame as an event of the stream."""
    head = _head.decode(frame)
    last = None if head.type == "ready" else head.seq
    if head.first is not None:
        last = head.first - 1  # so that a client which comes again goes on behind the gap
    number = "" if last is None else f"id: {last}\n"
    lines = re.sub("\r\n?|\n", "\ndata: ", frame)
    return f"{number}event: {head.type}\ndata: {lines}\n\n".encode()


class EventStream(Listening):
    """A member's event stream."""

    __slots__ = ("_keep_alive", "_ready")

    def __init__(self, hub: Hub, send_seconds: float, keep_alive: float) -> None:
        super().__init__(hub, send_seconds)
        self._keep_alive = keep_alive
        self._ready = ""

    async def open(self, member: Member, token: str, after: int | None) -> None:
        """Takes its place among the member's connections; raises Problem."""
        self._hub.arrive(self)
        try:
            if not self._hub.enter(self, member):
                raise _too_many(self._hub.surroundings.most_each)
            self._member = member
            # The session may have ended before the hub knew of this stream.
            self._ready = await self._begin(await self._hub.surroundings.authenticate(token), after)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Gives its place back."""
        self._cancel_expiry()
        self._forget()

    async def run(self, body: Body, transport: asyncio.Transport | None) -> None:
        """Writes events until the stream ends, and why it did."""
        await self._until_ended(partial(self._write, body))
        try:
            if self._code == protocol.TOO_SLOW:
                raise TimeoutError  # nothing more would be read
            async with asyncio.timeout(CLOSE_SECONDS):
                await body.write(block(self._farewell()))
                await body.finish()
        except TimeoutError:
            if transport is not None:
                transport.abort()  # what was never read would keep the connection open

    def _farewell(self) -> str:
        code = self._code or protocol.GOING_AWAY
        return text_of(End(code, protocol.REASONS[code]))

    async def _write(self, body: Body) -> None:
        assert self._member is not None
        await self._send(body, b"retry: %d\n" % (RETRY_MS + self._member.id % SPREAD_MS) + block(self._ready))
        while True:
            while self._due:
                for frame in await self._next_frames():
                    await self._send(body, block(frame))
            await self._wait(body)

    async def _wait(self, body: Body) -> None:
        """Until there may be something to send. Proxies end a connection that is silent for a minute, often."""
        try:
            async with asyncio.timeout(self._keep_alive):
                await self._wake.wait()
        except TimeoutError:
            await self._send(body, KEEP_ALIVE)
        self._wake.clear()

    async def _send(self, body: Body, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._send_seconds):
                await body.write(data)
        except TimeoutError:
            self._log_too_slow()
            raise Ended(protocol.TOO_SLOW) from None


class Body(web.StreamResponse):
    """An answer that goes on: the handler gives it back at once, so what is measured is how long the opening took."""

    def __init__(self, stream: EventStream, headers: CIMultiDict[str], silence: float) -> None:
        super().__init__(headers=headers)
        self._stream, self._silence = stream, silence
        self._request: web.BaseRequest | None = None
        self.force_close()  # what the client sends meanwhile is not looked at

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends the head."""
        self._request = request
        try:
            return await super().prepare(request)
        except BaseException:
            self._stream.leave()
            raise

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends everything else."""
        assert self._request is not None
        try:
            _watch(self._request, partial(self._stream.end, protocol.GOING_AWAY), self._silence)
            await self._stream.run(self, self._request.transport)
        finally:
            self._stream.leave()

    async def finish(self) -> None:
        """Ends the body."""
        await super().write_eof()


class _Watch:
    """Hears what aiohttp tells the reader of an upgraded connection."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Whatever a client says to a stream."""
        return False, b""

    def feed_eof(self) -> None:
        """The connection is lost."""
        self._gone()


def _watch(request: web.BaseRequest, gone: Callable[[], None], silence: float) -> None:
    """Calls `gone` when the client hangs up; one that fell silent is given up after so many seconds."""
    if request.transport is None:
        return gone()
    request.protocol.set_parser(_Watch(gone), lambda: None)  # type: ignore[arg-type]
    line = request.transport.get_extra_info("socket")
    if line is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with suppress(OSError):
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silence * 1000))


def _too_many(most: int) -> Problem:
    return Problem("rate_limited", f"The limit 'sockets' is {most} sockets and event streams at once; close one.",
                   headers={"Retry-After": "5", "RateLimit-Policy": f'"sockets";q={most}', "RateLimit-Limit": str(most),
                            "RateLimit-Remaining": "0", "RateLimit-Reset": "5"})


def accepts(header: str) -> bool:
    """Whether an `Accept` header takes an event stream: its closest range decides."""
    ranges = {}
    for part in header.lower().split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        ranges[kind] = not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    told = [ranges[kind] for kind in (MEDIA, "text/*", "*/*") if kind in ranges]
    return told[0] if told else not header.strip()


def _after(call: Call) -> int | None:
    """Where to begin. A client that comes again asks for the same address, so the header is newer than the query."""
    header = call.request.headers.get(LAST_EVENT_ID)
    if not header:
        return (call.query or From()).after
    if not (header.isascii() and header.isdigit()) or len(header) > 16 or int(header) > protocol.MAX_SEQ:
        raise bodies.invalid([FieldError(LAST_EVENT_ID, "bad_format", "must be the number of an event")])
    return int(header)


def route(hub: Hub, send_seconds: float = SEND_SECONDS, keep_alive: float = HEARTBEAT) -> Route:
    """GET /api/events/stream."""
    async def stream(call: Call) -> web.StreamResponse:
        request = call.request
        if not accepts(",".join(request.headers.getall("Accept", ()))):
            raise Problem("not_acceptable", f"This is {MEDIA}; 'Accept' must take it.")
        after = _after(call)
        headers = reply.standing(MEDIA, call.request_id, UNBUFFERED)
        if request.method == "HEAD":
            return web.StreamResponse(headers=headers)
        if hub.closing:
            raise Problem("unavailable", "The server is going away.", headers={"Retry-After": "5"})
        listening = EventStream(hub, send_seconds, keep_alive)
        await listening.open(call.me, bearer(request.headers.get("Authorization")), after)
        return Body(listening, headers, 2 * keep_alive)

    return Route("GET", "/api/events/stream", "One's events as they come, as server-sent events", "member", media=MEDIA,
                 query=From, headers={LAST_EVENT_ID: {"schema": {"anyOf": [ID, {"type": "string", "maxLength": 0}]},
                                                      "description": "The last `id` that came."}},
                 problems=("not_acceptable", "invalid_fields"), stream=stream)
