"""random-data-api's stand-in: users, addresses and cards, under the paths of today and under the old ones."""
from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

from server.sandbox import randomdata_odd as odd
from server.sandbox.randomdata_records import Record, Source
from server.sandbox.replies import COMMON, Call, Document, Reply, changed, fixed, good, json_response, page, pause
from server.sandbox.stage import Stage
from server.sandbox.stand_in import perform

MOST = 100
PATHS = {
    "users": ("/api/v2/users", "/api/users/random_user"),
    "addresses": ("/api/v2/addresses", "/api/address/random_address"),
    "cards": ("/api/v2/credit_cards", "/api/business_credit_card/random_card"),
}
_DRIP_EVERY = 0.1
_PADDING = 3 * 1024 * 1024
_FAST = {"error": "Too many requests."}
_BAD_SIZE = {"error": "size is not valid"}
_CHALLENGE = "Checking your browser"


def error(status: int) -> Document:
    """An error as Rails sends it."""
    return {"status": status, "error": "Something went wrong on our side."}


def _each(change: Callable[[Record], None]) -> Reply:
    """The good answer after a change to each record."""
    def change_all(records: list[Record]) -> list[Record]:
        for record in records:
            change(record)
        return records
    return _all(change_all)


def _all(change: Callable[[list[Record]], list[Any]]) -> Reply:
    """The good answer after a change to its records, in the same shape as far as that can be."""
    def change_document(document: Any) -> Any:
        if isinstance(document, list):
            return change(document)
        records = change([document])
        return records[0] if len(records) == 1 else records
    return changed(change_document)


async def _records(call: Call) -> web.StreamResponse:
    """What is asked for, as XML where that is asked for."""
    xml = call.request.query.get("is_xml") == "true" or call.request.query.get("response_type") == "xml"
    return await (_xml if xml else good())(call)


