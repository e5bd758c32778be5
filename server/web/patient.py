"""A connection that ends what would never end by itself.

aiohttp ends a connection on which no request comes. Here are the ends that it does not have: for heads that drip, for
answers that nobody reads, for connections in such numbers that nobody else gets in. This reads protected attributes of
aiohttp; `tests/web/test_slow_clients.py` fails when a version moves them.
"""
from __future__ import annotations

import asyncio
import secrets
import socket
from typing import Any, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from server.core.errors import Problem
from server.web import problems, ready
from server.web.patience import Client, Crowd

_UNSENT = 64 * 1024


class PatientHandler(RequestHandler):
    """One connection."""

    __slots__ = ("_crowd", "_line", "_watch", "_unread", "_head", "_payload")

    def __init__(self, manager: web.Server, *, crowd: Crowd, **options: Any) -> None:
        super().__init__(manager, **options)
        self._crowd = crowd
        self._line: asyncio.Transport | None = None  # aiohttp forgets its own before everything has left
        self._watch: asyncio.TimerHandle | None = None
        self._unread = 0
        self._head = 0  # how much came of a head that is not at its end
        self._payload: Any = None  # the body of the last request that came

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        super().connection_made(transport)
        self._line = self.transport
        _show_reading(self.transport)
        self._wait_for_first_request()
        assert self._manager is not None
        everybody = self._manager._connections
        if len(everybody) > self._crowd.patience.connections:
            self._crowd.make_room(self, cast("dict[Client, Any]", everybody))

    def _wait_for_first_request(self) -> None:
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
        self._next_keepalive_close_time = self._loop.time() + min(self._crowd.patience.first, self._crowd.patience.idle)
        self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    @property
    def says_nothing(self) -> bool:
        """Whether no request is under way."""
        waits = self._waiter is not None and not self._waiter.done()
        return (waits or self._request_count == 0) and not self._request_in_progress

    # -- a head that does not end

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        before, in_body = self._request_count, self._in_body()
        super().data_received(data)
        if self._request_count != before:
            self._payload = self._messages[-1][1]
            self._head = 0
        elif self._upgraded or in_body:
            self._head = 0
        else:
            self._head += len(data)
            if self._head > self._crowd.patience.head and not self._close and not self._force_close:
                self._refuse_head()

    def _in_body(self) -> bool:
        return self._payload is not None and not self._payload.is_eof()

    def _refuse_head(self) -> None:
        if self.transport is None or not self.says_nothing:
            self.force_close()
            return
        patience = self._crowd.patience
        detail = f"The request line and the headers are longer than {patience.head} bytes."
        problem = Problem("header_too_large", detail, headers={"Connection": "close"})
        request_id = secrets.token_hex(8)
        self.transport.write(ready.whole(problem.status, problems.CONTENT_TYPE, problems.headers(problem),
                                         problems.body(problem, request_id), request_id))
        self.transport.write_eof()
        self.close()  # the rest is thrown away as it comes: to leave it unread would take the answer back
        self._loop.call_later(patience.refused_body, self.force_close)

    # -- an answer that nobody reads

    def pause_writing(self) -> None:
        """More waits for the client than the transport likes to hold."""
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        """The client has read most of it."""
        super().resume_writing()
        self._stop_watching()
        self._see_off()

    async def start(self) -> None:
        """Serves the requests of the connection."""
        try:
            await super().start()
        finally:
            self._see_off()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """The server stops: who has not read its answer in time does not get it."""
        late = self._loop.call_later(timeout or 0.0, self.cut_off)
        try:
            await super().shutdown(timeout)
        finally:
            late.cancel()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is over."""
        self._stop_watching()
        self._line = None
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """Ends the connection at once, if something waits for the client."""
        if self._line is not None and (self._paused or self._line.is_closing()):
            self._line.abort()

    def _see_off(self) -> None:
        # A closed connection ends only when everything has left.
        if self._line is not None and self._line.is_closing() and self._watch is None:
            self._watch_reading()

    def _watch_reading(self) -> None:
        if self._line is not None:
            self._unread = self._line.get_write_buffer_size()
            self._watch = self._loop.call_later(self._crowd.patience.reading, self._look)
            self._crowd.waits(self, self._unread)

    def _look(self) -> None:
        self._watch = None
        if self._line is not None:
            if self._unread - self._line.get_write_buffer_size() < self._crowd.patience.least:
                self.cut_off()
            else:
                self._watch_reading()

    def _stop_watching(self) -> None:
        self._crowd.reads(self)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


def _show_reading(transport: asyncio.Transport | None) -> None:
    # Else the kernel takes megabytes, and asks for more only when a third of them was read: nobody could tell a client
    # that reads slowly from one that does not read.
    if transport is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        line = transport.get_extra_info("socket")
        if line is not None and line.family != socket.AF_UNIX:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
