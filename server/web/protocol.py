"""Answers to what aiohttp's parser refuses before any middleware runs, as problem+json and without an echo.

A broken request line or an oversize header never reaches the application. `Server.__call__` and
`RequestHandler.handle_error` are aiohttp's own places for it; `tests/web` fails when a version moves them.
"""
from __future__ import annotations

import secrets
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from server.core.errors import Problem
from server.web.dispatch import Dispatcher
from server.web.guard import problem_response
from server.web.problems import from_http, from_status

KEEPALIVE = 75.0
STOP_SECONDS = 5.0


class ProblemRequestHandler(RequestHandler):
    """One connection."""

    def handle_error(self, request: BaseRequest, status: int = 500, exc: BaseException | None = None,
                     message: str | None = None) -> web.StreamResponse:
        """The answer to a request that cannot be parsed, or whose handling broke outside of the middleware."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
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

    def __call__(self) -> RequestHandler:
        return ProblemRequestHandler(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our connections: no access log, deadlines explicit."""

    def __init__(self, app: web.Application, dispatcher: Dispatcher | None = None) -> None:
        super().__init__(app, access_log=None, keepalive_timeout=KEEPALIVE, shutdown_timeout=STOP_SECONDS,
                         handle_signals=False)
        self._dispatcher = dispatcher

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = ProblemServer
        if self._dispatcher is not None:
            server.request_handler = self._dispatcher.over(server.request_handler)  # type: ignore[assignment]
        return server
