"""Answers to what aiohttp's parser refuses before any middleware runs, as problem+json and without an echo.

A broken request line or an oversize header never reaches the application. `Server.__call__` and
`RequestHandler.handle_error` are aiohttp's own places for it; `tests/web` fails when a version moves them.
"""
from __future__ import annotations

import secrets
from typing import Any

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from server.core.errors import Problem
from server.web.express import Express, one_request
from server.web.guard import problem_response
from server.web.patience import Crowd, Patience
from server.web.patient import PatientHandler
from server.web.problems import from_http, from_status

IN_PLACE = all(hasattr(RequestHandler, name) for name in (
    "_close", "_force_close", "_handler_waiter", "_keepalive_timeout", "_loop", "_messages",
    "_next_keepalive_close_time", "_paused", "_request_count", "_request_in_progress", "_upgraded", "_waiter"))


class ProblemRequestHandler(PatientHandler):
    """One connection.

    What can go by the express lane does; what comes meanwhile is held back until that is answered. This reads protected
    attributes of aiohttp: `IN_PLACE` says whether they are where they were, else all requests go aiohttp's way and
    `tests/web/test_express.py` fails.
    """

    __slots__ = ("_express", "_pending", "_held", "_aside")

    def __init__(self, manager: web.Server, *, express: Express | None, **options: Any) -> None:
        super().__init__(manager, **options)
        self._express = express
        self._pending = False  # whether a request on the express lane waits for its answer
        self._held = b""
        self._aside = False  # whether aiohttp's parser may be in the middle of a request

    @property
    def peer(self) -> str | None:
        """The address of the other end."""
        name = self.peername
        return str(name[0]) if isinstance(name, tuple) else name

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._pending:
            self._hold(data)
        elif self._aside or self._express is None or not data:  # nothing: aiohttp looks at what it holds back
            super().data_received(data)
        elif not self._idle() or not self._take(data):
            self._long_way(data, self._express)

    def _idle(self) -> bool:
        waiter = self._waiter
        return (waiter is not None and not waiter.done() and not self._messages and not self._upgraded
                and not self._close and not self._force_close and not self._paused)

    def _take(self, data: bytes) -> bool:
        assert self._express is not None
        self._pending = self._request_in_progress = True
        taken = self._express.take(self, data)
        if not taken:
            self._pending = self._request_in_progress = False
        return taken

    def _long_way(self, data: bytes, express: Express) -> None:
        before = self._request_count
        super().data_received(data)
        if self._messages and self._request_count == before + 1 and not self._upgraded:
            message, payload = self._messages[-1]
            block = one_request(data)
            if block is not None and isinstance(message, RawRequestMessage) and payload.is_eof():
                express.heads.learn(block, message)
                return
        self._aside = True

    def _hold(self, data: bytes) -> None:
        self._held += data
        if self.transport is not None:
            self.transport.pause_reading()

    def answered(self, whole: bytes) -> None:
        """The answer of the express lane."""
        self._pending = self._request_in_progress = False
        if self._handler_waiter is not None:
            self._handler_waiter.set_result(None)
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.write(whole)
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._held:
            held, self._held = self._held, b""
            self.transport.resume_reading()
            self.data_received(held)

    def handle_error(self, request: BaseRequest, status: int = 500, exc: BaseException | None = None,
                     message: str | None = None) -> web.StreamResponse:
        """The answer to a request that cannot be parsed, or whose handling broke outside of the middleware."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if isinstance(exc, ConnectionError):
            raise exc  # the client went in the middle of its body
        problem = self._problem(status, exc)
        response = problem_response(problem, secrets.token_hex(8))
        response.force_close()
        return response

    async def finish_response(self, request: BaseRequest, resp: web.StreamResponse,
                              start_time: float | None) -> tuple[web.StreamResponse, bool]:
        """Sends the answer; what aiohttp refused before the middleware (an odd `Expect`) becomes a problem here."""
        if isinstance(resp, web.HTTPException):
            resp = problem_response(from_http(resp), secrets.token_hex(8))
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """Writes no traceback for a body that was broken on purpose; it was answered."""
        if not isinstance(kwargs.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kwargs)

    def _problem(self, status: int, exc: BaseException | None) -> Problem:
        if isinstance(exc, LineTooLong):
            return Problem("header_too_large", "The request line or a header is longer than 8190 bytes.")
        if status == 500:
            self.log_exception("a request broke outside of its handler", exc_info=exc)
        return from_status(status, "The request is not valid HTTP." if status == 400 else None)


class ProblemServer(web.Server):
    """Makes the handlers of connections."""

    express: Express | None = None
    crowd: Crowd

    def __call__(self) -> RequestHandler:
        return ProblemRequestHandler(self, express=self.express, crowd=self.crowd, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our connections: no access log, deadlines explicit."""

    def __init__(self, app: web.Application, express: Express | None = None, patience: Patience = Patience()) -> None:
        super().__init__(app, access_log=None, keepalive_timeout=patience.idle, lingering_time=patience.refused_body,
                         shutdown_timeout=patience.stop, handle_signals=False)
        self._express, self._patience = express, patience

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = ProblemServer
        server.crowd = Crowd(self._patience)  # type: ignore[attr-defined]
        if self._express is not None:
            server.express = self._express if IN_PLACE else None  # type: ignore[attr-defined]
            over = self._express.dispatcher.over(server.request_handler)
            server.request_handler = over  # type: ignore[assignment]
        return server