async def _xml(call: Call) -> web.Response:
    """The good answer as XML."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{_element("objects", await call.document())}'
    return web.Response(text=text, content_type="application/xml")


def _element(name: str, value: object) -> str:
    if isinstance(value, dict):
        inside = "".join(_element(key, inner) for key, inner in value.items())
    elif isinstance(value, list):
        inside = "".join(_element("object", inner) for inner in value)
    else:
        inside = escape(str(value))
    return f"<{name}>{inside}</{name}>"


async def _odd_numbers(call: Call) -> web.Response:
    """Numbers that JSON does not know, and endless ones."""
    document: Any = await call.document()
    for record in document if isinstance(document, list) else [document]:
        odd.odd_numbers(record)
    text = json.dumps(document).replace(f'"{odd.HUGE}"', "9" * 5000)
    return web.Response(text=text, content_type="application/json")


async def _drip(call: Call) -> web.StreamResponse:
    """The good answer, ten bytes a second."""
    whole = json.dumps(await call.document()).encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(call.request)
    for place in range(len(whole)):
        await response.write(whole[place:place + 1])
        await pause(call.closing, _DRIP_EVERY)
    return response


async def _told_a_date(_: Call) -> web.Response:
    return json_response(_FAST, 429, {"Retry-After": formatdate(time.time() + 40, usegmt=True)})


# `COMMON` has three positions that need an object; here the answer may be an array.
_POSITIONS: dict[str, Reply] = COMMON | {
    "records": _records,
    "unknown-keys": _each(lambda record: record.update({"added_in_2031": {"deep": [1, {"er": None}]}, "": 0})),
    "array": changed(lambda document: [document]),
    "huge": _each(lambda record: record.update(padding="x" * _PADDING)),
    "fewer": _all(lambda records: records[:len(records) // 2]),
    "more": _all(lambda records: records * 2),
    "empty": fixed(200, []),
    "twice": _all(lambda records: records + records[:1]),
    "same-id": _all(odd.with_the_same("id")),
    "same-uid": _all(odd.with_the_same("uid")),
    "mixed": _all(odd.mixed),
    **{name: _each(change) for name, change in {
        "null-leaves": odd.emptied, "no-uid": odd.without_uid, "bad-uid": odd.bad_uid, "wrong-types": odd.wrong_types,
        "hostile": odd.malicious, "long": odd.too_long, "non-ascii": odd.non_ascii, "markers": odd.marked,
    }.items()},
    "odd-numbers": _odd_numbers,
    "error-object": fixed(200, _BAD_SIZE),
    "number": fixed(200, 17),
    "text": fixed(200, "records"),
    "xml": _xml,
    "drip": _drip,
    "400": fixed(400, _BAD_SIZE),
    "401": fixed(401, {"error": "A key is needed."}),
    "403": fixed(403, {}),
    "403-html": page(403, _CHALLENGE),
    "404": fixed(404, {"error": "Not Found"}),
    "422": fixed(422, _BAD_SIZE),
    "429": fixed(429, _FAST),
    "429-retry-after": fixed(429, _FAST, {"Retry-After": "11"}),
    "429-date": _told_a_date,
    "429-day": fixed(429, _FAST, {"Retry-After": "86400"}),
    "429-html": page(429, _CHALLENGE),
}
_OF_USERS: dict[str, Reply] = {
    "same-email": _all(odd.with_the_same("email")),
    "same-username": _all(odd.with_the_same("username")),
    **{name: _each(change) for name, change in {
        "null-nested": odd.null_nested, "no-nested": odd.without_nested, "leap-day": odd.leap_day,
        "no-such-day": odd.no_such_day}.items()},
}
_Link = Callable[[list[Record], list[Record]], list[Record]]
_LINKS: dict[str, dict[str, _Link]] = {
    "users": {},
    "addresses": {"linked-uid": odd.linked_by_uid, "linked-coordinates": odd.linked_by_coordinates},
    "cards": {"linked-uid": odd.linked_by_uid, "linked-number": odd.linked_by_number},
}


class RandomData:
    """The stand-in under `/randomdata`."""

    name = "randomdata"

    def __init__(self) -> None:
        self._source = Source()
        self._replies: dict[str, dict[str, Reply]] = {what: self._positions(what) for what in PATHS}
        self.stage = Stage(self._replies, dict.fromkeys(PATHS, "records"), {}, {"rate": "429", "quota": "429"})
        self._closing = asyncio.Event()

    def app(self, closing: asyncio.Event) -> web.Application:
        """The routes, below the service's own path."""
        self._closing = closing
        app = web.Application()
        for what, paths in PATHS.items():
            for path in paths:
                app.router.add_get(path, self._handler(what))
        app.router.add_route("*", "/{rest:.*}", self._nowhere)
        return app

    def _positions(self, what: str) -> dict[str, Reply]:
        links = {name: _all(self._linked(link)) for name, link in _LINKS[what].items()}
        return _POSITIONS | (_OF_USERS if what == "users" else {}) | links | {
            "again": self._again(what, lambda record: None), "again-changed": self._again(what, odd.changed)}

    def _linked(self, link: _Link) -> Callable[[list[Record]], list[Record]]:
        return lambda records: link(records, list(self._source.users))

    def _again(self, what: str, change: Callable[[Record], None]) -> Reply:
        """The records of the request before."""
        async def reply(call: Call) -> web.Response:
            records = await self._source.again(what, _size(call.request.query))
            for record in records:
                change(record)
            return json_response(_shaped(records))
        return reply

    def _handler(self, what: str) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            async def document() -> Any:
                return _shaped(await self._source.following(what, _size(request.query)))
            return await perform(self.stage, what, self._replies[what],
                                 Call(request, "", document, error, self._closing))
        return handle

    async def _nowhere(self, _: web.Request) -> web.Response:
        return json_response({"status": 404, "error": "Not Found"}, 404)


def _size(query: Mapping[str, str]) -> int:
    """How many are asked for; what is no number counts as one. Theirs is not known to refuse any."""
    asked = query.get("size", "")
    return min(MOST, max(1, int(asked))) if asked.isdecimal() and len(asked) < 10 else 1


def _shaped(records: list[Record]) -> Any:
    """One object for one, an array for more."""
    return records[0] if len(records) == 1 else records
