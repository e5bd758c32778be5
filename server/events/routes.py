"""The events over plain HTTP, for whoever has no socket."""
from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from server.events import log
from server.storage import Tx
from server.web import cursor
from server.web.fields import Limit, Seq
from server.web.route import Answer, Call, Route


class EventFrame(msgspec.Struct):
    """One event, the same as on the socket."""

    type: str
    seq: int
    at: str
    data: dict[str, Any]


class After(msgspec.Struct, forbid_unknown_fields=True):
    """Which events: those behind `after`, else behind the last acknowledged one."""

    after: Seq | None = None
    limit: Limit = 100
    cursor: Annotated[str, Meta(max_length=200)] | None = None


class Acknowledge(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/events/ack."""

    seq: Seq


async def _load(tx: Tx, call: Call) -> Answer:
    query: After = call.query
    after = query.after
    if query.cursor is not None:
        after = cursor.decode("events", query.cursor, 1)[0]
    elif after is None:
        after = (await log.position(tx, call.me.id)).acked
    page = await log.page(tx, call.me.id, after, query.limit)
    last = page.events[-1].seq if page.events else page.seq
    more = cursor.encode("events", last) if last < page.seq else None
    frames = ",".join(event.frame for event in page.events)
    return Answer(raw=f'{{"data":[{frames}],"gap":{page.gap or "null"},"next":'.encode()
                  + msgspec.json.encode(more) + b"}")


async def _acknowledge(tx: Tx, call: Call, prepared: None) -> Answer:
    await log.acknowledge(tx, call.me.id, call.body.seq)
    return Answer(status=204)


def routes() -> list[Route]:
    """The declarations."""
    return [
        Route("GET", "/api/events", "One's events, at most 100 a page; `gap`: the first number still there", "member",
              EventFrame, query=After, listing=True, problems=("bad_cursor",), load=_load,
              beside={"gap": {"type": ["integer", "null"]}}),
        Route("POST", "/api/events/ack", "All events up to a number are done with", "member", status=204,
              takes=Acknowledge, store=_acknowledge),
    ]
