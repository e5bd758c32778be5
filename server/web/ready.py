"""An answer whose head and body leave in one write, with a head that is mostly ready.

aiohttp builds the head of each answer header by header, which costs about as much as everything else of a request that
is answered from memory. For the plain answer (HTTP/1.1, kept alive, no cookie, no header of its own) this does the
same in one join. It uses attributes of aiohttp that are protected: `possible` says whether they are where they were,
else `reply` makes an ordinary response, and `tests/web/test_ready.py` fails.
"""
from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

_AHEAD = {200: b"", 201: b"", 202: b""}
_date = (0, b"")


def prepare_heads(headers: dict[str, str]) -> None:
    """Makes the standing part of the heads, once."""
    standing = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    for status in _AHEAD:
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        _AHEAD[status] = f"{line}{standing}Content-Type: application/json\r\nDate: ".encode("ascii")


def _now() -> bytes:
    global _date
    second = int(time.time())
    if second != _date[0]:
        _date = (second, formatdate(second, usegmt=True).encode("ascii"))
    return _date[1]


IN_PLACE = all(hasattr(RequestHandler, name) for name in ("_drain_helper", "writing_paused"))


def possible(request: web.Request, status: int) -> bool:
    """Whether this answer can leave this way."""
    return (IN_PLACE and status in _AHEAD and request.method != "HEAD" and request.version == HttpVersion11
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
        whole = b"".join((_AHEAD[self._status], _now(), b"\r\nX-Request-ID: ", self._request_id.encode("ascii"),
                          b"\r\nContent-Length: %d\r\n\r\n" % len(body), body))
        transport.write(whole)
        request._payload_writer.output_size += len(whole)
        self._eof_sent = True
        if protocol.writing_paused:
            await protocol._drain_helper()
