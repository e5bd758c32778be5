"""Header blocks that were read before.

A client on a kept connection sends the same headers with each request, byte for byte. aiohttp's parser reads and judges
each block once; when it was accepted, and holds nothing that a plain request would not, what it says is remembered
under its bytes.
"""
from __future__ import annotations

from typing import NamedTuple

from aiohttp.http import HttpVersion11, RawRequestMessage

from server.core.errors import Problem
from server.web.route import bearer

MOST_BYTES = 8 * 1024 * 1024
LONGEST = 4096

# Headers that change nothing about how a plain request is answered, or that are read below.
_PLAIN = frozenset({
    "accept", "accept-encoding", "accept-language", "authorization", "cache-control", "connection", "content-length",
    "content-type", "cookie", "dnt", "host", "keep-alive", "origin", "pragma", "priority", "referer", "sec-ch-ua",
    "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "user-agent",
    "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"})
_JSON = ("application/json", "application/json; charset=utf-8", "application/json;charset=utf-8")


class Head(NamedTuple):
    """What a block of headers says."""

    token: str | None  # of the Authorization header
    length: int  # of the body
    is_json: bool
    forwarded: str | None


class Heads:
    """Knows blocks; forgets all of them when they become too many."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self._bytes = 0
        self.get = self._known.get

    def learn(self, block: bytes, message: RawRequestMessage) -> None:
        """Remembers what aiohttp made of the block, if it is a plain one."""
        if len(block) > LONGEST or block in self._known:
            return
        head = _head(message)
        if head is not None:
            self._bytes += len(block)
            if self._bytes > MOST_BYTES:
                self._known.clear()
                self._bytes = len(block)
            self._known[block] = head


def _head(message: RawRequestMessage) -> Head | None:
    headers = message.headers
    names = [name.lower() for name in headers]
    if (message.version != HttpVersion11 or message.should_close or message.compression or message.upgrade
            or message.chunked or not _PLAIN.issuperset(names)):
        return None
    if len(headers) != len(names) or headers.get("Connection", "keep-alive").lower() != "keep-alive":
        return None  # a header that came twice counts twice in the one, and once in the other
    header = headers.get("Authorization")
    try:
        token = None if header is None else bearer(header)
    except Problem:
        return None
    return Head(token, int(headers.get("Content-Length", "0")), headers.get("Content-Type") in _JSON,
                headers.get("X-Forwarded-For"))
