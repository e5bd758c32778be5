"""What all stand-ins share: how a request becomes a position, and the position an answer."""
from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Protocol

from aiohttp import web

from server.sandbox.people import normalised
from server.sandbox.replies import Call, Reply, pause
from server.sandbox.stage import Stage

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


class StandIn(Protocol):
    """One imitated service: a name (its path on the sandbox), a stage, and its routes."""

    name: str
    stage: Stage

    def app(self, closing: asyncio.Event) -> web.Application:
        """The routes, below the service's own path."""


class Budget:
    """The rate that a vendor tells in the headers of every answer: so many calls in each window of so many seconds."""

    def __init__(self, limit: int, window: int) -> None:
        self._limit, self._length = limit, window
        self._began, self._used = 0, 0

    def tell(self, response: web.StreamResponse) -> None:
        """Counts the answer, and sets the headers that it does not have already."""
        began = int(time.time()) // self._length * self._length
        self._began, self._used = began, self._used + 1 if self._began == began else 1
        response.headers.setdefault("X-RateLimit-Limit", str(self._limit))
        response.headers.setdefault("X-RateLimit-Remaining", str(max(0, self._limit - self._used)))
        if response.status != 429:
            response.headers.setdefault("X-RateLimit-Reset", str(began + self._length))


def asked_address(request: web.Request) -> str | None:
    """The `email` of the query in its normal form; None if it is missing or no address.

    A `+` sent without encoding has become a blank by now, so that a client which forgets to encode it is found out.
    """
    email = normalised(request.query.get("email", ""))
    return email if _ADDRESS.fullmatch(email) else None


async def perform(stage: Stage, endpoint: str, replies: Mapping[str, Reply], call: Call, *,
                  skip_waiting: bool = False) -> web.StreamResponse:
    """Plays the next position for the call, after the delay that is set."""
    position = stage.play(endpoint, call.subject, skip_waiting=skip_waiting)
    if stage.delay:
        await pause(call.closing, stage.delay)
    return await replies[position](call)
