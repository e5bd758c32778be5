"""Other web sites may call the API from a browser, with a token but without cookies (CORS, by aiohttp-cors)."""
from __future__ import annotations

from collections.abc import Iterable

import aiohttp_cors
from aiohttp import web
from aiohttp.typedefs import Handler

from server.web import limits, reply
from server.web.route import REQUEST_ID

TAKEN = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID")
SHOWN = ("Location", "Retry-After", "X-Request-ID", *limits.HEADERS)


def allow(app: web.Application, origins: Iterable[str], routes: Iterable[web.AbstractRoute]) -> None:
    """Lets pages of these origins call the routes."""
    options = aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
        allow_headers=TAKEN, allow_methods="*", expose_headers=SHOWN, max_age=600)
    cors = aiohttp_cors.setup(app, defaults={origin: options for origin in origins})
    for route in routes:
        cors.add(route)
    app.middlewares.append(_preflights)
    app.on_response_prepare.append(_vary)


@web.middleware
async def _preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Makes the answer to a preflight one like all others; a plain OPTIONS is no preflight, and not allowed."""
    route = request.match_info.route
    if route.method != "OPTIONS":
        return await handler(request)
    if "Access-Control-Request-Method" not in request.headers:
        assert route.resource is not None
        raise web.HTTPMethodNotAllowed("OPTIONS", {each.method for each in route.resource} - {"OPTIONS"})
    answer = await handler(request)
    answer.headers.update(reply.standing(None, request[REQUEST_ID], None))
    return answer


async def _vary(_: web.Request, response: web.StreamResponse) -> None:
    """Caches must tell origins apart, also by what aiohttp refuses before any handler."""
    response.headers.add("Vary", "Origin")
