"""The socket as an endless stream of events: in order, each one once, whatever becomes of the connection."""

import asyncio
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from bot.errors import BadAnswer, FoyerError, ServerUnreachable, SocketRefused
from bot.models import Event, Frame
from bot.tokens import Tokens
from bot.transport import TRANSIENT, Backoff, Transport

_MEANINGS = {
    400: "this is not a Foyer server", 401: "the token is not accepted", 403: "the origin is not allowed",
    404: "there is no socket here", 4400: "the server did not understand a frame",
    4401: "the session has ended", 4403: "the origin is not allowed",
    4429: "the member has too many sockets open",
}
_FINAL_CODES = frozenset({4400, 4403, 4429})
_TOKEN_CODE = 4401
_ABNORMAL = 1006
_HEARTBEAT = 20.0
_READY_WITHIN = 10.0
_CLOSE_WITHIN = 2.0
_QUEUE = 1000


class _Closed(Exception):
    """The socket was closed; `code` says why."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class EventStream:
    """The events of one member; use it with `async with`, then `async for`.

    Each event comes once and in order. It is acknowledged when the next one is asked for, or when the block
    ends well: whoever fails in the middle of one gets it again. A broken connection is opened again behind
    the last event. Where the server no longer has some, an event of type "gap" says so.

    Raises ServerUnreachable when the first connection fails, SocketRefused when the server does not want this
    client, ApiError when the session has ended. Later outages are waited out.
    """

    def __init__(self, transport: Transport, tokens: Tokens, register: set["EventStream"],
                 after: int | None = None, epoch: str | None = None) -> None:
        self.epoch = epoch
        self._transport, self._tokens, self._register = transport, tokens, register
        self._seen = after
        self._taken: Event | None = None
        self._queue: asyncio.Queue[Event | FoyerError | None] = asyncio.Queue(_QUEUE)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._pump: asyncio.Task[None] | None = None
        self._failure: FoyerError | None = None
        self._backoff = Backoff(transport.rng)
        self._token: str | None = None
        self._token_refused = False
        self._closed = False

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        if kind is None:
            await self._acknowledge()
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        await self._start()
        await self._acknowledge()
        if self._failure is not None:
            raise self._failure
        item = None if self._closed else await self._queue.get()
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, FoyerError):
            self._failure = item
            raise item
        self._taken = item
        return item

    async def aclose(self) -> None:
        """Closes the socket; what was taken and not acknowledged comes again another time."""
        self._closed = True
        self._register.discard(self)
        if self._socket is not None:
            await self._socket.close()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump})
        # A consumer in another task may be waiting; one that still has events to take is not.
        if self._queue.empty():
            self._queue.put_nowait(None)

    # The consumer's side

    async def _start(self) -> None:
        if self._pump is None and not self._closed:
            self._register.add(self)
            try:
                self._socket = await self._connect(self._transport.tries)
            except BaseException:
                self._register.discard(self)
                raise
            if self._closed:
                await self._socket.close()
            else:
                self._pump = asyncio.create_task(self._keep_listening(self._socket))

    async def _acknowledge(self) -> None:
        taken, self._taken = self._taken, None
        # A number of another epoch would acknowledge events that nobody has seen.
        if taken is None or taken.type == "gap" or taken.epoch != self.epoch or self._socket is None:
            return
        try:
            await _say(self._socket, type="ack", seq=taken.seq)
        except TRANSIENT:
            # The next acknowledgement covers this one.
            pass

    # The pump: one task that reads, and opens the socket again

    async def _keep_listening(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            await self._listen(socket)
            while not self._closed:
                await self._transport.sleep(self._backoff.next())
                self._socket = await self._connect(None)
                await self._listen(self._socket)
        except FoyerError as failure:
            await self._queue.put(failure)
        except Exception as failure:  # a fault here must reach the consumer, who would wait for ever
            await self._queue.put(BadAnswer(f"/ws: {type(failure).__name__}: {failure}"))

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        extender = asyncio.create_task(self._extend(socket))
        try:
            while await self._take(await _receive(socket)):
                pass
        except _Closed as closed:
            self._judge(closed.code)
        finally:
            extender.cancel()
            await asyncio.wait({extender})
            await socket.close()

    async def _extend(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Shows a fresh token before the one the socket was opened with expires."""
        try:
            while True:
                await asyncio.sleep(self._tokens.seconds_left())
                self._token = await self._tokens.access()
                await _say(socket, type="auth", token=self._token)
        except (FoyerError, *TRANSIENT):
            # The server closes the socket when its token expires; the pump deals with that.
            pass

    async def _take(self, frame: Frame) -> bool:
        """Hands a frame on; false when the stream has to be opened anew."""
        if frame.type == "ready":
            return not self._is_other_epoch(frame)
        if frame.type == "gap" and frame.gap_from is not None:
            self._seen = frame.gap_from - 1
            await self._put(Event("gap", self._seen, data={"from": frame.gap_from}))
        elif frame.seq is not None and (self._seen is None or frame.seq > self._seen):
            self._seen = frame.seq
            await self._put(Event(frame.type, frame.seq, frame.at, frame.data, self.epoch))
        return True

    async def _put(self, event: Event) -> None:
        # Only now: a server that greets and hangs up at once must not be called again at full speed.
        self._backoff.reset()
        await self._queue.put(event)

    def _is_other_epoch(self, ready: Frame) -> bool:
        """Drops the position when the server counts anew: its numbers mean other events now."""
        known, self.epoch = self.epoch, ready.epoch
        if known is None or known == ready.epoch or self._seen is None:
            return False
        self._seen = None
        return True

    # Connecting

    async def _connect(self, tries: int | None) -> aiohttp.ClientWebSocketResponse:
        """Opens the socket and signs in on it; `tries` limits how often, None does not."""
        failures = 0
        while not self._closed:
            try:
                return await self._open()
            except _Closed as closed:
                self._judge(closed.code)
                why = f"it was closed with {closed.code}"
            except (*TRANSIENT, ServerUnreachable) as failure:
                why = str(failure) or type(failure).__name__
            failures += 1
            if tries is not None and failures >= tries:
                raise ServerUnreachable(f"{self._transport.base_url}/ws cannot be reached: {why}")
            await self._transport.sleep(self._backoff.next())
        raise ServerUnreachable(f"{self._transport.base_url}/ws: the stream was closed while it connected")

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        self._token = await self._tokens.access(other_than=self._token if self._token_refused else None)
        socket = await self._upgrade()
        try:
            after = {} if self._seen is None else {"after": self._seen}
            await _say(socket, type="auth", token=self._token, **after)
            async with asyncio.timeout(_READY_WITHIN):
                first = await _receive(socket)
            if first.type != "ready":
                raise BadAnswer(f"/ws began with {first.type!r}, not with 'ready'")
        except BaseException:
            await socket.close()
            raise
        self._token_refused = False
        if not self._is_other_epoch(first):
            return socket
        await socket.close()
        return await self._open()

    async def _upgrade(self) -> aiohttp.ClientWebSocketResponse:
        # http becomes ws, https becomes wss.
        url = "ws" + self._transport.base_url.removeprefix("http") + "/ws"
        try:
            return await self._transport.session.ws_connect(
                url, heartbeat=_HEARTBEAT, compress=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_WITHIN),
            )
        except aiohttp.WSServerHandshakeError as refused:
            if refused.status >= 500 or refused.status == 429:
                raise _Closed(_ABNORMAL) from refused
            raise SocketRefused(refused.status, _MEANINGS.get(refused.status, refused.message)) from refused
        except aiohttp.ClientResponseError as failure:
            raise BadAnswer(f"/ws: this is not a Foyer server: {failure}") from failure

    def _judge(self, code: int) -> None:
        """Raises SocketRefused where another try would end the same way."""
        if code in _FINAL_CODES or (code == _TOKEN_CODE and self._token_refused):
            raise SocketRefused(code, _MEANINGS[code])
        # A second refusal, of the token we get now, is final.
        self._token_refused = code == _TOKEN_CODE


async def _receive(socket: aiohttp.ClientWebSocketResponse) -> Frame:
    message = await socket.receive()
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise _Closed(socket.close_code or _ABNORMAL)
    try:
        return msgspec.json.decode(message.data, type=Frame)
    except msgspec.DecodeError as failure:
        raise BadAnswer(f"/ws: {failure}") from failure


async def _say(socket: aiohttp.ClientWebSocketResponse, **frame: Any) -> None:
    await socket.send_str(msgspec.json.encode(frame).decode())
