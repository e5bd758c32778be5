"""One socket: the handler reads, one task writes. The table is the queue, so a slow client costs no memory."""
from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from server.core.errors import Problem, StorageUnavailable
from server.events import log as events
from server.web.machine import bearer
from server.web.route import Member
from ws import protocol
from ws.hub import Hub
from ws.protocol import Ack, Auth, BadFrame, Ping, Ready, Resume, Stream, User, text_of

log = logging.getLogger("foyer.ws")
AUTH_SECONDS = 10.0
SEND_SECONDS = 10.0  # how long one frame may take to leave
HEARTBEAT = 20.0
CLOSE_SECONDS = 2.0
PAGE = 100
MOST_REPLIES = 64  # above this many nothing more is read from the client until it has read its answers


class Ended(Exception):
    """The socket is to be closed with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Connection:
    """A member's socket."""

    __slots__ = ("_hub", "_ws", "_member", "_stream", "_replies", "_room", "_wake", "_writer", "_code", "_expiry",
                 "_scope", "_send_seconds", "_transport", "__weakref__")

    def __init__(self, hub: Hub, socket: web.WebSocketResponse, transport: asyncio.Transport | None,
                 send_seconds: float = SEND_SECONDS) -> None:
        self._hub, self._ws, self._transport = hub, socket, transport
        self._member: Member | None = None
        self._stream = Stream(0)
        self._replies: list[str] = []
        self._room = asyncio.Event()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._code: int | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._scope: asyncio.Timeout | None = None  # all that is done until the socket is closed
        self._send_seconds = send_seconds

    # -- what others call

    def nudge(self, seq: int, frame: str) -> None:
        """Event `seq` of this member was committed."""
        self._stream.nudge(seq, frame)
        self._wake.set()

    def end(self, code: int) -> None:
        """Closes the socket soon, whatever it is doing."""
        if self._code is None:
            self._code = code
            if self._scope is not None:
                self._scope.reschedule(asyncio.get_running_loop().time())

    # -- the life of a socket

    async def run(self, token: str | None) -> None:
        """Serves the socket until it ends. `token`: that of the Authorization header, if there was one."""
        self._hub.arrive(self)
        try:
            async with asyncio.timeout(None) as self._scope:
                await self._serve(token)
        except TimeoutError:
            pass  # `end` was called
        except Ended as ended:
            self._code = self._code or ended.code
        except Problem as problem:
            log.warning("a socket ended: %s", problem)
            self._code = self._code or protocol.GOING_AWAY
        finally:
            self._scope = None
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
        await self._begin(member, after)
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
        raise Ended(protocol.BAD_FRAME)

    async def _authenticate(self, token: str) -> Member:
        try:
            return await self._hub.surroundings.authenticate(token)
        except Problem as problem:
            raise Ended(protocol.UNAUTHORIZED if problem.status == 401 else protocol.GOING_AWAY) from None

    async def _begin(self, member: Member, after: int | None) -> None:
        """Queues `ready`, and the stream behind `after`, else behind what was acknowledged."""
        around = self._hub.surroundings
        position = await around.database.read(events.position, member.id)
        await self._reply(text_of(Ready(User(member.id, member.username), position.seq, around.epoch)))
        self._stream.restart(position.acked if after is None else after)
        self._set_expiry(member)
        self._wake.set()

    def _set_expiry(self, member: Member) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        seconds = (member.expires_at - self._hub.surroundings.clock()) / 1000
        self._expiry = asyncio.get_running_loop().call_later(max(seconds, 0), self.end, protocol.UNAUTHORIZED)

    async def _leave(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        try:
            if self._writer is not None:
                self._writer.cancel()
                await asyncio.wait([self._writer])
            # Only now, when nobody reads or writes any more: aiohttp cuts the closing handshake short under a reader.
            await self._close()
        finally:
            if self._member is not None:
                self._hub.leave(self, self._member)
            self._hub.depart(self)

    async def _close(self) -> None:
        if not self._ws.closed:
            code = self._code or 1000
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
                return  # closed by either side, or broken; aiohttp answered what had to be

    async def _handle(self, frame: protocol.ClientFrame) -> None:
        match frame:
            case Ping():
                await self._reply(protocol.PONG)
            case Resume(after):
                self._stream.restart(after)
            case Ack(seq):
                assert self._member is not None
                await self._acknowledge(self._member.id, seq)
            case Auth(token, after):
                await self._extend(token, after)
        self._wake.set()

    async def _reply(self, text: str) -> None:
        self._replies.append(text)
        while len(self._replies) >= MOST_REPLIES and self._writer is not None and not self._writer.done():
            self._wake.set()
            self._room.clear()
            await self._room.wait()

    async def _acknowledge(self, member_id: int, seq: int) -> None:
        try:
            await self._hub.surroundings.database.write(events.acknowledge, member_id, seq)
        except StorageUnavailable:
            pass  # a full disk, say: the events come again after the next connect, and nothing is lost

    async def _extend(self, token: str, after: int | None) -> None:
        """A new token on a live socket: it lives longer, for the same member only."""
        assert self._member is not None
        member = await self._authenticate(token)
        if member.id != self._member.id:
            raise Ended(protocol.UNAUTHORIZED)
        self._hub.move(self, self._member, member)
        self._member = member
        await self._authenticate(token)
        await self._begin(member, self._stream.last if after is None else after)

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
            assert self._member is not None
            log.warning("member %s is too slow: %s events wait behind number %s", self._member.id,
                        self._stream.waiting, self._stream.last)
            self.end(protocol.TOO_SLOW)
        except Exception:
            log.exception("a socket's writer failed")
            self.end(protocol.GOING_AWAY)
        finally:
            self._room.set()

    async def _write_all(self) -> None:
        assert self._member is not None
        while self._replies or self._stream.behind or self._stream.waiting:
            while self._replies:
                await self._send(self._replies.pop(0))
            self._room.set()
            if self._stream.behind:
                await self._catch_up(self._member.id)
            for frame in self._stream.take():
                await self._send(frame)

    async def _catch_up(self, member_id: int) -> None:
        last = self._stream.last
        page = await self._hub.surroundings.database.read(events.page, member_id, last, PAGE)
        if self._stream.last != last:
            return  # a resume came while we were reading
        frames = [(event.seq, event.frame) for event in page.events]
        for text in self._stream.caught_up(frames, page.gap, page.seq):
            await self._send(text)

    async def _send(self, text: str) -> None:
        async with asyncio.timeout(self._send_seconds):
            await self._ws.send_str(text)


def _parse(text: str) -> protocol.ClientFrame:
    try:
        return protocol.parse(text)
    except BadFrame:
        raise Ended(protocol.BAD_FRAME) from None


def endpoint(hub: Hub, send_seconds: float = SEND_SECONDS) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of GET /ws."""
    async def handle(request: web.Request) -> web.StreamResponse:
        # The limit itself counts as too large, hence the one byte more. No deflate: 111 KiB a socket instead of 14.
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=protocol.MAX_FRAME + 1, compress=False,
                                       timeout=CLOSE_SECONDS, autoping=True)
        if not socket.can_prepare(request).ok:
            raise Problem("upgrade_required", "Open a WebSocket here (RFC 6455).", headers={"Upgrade": "websocket"})
        origin = request.headers.get("Origin")
        allowed = origin is None or hub.surroundings.allows_origin(origin)
        header = request.headers.get("Authorization")
        await socket.prepare(request)
        connection = Connection(hub, socket, request.transport, send_seconds)
        if not allowed or hub.closing:
            # A browser cannot see the status of a refused upgrade, so it gets a code; not one frame of it is read.
            connection.end(protocol.GOING_AWAY if allowed else protocol.BAD_ORIGIN)
            await connection.refuse()
        else:
            await connection.run(_token(header))
        return socket
    return handle


def _token(header: str | None) -> str | None:
    if header is None:
        return None
    try:
        return bearer(header)
    except Problem:
        return ""
