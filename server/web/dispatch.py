"""The short way from a connection to a route's handler.

aiohttp looks through its resources, freezes a match and enters its middlewares for each request. For a declared route
on an ordinary path one look into a dictionary finds the same handler; everything else, a path that nobody declared, an
odd spelling of one, HEAD, `Expect`, goes aiohttp's own way and ends at the same handlers.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from server.web.guard import Guard
from server.web.route import Route

RouteHandler = Callable[[web.Request, Mapping[str, str]], Awaitable[web.StreamResponse]]
RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ID_AT = 3  # /api/posts/{id}: the part of a path in which ids stand
_NOTHING: Mapping[str, str] = {}


class Dispatcher:
    """Calls handlers; `fallback` is aiohttp's way."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._handlers: dict[tuple[str, str], tuple[RouteHandler, str]] = {}

    def add(self, route: Route, handler: RouteHandler) -> None:
        """Knows the route from now on, if its path is of a kind that is looked up here."""
        parts = route.path.split("/")
        if all(("{" in part) == (at == _ID_AT and part == "{id}") for at, part in enumerate(parts) if "{" in part):
            self._handlers[route.method, route.path] = (handler, route.key)

    def over(self, fallback: RequestHandler) -> RequestHandler:
        """The handler to give to aiohttp's server instead of the application's own."""
        def dispatch(request: web.Request) -> Awaitable[web.StreamResponse]:
            path = request.raw_path.partition("?")[0]
            found = self._handlers.get((request.method, path))
            given = _NOTHING
            if found is None:
                parts = path.split("/")
                if len(parts) > _ID_AT and parts[_ID_AT].isdigit():
                    given = {"id": parts[_ID_AT]}
                    parts[_ID_AT] = "{id}"
                    found = self._handlers.get((request.method, "/".join(parts)))
            if found is None or "Expect" in request.headers:
                return fallback(request)
            return self._guard.around(request, found[0], found[1], given)
        return dispatch
