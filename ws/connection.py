"""One socket: the handler reads, one task writes."""
from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import WSMsgType, web

from server.core.errors import Problem
from server.core.signal import Signal
from server.web import reply
from server.web.route import REQUEST_ID, Member, bearer
from ws import protocol
from ws.acks import Acks
from ws.hub import Hub
from ws.listening import Ended, Listening
from ws.protocol import AUTH_SECONDS, HEARTBEAT, SEND_SECONDS, Ack, Auth, BadFrame, Ping, Resume

log = logging.getLogger("foyer.ws")
CLOSE_SECONDS = 2.0
MOST_REPLIES = 64  # above this many nothing more is read from the client until it has read its answers


class Connection(Listening):
    """A member's socket."""

    __slots__ = ("_ws", "_transport", "_replies", "_room", "_writer", "_acks")

    def __init__(self, hub: Hub, socket: web.WebSocketResponse, transport: asyncio.Transport | None,
                 send_seconds: float = SEND_SECONDS) -> None:
        super().__init__(hub, send_seconds)
        self._ws, self._transport = socket, transport
        self._replies: list[str] = []
        self._room = Signal()
        self._writer: asyncio.Task[None] | None = None
        self._acks = Acks(hub.surroundings.database)

    @property
    def acknowledged(self) -> int:
        """The newest number that the client is done with, stored or on its way there."""
        return self._acks.newest

    # -- the life of a socket

    async def run(self, token: str | None) -> None:
        """Serves the socket until it ends. `token`: that of the Authorization header, if there was one."""
        self._hub.arrive(self)
        try:
            await self._until_ended(partial(self._serve, token))
        finally:
            await self._leave()

    async def refuse(self) -> None:
        """Closes at once with the code that `end` was given."""
        await self._close()

    async def _serve(self, token: str | None) -> None:
        after = None
        if token is None:
            frame = await self._first_frame()
            token, after = frame.token, frame.after
        member = await self._authenticate(token)
        if not self._hub.enter(self, member):
            raise Ended(protocol.TOO_MANY)
        self._member = member
        # The session may have ended while it was looked up, before the hub knew of this socket.
        await self._authenticate(token)
        await self._greet(member, after)
        self._writer = asyncio.create_task(self._write())
        await self._read()

    async def _first_frame(self) -> Auth:
        try:
            async with asyncio.timeout(AUTH_SECONDS):  # `receive` would begin anew with every ping
                message = await self._ws.receive()
        except TimeoutError:
            raise Ended(protocol.AUTH_TIMEOUT) from None
        if message.type is WSMsgType.TEXT:
            frame = _parse(message.data)
            if isinstance(frame, Auth):
                return frame
            raise Ended(protocol.UNAUTHORIZED)
        raise Ended(protocol.BAD_FRAME if message.type is WSMsgType.BINARY else protocol.NORMAL)

    async def _authenticate(self, token: str) -> Member:
        try:
            return await self._hub.surroundings.authenticate(token)
        except Problem as problem:
            raise Ended(protocol.UNAUTHORIZED if problem.status == 401 else protocol.GOING_AWAY) from None

    async def _greet(self, member: Member, after: int | None) -> None:
        await self._reply(await self._begin(member, after))
        self._wake.set()

    async def _leave(self) -> None:
        self._cancel_expiry()
        try:
            if self._writer is not None:
                self._writer.cancel()
                await asyncio.wait([self._writer])
            await self._acks.settled()
            # Only now, when nobody reads or writes any more: aiohttp cuts the closing handshake short under a reader.
            await self._close()
        finally:
            self._forget()

    async def _close(self) -> None:
        if not self._ws.closed:
            code = self._code or protocol.NORMAL
            await self._ws.close(code=code, message=protocol.REASONS.get(code, "").encode(), drain=False)
            if code == protocol.TOO_SLOW and self._transport is not None:
                self._transport.abort()  # what it never read would keep the connection open

    # -- reading

    async def _read(self) -> None:
        while True:
            message = await self._ws.receive()
            if message.type is WSMsgType.TEXT:
                await self._handle(_parse(message.data))
            elif message.type is WSMsgType.BINARY:
                raise Ended(protocol.BAD_FRAME)
            else:
                return  # closed by either side, or broken

    async def _handle(self, frame: protocol.ClientFrame) -> None:
        assert self._member is not None
        match frame:
            case Ping():
                await self._acks.settled()  # a pong says, too, that what was acknowledged before is stored
                await self._reply(protocol.PONG)
            case Resume(after):
                self._stream.restart(after)
            case Ack(seq):
                if seq <= self._newest:  # one that was not given out yet says nothing
                    self._acks.take(self._member.id, seq)
            case Auth(token, after):
                await self._extend(token, after)
        self._wake.set()

    async def _reply(self, text: str) -> None:
        self._replies.append(text)
        while len(self._replies) >= MOST_REPLIES and self._writer is not None and not self._writer.done():
            self._wake.set()
            self._room.clear()
            await self._room.wait()

    async def _extend(self, token: str, after: int | None) -> None:
        """A new token on a live socket: it lives longer, for the same member only."""
        assert self._member is not None
        member = await self._authenticate(token)
        if member.id != self._member.id:
            raise Ended(protocol.UNAUTHORIZED)
        self._hub.move(self, self._member, member)
        self._member = member
        await self._authenticate(token)
        await self._greet(member, self._stream.last if after is None else after)

    # -- writing

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._write_all()
        except ConnectionError:
            pass  # the reader sees it too
        except TimeoutError:
            self._log_too_slow()
            self.end(protocol.TOO_SLOW)
        except Exception:
            log.exception("a socket's writer failed")
            self.end(protocol.GOING_AWAY)
        finally:
            self._room.set()

    async def _write_all(self) -> None:
        while self._replies or self._due:
            while self._replies:
                await self._send(self._replies.pop(0))
            self._room.set()
            for frame in await self._next_frames():
                await self._send(frame)

    async def _send(self, text: str) -> None:
        async with asyncio.timeout(self._send_seconds):
            await self._ws.send_str(text)


