"""The one middleware around everything: request id, errors as problems, counting, the log of slow and failed requests.

Each middleware costs some percent of the throughput, so what could be several flat ones is one function in this order.
"""
from __future__ import annotations

import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from server.core.errors import CODES, Problem
from server.jobs.queue import request_id as current_request_id
from server.web import problems, reply
from server.web.metrics import Metrics
from server.web.route import REQUEST_ID

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger("foyer.web")
SLOW = 1.0  # seconds
_SANE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_PREFIX = secrets.token_hex(5)
_NUMBERS = itertools.count(1)


def guard(metrics: Metrics, vary_origin: bool) -> Middleware:
    """Makes the middleware. `vary_origin`: other web sites may use the API, so caches must tell origins apart."""
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        begin = time.perf_counter()
        request_id = request[REQUEST_ID] = _request_id(request.headers.get("X-Request-ID"))
        current_request_id.set(request_id)
        try:
            response = await handler(request)
        except Problem as problem:
            response = problem_response(problem, request_id)
        except web.HTTPException as error:
            response = problem_response(problems.from_http(error), request_id)
        except ConnectionError:
            raise
        except Exception:
            log.exception("request %s failed: %s", request_id, _route(request))
            response = problem_response(Problem("internal", CODES["internal"][1] + "."), request_id)
        if vary_origin and not response.prepared:
            response.headers.add("Vary", "Origin")
        _account(metrics, request, response.status, time.perf_counter() - begin, request_id)
        return response
    return middleware


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """The problem as an answer."""
    return reply.response(problems.body(problem, request_id), problem.status, problems.CONTENT_TYPE, request_id,
                          problems.headers(problem))


def _request_id(given: str | None) -> str:
    if given is not None and _SANE.fullmatch(given):
        return given
    return f"{_PREFIX}-{next(_NUMBERS):x}"


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical}" if resource is not None else "unknown"


def _account(metrics: Metrics, request: web.Request, status: int, seconds: float, request_id: str) -> None:
    route = _route(request)
    metrics.request(route, status, seconds)
    if status >= 500 or (seconds > SLOW and status != 101):
        log.warning("%s -> %s in %.3f s (request %s)", route, status, seconds, request_id)
