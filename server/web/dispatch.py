"""The short way from a connection to a route's handler.

aiohttp looks through its resources, freezes a match and enters its middlewares for each request. For a declared route
on an ordinary path one look into a dictionary finds the same handler; everything else, a path that nobody declared, an
odd spelling of one, HEAD, `Expect`, goes aiohttp's own way and ends at the same handlers.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from typing import Any, NamedTuple

from aiohttp import web

from server.storage import Receiver
from server.web.guard import Guard
from server.web.heads import Head
from server.web.route import Answer, Call, Route

ExpressHandler = Callable[[Call, Head, Mapping[str, str], Mapping[str, str], bytes, Receiver], Answer]
RouteHandler = Callable[[web.Request, Mapping[str, str]], Awaitable[web.StreamResponse]]
RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ID_AT = 3  # /api/posts/{id}: the part of a path in which ids stand
_NOTHING: Mapping[str, str] = {}


class Pending(Exception):
    """The answer comes later: the database will tell the receiver."""


class LongWay(Exception):
    """This request is not for the express lane; nothing was done for it yet."""


class Entry(NamedTuple):
    """How a route is run: aiohttp's way, and, where it may, by the express lane (see `express`)."""

    key: str
    handler: RouteHandler
    express: ExpressHandler | None
    after: Callable[[Call, Any], Answer]  # makes the answer of what the database gave the express lane


def _never(call: Call, given: Any) -> Answer:
    raise AssertionError("this is not for the express lane")


class Dispatcher:
    """Calls handlers; `fallback` is aiohttp's way."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._entries: dict[tuple[str, str], Entry] = {}

    def add(self, route: Route, entry: Entry) -> None:
        """Knows the route from now on, if its path is of a kind that is looked up here."""
        parts = route.path.split("/")
        if all(("{" in part) == (at == _ID_AT and part == "{id}") for at, part in enumerate(parts) if "{" in part):
            self._entries[route.method, route.path] = entry

    def add_handler(self, path: str, handler: RequestHandler) -> None:
        """Knows a GET that is not declared as a route."""
        self._entries["GET", path] = Entry(f"GET {path}", lambda request, _: handler(request), None, _never)

    def find(self, method: str, path: str) -> tuple[Entry | None, Mapping[str, str]]:
        """The route of a path, with the variable parts of it."""
        found = self._entries.get((method, path))
        if found is None:
            parts = path.split("/")
            if len(parts) > _ID_AT and parts[_ID_AT].isdigit():
                given = {"id": parts[_ID_AT]}
                parts[_ID_AT] = "{id}"
                return self._entries.get((method, "/".join(parts))), given
        return found, _NOTHING

    def over(self, fallback: RequestHandler) -> RequestHandler:
        """The handler to give to aiohttp's server instead of the application's own."""
        def dispatch(request: web.Request) -> Awaitable[web.StreamResponse]:
            found, given = self.find(request.method, request.raw_path.partition("?")[0])
            if found is None or "Expect" in request.headers:
                return fallback(request)
            return self._guard.around(request, found.handler, found.key, given)
        return dispatch
