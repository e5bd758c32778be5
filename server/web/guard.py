"""The one guard around everything: request id, errors as problems, counting, the log of slow and failed requests.

Each middleware costs some percent of the throughput, so what could be several flat ones is one function in this order.
"""
from __future__ import annotations

import itertools
import logging
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from weakref import WeakKeyDictionary

from aiohttp import web
from aiohttp.typedefs import Middleware

from server.core.errors import CODES, Problem
from server.jobs.queue import request_id as current_request_id
from server.web import problems, reply
from server.web.metrics import Metrics
from server.web.route import REQUEST_ID

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PathHandler = Callable[[web.Request, Mapping[str, str]], Awaitable[web.StreamResponse]]

log = logging.getLogger("foyer.web")
SLOW = 1.0  # seconds
_SANE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NUMBERS = itertools.count(1)
_prefix = secrets.token_hex(5)
_names: WeakKeyDictionary[web.AbstractRoute, str] = WeakKeyDictionary()


class Guard:
    """What stands around every handler."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def middleware(self) -> Middleware:
        """The guard as aiohttp's middleware, for what the dispatcher does not know."""
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self.around(request, lambda request, _: handler(request), _route(request), {})
        return middleware

    async def around(self, request: web.Request, handler: PathHandler, route: str,
                     path: Mapping[str, str]) -> web.StreamResponse:
        """The handler's answer, or the problem that it raised."""
        begin = time.perf_counter()
        request_id = request[REQUEST_ID] = _request_id(request.headers.get("X-Request-ID"))
        current_request_id.set(request_id)
        try:
            response = await handler(request, path)
        except Problem as problem:
            response = problem_response(problem, request_id)
        except web.HTTPException as error:
            response = problem_response(problems.from_http(error), request_id)
        except ConnectionError:
            raise
        except Exception:
            log.exception("request %s failed: %s", request_id, route)
            response = problem_response(Problem("internal", CODES["internal"][1] + "."), request_id)
        self.account(route, response.status, time.perf_counter() - begin, request_id)
        return response

    def account(self, route: str, status: int, seconds: float, request_id: str) -> None:
        """Counts an answer, and logs it when it failed or took long."""
        self._metrics.requests.count(route, status, seconds)
        if status >= 500 or seconds > SLOW:
            log.warning("%s -> %s in %.3f s (request %s)", route, status, seconds, request_id)


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """The problem as an answer."""
    made = reply.response(problems.body(problem, request_id), problem.status, problems.CONTENT_TYPE, request_id,
                          problems.headers(problem))
    if problem.headers.get("Connection") == "close":
        made.force_close()  # the header alone does not close anything
    return made


def _request_id(given: str | None) -> str:
    if given is not None and _SANE.fullmatch(given):
        return given
    return new_request_id()


def new_request_id() -> str:
    """The id of a request that brought none."""
    return f"{_prefix}-{next(_NUMBERS):x}"


def _forked() -> None:
    global _prefix
    _prefix = secrets.token_hex(5)


os.register_at_fork(after_in_child=_forked)  # two processes never give the same id


def _route(request: web.Request) -> str:
    route = request.match_info.route
    name = _names.get(route)
    if name is None:
        if route.resource is None:
            return "unknown"
        name = _names[route] = f"{route.method} {route.resource.canonical}"
    return name
