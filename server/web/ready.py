"""An answer whose head and body leave in one write, with a head that is mostly ready.

aiohttp builds the head of each answer header by header, which costs about as much as everything else of a request that
is answered from memory. For the plain answer (HTTP/1.1, kept alive, no cookie, no header of its own) this does the
same in one join. It uses attributes of aiohttp that are protected: `possible` says whether they are where they were,
else `reply` makes an ordinary response, and `tests/web/test_ready.py` fails.
"""
from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

_JSON = "application/json"
_READY = (200, 201, 202)
_standing: dict[str, str] = {}
_date = (0, b"")


def prepare_heads(headers: dict[str, str]) -> None:
    """The headers that every answer carries."""
    _standing.update(headers)
    _ahead.cache_clear()


@lru_cache(maxsize=200)
def _ahead(status: int, content_type: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {it}" for name, it in _standing.items())]
    if status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join([*lines, "Date: "]).encode("ascii")


def whole(status: int, content_type: str, headers: Mapping[str, str], body: bytes, request_id: str) -> bytes:
    """The bytes of an answer, head and body. `headers` come from us and hold no line breaks."""
    parts = [_ahead(status, content_type), _now(), b"\r\nX-Request-ID: ", request_id.encode("ascii")]
    for name, value in headers.items():
        parts.append(f"\r\n{name}: {value}".encode("latin-1"))
    if status == HTTPStatus.NO_CONTENT:
        parts.append(b"\r\n\r\n")
    else:
        parts += (b"\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    return b"".join(parts)


def _now() -> bytes:
    global _date
    second = int(time.time())
    if second != _date[0]:
        _date = (second, formatdate(second, usegmt=True).encode("ascii"))
    return _date[1]


IN_PLACE = all(hasattr(RequestHandler, name) for name in ("_drain_helper", "writing_paused"))


def possible(request: web.Request, status: int) -> bool:
    """Whether this answer can leave this way."""
    return (IN_PLACE and status in _READY and request.method != "HEAD" and request.version == HttpVersion11
            and request.keep_alive)


class ReadyResponse(web.StreamResponse):
    """A whole answer."""

    def __init__(self, request_id: str, status: int, body: bytes) -> None:
        # Not the parent's: what it sets up is what is saved here.
        self._status, self._keep_alive, self._eof_sent = status, True, False
        self._request_id, self._ready_body = request_id, body

    @property
    def prepared(self) -> bool:
        """Always: nothing can be added to it."""
        return True

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Only remembers where to."""
        self._req = request
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Writes everything."""
        request, body = self._req, self._ready_body
        assert request is not None
        protocol = request._protocol
        transport = protocol.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        answer = whole(self._status, _JSON, {}, body, self._request_id)
        transport.write(answer)
        request._payload_writer.output_size += len(answer)
        self._eof_sent = True
        if protocol.writing_paused:
            await protocol._drain_helper()
