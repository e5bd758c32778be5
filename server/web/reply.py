"""Answers as aiohttp sends them: bytes that are ready, with the headers that every answer carries."""
from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from server.web import ready
from server.web.parts import PartsResponse
from server.web.route import Answer, Cookie, Listing

_encode = msgspec.json.Encoder().encode

_JSON = "application/json"

# Nothing of the API may be framed, sniffed, cached on the way or run as a page.
_API_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "Foyer",
    "X-Content-Type-Options": "nosniff",
}
ready.prepare_heads(_API_HEADERS)
PAGE_POLICY = ("default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")


def encode(data: Any) -> bytes:
    """The envelope with the data in it."""
    if isinstance(data, Listing):
        return b'{"data":' + _encode(data.items) + b',"next":' + _encode(data.next) + b"}"
    return b'{"data":' + _encode(data) + b"}"


def response(body: bytes | None, status: int, content_type: str, request_id: str,
             extra: dict[str, str] | None = None) -> web.Response:
    """An answer with the standing headers."""
    headers = standing(content_type if body is not None else None, request_id, extra)
    return web.Response(body=body, status=status, headers=headers)


def standing(content_type: str | None, request_id: str, extra: dict[str, str] | None) -> CIMultiDict[str]:
    """The headers that every answer carries, and its own."""
    headers = CIMultiDict(_API_HEADERS)
    headers["X-Request-ID"] = request_id
    if content_type is not None:
        headers["Content-Type"] = content_type
    if extra:
        headers.update(extra)
    return headers


def of(answer: Answer, request: web.Request, request_id: str, secure: bool, plain: bool) -> web.StreamResponse:
    """The response for an answer.

    `secure`: the outside speaks https, for the cookies. `plain`: something else adds headers to responses, so it must
    be one of aiohttp's own.
    """
    if answer.parts is not None:
        return PartsResponse(answer.parts, answer.status, standing(answer.content_type, request_id, answer.headers))
    body = None if answer.status == 204 else answer.raw if answer.raw is not None else encode(answer.data)
    bare = not (plain or answer.cookies or answer.headers or answer.location)
    if bare and body is not None and answer.content_type == _JSON and ready.possible(request, answer.status):
        return ready.ReadyResponse(request_id, answer.status, body)
    extra = {**answer.headers, "Location": answer.location} if answer.location else answer.headers
    made = response(body, answer.status, answer.content_type, request_id, extra)
    for cookie in answer.cookies:
        _set(made, cookie, secure)
    return made


def _set(made: web.Response, cookie: Cookie, secure: bool) -> None:
    if cookie.value:
        made.set_cookie(cookie.name, cookie.value, max_age=cookie.max_age, path=cookie.path, httponly=True,
                        samesite="Strict", secure=secure)
    else:
        made.del_cookie(cookie.name, path=cookie.path, httponly=True, samesite="Strict", secure=secure)


def page(html: str, request_id: str) -> web.Response:
    """A page for people."""
    made = response(html.encode(), 200, "text/html; charset=utf-8", request_id)
    made.headers["Content-Security-Policy"] = PAGE_POLICY
    return made
