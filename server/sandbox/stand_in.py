"""What all stand-ins share: how a request becomes a position, and the position an answer."""
from __future__ import annotations

import asyncio
import re
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
