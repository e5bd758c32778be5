"""The answers that do not depend on the vendor: what a network, a proxy or a broken server can do to any of them."""
from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Document = dict[str, Any]
Make = Callable[[], Awaitable[Document]]

_HUGE = 3 * 1024 * 1024
_LONGEST_HANG = 120.0
_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


@dataclass(slots=True)
class Call:
    """One request to a stand-in: what it asks about and what a good answer to it would hold."""

    request: web.Request
    subject: str
    document: Make
    error: Callable[[int], Document]
    closing: asyncio.Event


Reply = Callable[[Call], Awaitable[web.StreamResponse]]


def json_response(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON with ASCII escapes, as both vendors send it; lone surrogates can travel in it."""
    body = json.dumps(document, separators=(",", ":")).encode("ascii")
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def good(status: int = 200) -> Reply:
    """The whole good document, with this status."""
    async def reply(call: Call) -> web.Response:
        return json_response(await call.document(), status)
    return reply


def changed(change: Callable[[Document], object], status: int = 200) -> Reply:
    """The good document after a change: in place, or what the change gives back."""
    async def reply(call: Call) -> web.Response:
        document = await call.document()
        given = change(document)
        return json_response(document if given is None else given, status)
    return reply


def fixed(status: int, document: object, headers: Mapping[str, str] | None = None) -> Reply:
    """Always this JSON."""
    async def reply(_: Call) -> web.Response:
        return json_response(document, status, headers)
    return reply


def empty(status: int) -> Reply:
    """No body."""
    async def reply(_: Call) -> web.Response:
        return web.Response(status=status)
    return reply


def page(status: int, title: str) -> Reply:
    """A page, such as a proxy puts in front of a broken server."""
    async def reply(_: Call) -> web.Response:
        return web.Response(status=status, text=_PAGE.format(title), content_type="text/html")
    return reply


def refused(status: int) -> Reply:
    """A refusal in the vendor's own form."""
    async def reply(call: Call) -> web.Response:
        return json_response(call.error(status), status)
    return reply


async def reset(call: Call) -> web.StreamResponse:
    """The connection is reset before a byte is sent."""
    transport = call.request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        # Linger of zero turns the close into a real reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def cut_body(call: Call) -> web.StreamResponse:
    """Half of the bytes that Content-Length promises, then the end."""
    whole = json.dumps(await call.document()).encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(whole)
    await response.prepare(call.request)
    await response.write(whole[:len(whole) // 2])
    if call.request.transport is not None:
        call.request.transport.close()
    return response


async def cut_json(call: Call) -> web.Response:
    """A complete answer that holds half a document."""
    whole = json.dumps(await call.document())
    return web.Response(text=whole[:len(whole) // 2], content_type="application/json")


async def huge(call: Call) -> web.Response:
    """A good document of 3 MiB."""
    return json_response(await call.document() | {"padding": "x" * _HUGE})


async def hang(call: Call) -> web.StreamResponse:
    """Nothing for two minutes, then the good answer."""
    await pause(call.closing, _LONGEST_HANG)
    return await good()(call)


async def redirect(call: Call) -> web.Response:
    """A redirect to the same port under another host name, where requests are counted."""
    host = "localhost" if call.request.url.host == "127.0.0.1" else "127.0.0.1"
    target = call.request.url.origin().with_host(host).with_path("/_elsewhere")
    return web.Response(status=302, headers={"Location": str(target)})


async def pause(closing: asyncio.Event, seconds: float) -> None:
    """Waits so long, or until the sandbox closes."""
    try:
        async with asyncio.timeout(seconds):
            await closing.wait()
    except TimeoutError:
        pass


def _unknown_keys(document: Document) -> None:
    document.update({"added_in_2031": {"deep": [1, 2, {"er": None}]}, "": 0, "__proto__": {"admin": True}})


async def deep(_: Call) -> web.Response:
    """Brackets in brackets, 100 000 of them."""
    return web.Response(text="[" * 100_000 + "]" * 100_000, content_type="application/json")


async def not_utf8(_: Call) -> web.Response:
    """Bytes that are no UTF-8, called JSON."""
    return web.Response(body=b'{"data": {"status": "\xff\xfe"}}', content_type="application/json")


async def bad_gzip(_: Call) -> web.Response:
    """An answer that says it is compressed and is not."""
    return web.Response(body=b"not gzip at all", headers={"Content-Encoding": "gzip"})


# Nothing in here depends on the endpoint; `call.document` and `call.error` bring the vendor's own shapes.
COMMON: dict[str, Reply] = {
    "202-empty": empty(202),
    "202-full": good(202),
    "200-empty": empty(200),
    "204": empty(204),
    "unknown-keys": changed(_unknown_keys),
    "array": changed(lambda document: [document]),
    "null": fixed(200, None),
    "410": refused(410),
    "500-json": refused(500),
    "500-html": page(500, "Internal Server Error"),
    "502-html": page(502, "Bad Gateway"),
    "503-json": refused(503),
    "503-html": page(503, "Service Unavailable"),
    "503-retry-after": fixed(503, {}, {"Retry-After": "7"}),
    "404-html": page(404, "Not Found"),
    "html-200": page(200, "Please sign in to the network"),
    "cut-json": cut_json,
    "cut-body": cut_body,
    "reset": reset,
    "huge": huge,
    "deep": deep,
    "not-utf8": not_utf8,
    "bad-gzip": bad_gzip,
    "redirect": redirect,
    "hang": hang,
}
