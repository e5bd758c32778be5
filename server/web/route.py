"""A route is declared once; validation, OpenAPI, limits and tests come from the declaration."""
from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from aiohttp import web

from server.core.errors import Problem

REQUEST_ID = web.RequestKey("request_id", str)
Who = Literal["open", "anyone", "member", "admin"]


@dataclass(frozen=True, slots=True)
class Member:
    """Who is asking, as the access token and the database say."""

    id: int
    username: str
    role: str
    session_id: int
    expires_at: int  # of the token, in milliseconds


class Outdated(Exception):
    """Raised by a `store` that finds that what was prepared no longer holds: it is prepared once more."""


class Call:
    """One request on its way through the five steps."""

    __slots__ = ("_request", "request_id", "address", "content_type", "member", "body", "query", "id", "name", "stamp")

    def __init__(self, request: web.Request | None, request_id: str, address: str) -> None:
        self._request = request
        self.content_type = request.content_type if request else ""
        self.request_id = request_id
        self.address = address
        self.member: Member | None = None
        self.body: Any = None
        self.query: Any = None
        self.id = 0  # of the path
        self.name = ""  # of the path
        self.stamp = 0  # of the memory that `recall` looked into, for `load` to fill it rightly

    @property
    def request(self) -> web.Request:
        """aiohttp's request, which is not there on the express lane."""
        assert self._request is not None
        return self._request

    @property
    def me(self) -> Member:
        """The member of a route that needs one."""
        assert self.member is not None
        return self.member

    @property
    def me_id(self) -> int:
        """The asking member's id, 0 when not signed in."""
        return self.member.id if self.member else 0


@dataclass(slots=True)
class Cookie:
    """A cookie to be set (or removed, when empty)."""

    name: str
    value: str
    path: str
    max_age: int


@dataclass(slots=True)
class Answer:
    """What a route gives: `data` in the envelope, or `raw`, a whole body that is ready, or one in `parts`.

    `about`: whose data stands in it, where no token has said so.
    """

    data: Any = None
    status: int = 200
    location: str | None = None
    raw: bytes | None = None
    parts: AsyncGenerator[bytes, None] | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cookies: list[Cookie] = field(default_factory=list)
    about: int | None = None


@dataclass(slots=True)
class Listing:
    """One page of a list; `next` is the cursor of the page behind it."""

    items: Any
    next: str | None


@dataclass(frozen=True)
class Route:
    """One method on one path.

    A reading route has `load(tx, call)`, and `recall(call)` when it can often answer from memory; one that speaks of
    the server itself has `tell(call)`, one whose answer goes on and on `stream(call)`. A writing route has
    `store(tx, call, prepared)`, and `prepare(call)` for what is slow (other services, hashing). `store` returns an
    `Answer`, or returns a `Problem` whose effects are kept (a raised one rolls everything back). `finish(call, answer)`
    adds what may never be stored (tokens); an idempotent answer is kept as it was before.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    summary: str
    who: Who
    gives: Any = None  # the type of `data`; None for 204
    status: int = 200
    takes: type[msgspec.Struct] | None = None
    uploads: int | None = None  # takes a file of at most so many bytes, as multipart/form-data (see `uploads`)
    query: type[msgspec.Struct] | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)  # of requests that it reads, as OpenAPI describes them
    listing: bool = False
    beside: Mapping[str, Any] = field(default_factory=dict)  # what stands beside `data`, as JSON schemas
    media: str = "application/json"  # what the answer is; without `gives` it is not in the envelope
    given_with: tuple[int, ...] = ()  # other statuses under which the answer may come as well
    problems: tuple[str, ...] = ()
    also: tuple[tuple[int, str], ...] = ()  # codes that come with another status here than their own
    limit: Literal["read", "write", "signup", "login", "none"] | None = None
    body_optional: bool = False
    cookie: str | None = None  # one that stands in for the body
    beside_body: Callable[[Call], bytes] | None = None  # what else than the body makes it another request (a cookie)
    stores: Any = None  # the type of what `finish` takes, when it differs from `gives`
    load: Callable[[Any, Call], Awaitable[Answer]] | None = None
    recall: Callable[[Call], Answer | None] | None = None
    tell: Callable[[Call], Awaitable[Answer]] | None = None
    prepare: Callable[[Call], Awaitable[Any]] | None = None
    store: Callable[[Any, Call, Any], Awaitable[Answer | Problem]] | None = None
    finish: Callable[[Call, Answer], Answer] | None = None
    stream: Callable[[Call], Awaitable[web.StreamResponse]] | None = None
    # Whether the express lane may take it: nothing of it looks at `call.request`, and its `prepare` awaits nothing.
    express: bool = False

    @property
    def rate(self) -> str:
        """Which limit counts its requests."""
        return self.limit or ("read" if self.method == "GET" else "write")

    @property
    def key(self) -> str:
        """Its name in metrics, logs and idempotency scopes."""
        return f"{self.method} {self.path}"


def bearer(header: str | None) -> str:
    """The token of an Authorization header (RFC 6750); raises Problem 401."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise unauthorized()
    return token


def unauthorized() -> Problem:
    """The one answer to every request without a good access token, whatever is wrong with it."""
    return Problem("not_signed_in", "The access token is missing, expired or revoked: send "
                   "'Authorization: Bearer <access token>', refresh the token, or sign in again.")