def _parse(text: str) -> protocol.ClientFrame:
    try:
        return protocol.parse(text)
    except BadFrame:
        raise Ended(protocol.BAD_FRAME) from None


class Socket(web.WebSocketResponse):
    """A socket whose handler gives it back at once, so that what is measured is how long the opening took."""

    life: Callable[[], Awaitable[None]] | None = None  # what happens on it until it is closed

    async def write_eof(self) -> None:  # type: ignore[override]
        """Everything behind the opening."""
        life, self.life = self.life, None
        if life is not None:
            await life()
        await super().write_eof()


def unopened(max_msg_size: int = protocol.MAX_FRAME + 1) -> Socket:
    """A socket before its upgrade, with the settings of GET /ws."""
    # The limit itself counts as too large, hence the one byte more. No deflate: 111 KiB a socket instead of 14. Nor is
    # a closing frame answered by aiohttp: first what was acknowledged before it is stored.
    return Socket(heartbeat=HEARTBEAT, max_msg_size=max_msg_size, compress=False, timeout=CLOSE_SECONDS, autoping=True,
                  autoclose=False)


def endpoint(hub: Hub, send_seconds: float = SEND_SECONDS) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of GET /ws."""
    async def handle(request: web.Request) -> web.StreamResponse:
        socket = unopened()
        if not socket.can_prepare(request).ok:
            raise Problem("upgrade_required", "Open a WebSocket here (RFC 6455).", headers={"Upgrade": "websocket"})
        origin = request.headers.get("Origin")
        allowed = origin is None or hub.surroundings.allows_origin(origin)
        header = request.headers.get("Authorization")
        socket.headers.update(reply.standing(None, request[REQUEST_ID], None))
        await socket.prepare(request)
        connection = Connection(hub, socket, request.transport, send_seconds)
        if not allowed or hub.closing:
            # A browser cannot see the status of a refused upgrade, so it gets a code; not one frame of it is read.
            connection.end(protocol.GOING_AWAY if allowed else protocol.BAD_ORIGIN)
            socket.life = connection.refuse
        else:
            socket.life = partial(connection.run, _token(header))
        return socket
    return handle


def _token(header: str | None) -> str | None:
    if header is None:
        return None
    try:
        return bearer(header)
    except Problem:
        return ""
