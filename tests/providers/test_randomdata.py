"""random-data-api's client: over every position of its stand-in, and over servers that are worse than that."""
from __future__ import annotations

import asyncio
import json
import logging
import math
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from server.core.clock import iso
from server.providers.http import MAX_BODY, ProviderHttp
from server.providers.outcome import Outcome
from server.providers.randomdata import PATHS, RandomData
from server.sandbox.app import Sandbox
from server.sandbox.randomdata_odd import CARD_MARKER, MARKER
from tests.providers.conftest import Handler, WebServer

SIZE = 4


def found(count: int) -> dict[str, Any]:
    return {"kind": "found", "reason": "", "count": count}


def broken(reason: str, wait: float | None = None) -> dict[str, Any]:
    return {"kind": "broken", "reason": reason, "wait": wait}


def limited(wait: float) -> dict[str, Any]:
    return {"kind": "limited", "reason": "status 429, rate limit", "wait": wait}


ALL, NOT_JSON, ODD = found(SIZE), broken("not JSON"), broken("answer of another shape")
ERROR = broken("an error object")
COMMON = {
    "202-empty": broken("status 202"), "202-full": broken("status 202"), "200-empty": NOT_JSON,
    "204": broken("status 204"), "unknown-keys": ALL, "array": found(1), "null": ODD, "410": broken("status 410"),
    "500-json": broken("status 500"), "500-html": broken("status 500, a page"),
    "502-html": broken("status 502, a page"), "503-json": broken("status 503"),
    "503-html": broken("status 503, a page"), "503-retry-after": broken("status 503", 7.0),
    "404-html": broken("status 404, a page"), "html-200": broken("a page instead of JSON"), "cut-json": NOT_JSON,
    "cut-body": broken("no answer: ClientPayloadError"), "reset": {"kind": "broken"},
    "huge": broken("body too large"), "deep": NOT_JSON, "not-utf8": NOT_JSON, "bad-gzip": {"kind": "broken"},
    "redirect": broken("status 302, a redirect"), "hang": broken("timeout"),
}
EVERY = COMMON | {
    "records": ALL, "again": ALL, "again-changed": ALL, "fewer": found(SIZE // 2), "more": found(2 * SIZE),
    "empty": found(0), "twice": found(SIZE + 1), "same-id": ALL, "same-uid": ALL, "mixed": ALL, "null-leaves": ALL,
    "no-uid": ALL, "bad-uid": ALL, "wrong-types": ALL, "hostile": ALL, "long": ALL, "non-ascii": ALL, "markers": ALL,
    "odd-numbers": ALL,
    "error-object": ERROR, "number": ODD, "text": ODD, "xml": NOT_JSON, "drip": broken("timeout"),
    "400": broken("status 400"), "401": broken("status 401"), "403": broken("status 403"),
    "403-html": broken("status 403, a page"), "404": broken("status 404"), "422": broken("status 422"),
    "429": limited(2.0), "429-retry-after": limited(11.0), "429-date": {"kind": "limited"},
    "429-day": limited(3600.0), "429-html": limited(2.0),
}
TABLES = {
    "users": EVERY | dict.fromkeys(
        ("same-email", "same-username", "null-nested", "no-nested", "leap-day", "no-such-day"), ALL),
    "addresses": EVERY | dict.fromkeys(("linked-uid", "linked-coordinates"), ALL),
    "cards": EVERY | dict.fromkeys(("linked-uid", "linked-number"), ALL),
}


def of_sandbox(sandbox: Sandbox, http: ProviderHttp) -> RandomData:
    return RandomData(http, sandbox.url + "/randomdata")


def check(outcome: Outcome, expected: dict[str, Any]) -> None:
    told = {"kind": outcome.kind, "reason": outcome.reason, "wait": outcome.wait,
            "count": len(outcome.records) if outcome.records is not None else None}
    assert {name: told[name] for name in expected} == expected
    assert outcome.asked and len(outcome.reason) < 60
    assert (outcome.records is not None) == (outcome.kind == "found")
    assert "records" not in repr(outcome) and "uid" not in repr(outcome)


def records(outcome: Outcome) -> list[Any]:
    assert outcome.records is not None, outcome
    return list(outcome.records)


@pytest.mark.parametrize(("what", "position"), [(what, name) for what, table in TABLES.items() for name in table])
async def test_every_position(what: str, position: str, sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("randomdata", {what: [position]})
    patience = 0.15 if position in ("hang", "drip") else 20.0
    check(await of_sandbox(sandbox, http).ask(what, SIZE, patience), TABLES[what][position])


async def test_no_position_is_without_expectation(control: aiohttp.ClientSession) -> None:
    async with control.get("/_switch/randomdata") as response:
        positions = (await response.json())["positions"]
    assert {what: sorted(names) for what, names in positions.items()} == {
        what: sorted(table) for what, table in TABLES.items()}


@pytest.mark.parametrize("what", PATHS)
async def test_an_object_for_one_and_an_array_for_more(what: str, sandbox: Sandbox, http: ProviderHttp) -> None:
    client = of_sandbox(sandbox, http)
    for size in (1, 2, 100):
        fetched = records(await client.ask(what, size))
        assert len(fetched) == size and len({record["uid"] for record in fetched}) == size


async def test_the_request_of_each_kind(web_server: WebServer, http: ProviderHttp) -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response([])
    client = RandomData(http, await web_server(handler) + "/base/")
    for what in PATHS:
        check(await client.ask(what, 7), found(0))
    assert [request.path_qs for request in seen] == [
        f"/base/api/v2/{name}?size=7&response_type=json" for name in ("users", "addresses", "credit_cards")]
    for request in seen:
        assert request.headers["Accept"] == "application/json" and request.headers["User-Agent"] == "Foyer"
        assert "Authorization" not in request.headers and "Cookie" not in request.headers


async def test_records_arrive_exactly_as_they_were_sent(sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    client = of_sandbox(sandbox, http)
    await switch("randomdata", {"users": ["hostile", "null-nested", "mixed", "leap-day"]})
    hostile, nested, mixed, leap = [records(await client.ask("users", SIZE)) for _ in range(4)]
    assert any("\ud800" in value for value in hostile[0].values() if isinstance(value, str))
    assert [record["address"] for record in nested] == [None] * SIZE
    assert [isinstance(record, dict) for record in mixed] == [True, True, False, True] and "uid" not in mixed[1]
    assert {record["date_of_birth"] for record in leap} == {"2004-02-29"}


async def test_numbers_that_json_does_not_know_cost_no_record(sandbox: Sandbox, http: ProviderHttp,
                                                              switch: Any) -> None:
    await switch("randomdata", {"users": ["odd-numbers"]})
    for record in records(await of_sandbox(sandbox, http).ask("users", SIZE)):
        place = record["address"]["coordinates"]
        assert math.isnan(place["lat"]) and place["lng"] == math.inf and record["id"] == math.inf


@pytest.mark.parametrize(("body", "expected"), [
    (b'[{"id": NaN}, {"id": -Infinity}, {"id": 1e999}]', found(3)),
    (b'[{"id": ' + b"9" * 3999 + b'}, {"id": -' + b"9" * 100_000 + b"}]", found(2)),
    (b'{"id": 1, "id": 2}', found(1)), (b"{}", found(1)), (b"[]", found(0)), (b"[null, 5, []]", found(3)),
    (b'{"error": "size is not valid"}', ERROR), (b'{"errors": [], "id": 1}', ERROR),
    (b'{"error": null, "uid": "a"}', found(1)), (b"\xef\xbb\xbf[{}]", found(1)),
    ('[{"a": "\u00e9"}]'.encode("utf-16"), found(1)), (b"[" + b"[]," * 300_000 + b"[]]", found(300_001)),
    (b'"[{}]"', ODD), (b"true", ODD), (b"NaN", ODD), (b"9" * 5000, ODD), (b"null", ODD),
    (b"", NOT_JSON), (b"  \n", NOT_JSON), (b"[{}", NOT_JSON), (b"[{}] []", NOT_JSON), (b"[{}]\0", NOT_JSON),
    (b"{'id': 1}", NOT_JSON), (b'[{"a": "\xff"}]', NOT_JSON), (b'{"a":' * 50_000, NOT_JSON),
    (b"<objects/>", NOT_JSON), (b"x" * (MAX_BODY + 1), broken("body too large"))])
async def test_bodies_of_any_kind(body: bytes, expected: dict[str, Any], web_server: WebServer,
                                  http: ProviderHttp) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")
    check(await RandomData(http, await web_server(handler)).ask("users", 3), expected)


async def test_a_type_that_is_wrong_does_not_matter_where_the_body_is_right(web_server: WebServer,
                                                                            http: ProviderHttp) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b'[{"id": 1}]', content_type="text/html")
    check(await RandomData(http, await web_server(handler)).ask("users", 3), found(1))


@pytest.mark.parametrize(("status", "headers", "expected"), [
    (429, {"Retry-After": "0"}, limited(1.0)), (429, {"Retry-After": "999999999999"}, limited(3600.0)),
    (429, {"Retry-After": "soon"}, limited(2.0)), (429, {"Retry-After": "-5"}, limited(2.0)),
    (429, {"X-RateLimit-Reset": "99999999999"}, limited(3600.0)),
    (503, {"Retry-After": "999"}, broken("status 503", 999.0)),
    (503, {"Retry-After": "9999"}, broken("status 503", 3600.0)),
    (500, {"Retry-After": "soon"}, broken("status 500")), (418, {"Retry-After": "9"}, broken("status 418")),
    (201, {}, broken("status 201")), (206, {}, broken("status 206")), (304, {}, broken("status 304, a redirect")),
    (308, {"Location": "/elsewhere"}, broken("status 308, a redirect"))])
async def test_statuses_of_any_kind(status: int, headers: dict[str, str], expected: dict[str, Any],
                                    web_server: WebServer, http: ProviderHttp) -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, headers=headers, body=b'[{"id": 1}]' if status != 304 else None)
    check(await RandomData(http, await web_server(handler)).ask("users", 3), expected)
    assert paths == ["/api/v2/users"]


async def _silent(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def _dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.01)


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"[" * 65536)


async def _gone(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize(("handler", "reason"), [
    (_silent, "timeout"), (_dripping, "timeout"), (_endless, "body too large"),
    (_gone, "no answer: ServerDisconnectedError")])
async def test_servers_that_give_no_whole_answer(handler: Handler, reason: str, web_server: WebServer,
                                                 http: ProviderHttp) -> None:
    client = RandomData(http, await web_server(handler))
    check(await client.ask("cards", 3, 0.3 if reason == "timeout" else 20.0), broken(reason))
    assert client.describe()["last_error"] == reason


async def test_a_redirect_is_not_followed(sandbox: Sandbox, http: ProviderHttp, switch: Any,
                                          control: aiohttp.ClientSession) -> None:
    await switch("randomdata", {"users": ["redirect"]})
    assert (await of_sandbox(sandbox, http).ask("users", 2)).kind == "broken"
    async with control.get("/_calls/elsewhere") as response:
        assert await response.json() == {"total": 0, "with_key": 0}


async def test_told_to_wait_it_does_not_ask_for_anything(http: ProviderHttp, network: Any, time: Any) -> None:
    client = RandomData(http, "https://random.example", clocks=time.clocks)
    network.get("https://random.example/api/v2/users?response_type=json&size=3", status=429,
                headers={"Retry-After": "86400"})
    assert (await client.ask("users", 3)).wait == 3600.0
    at = iso(int(time.clocks.wall() * 1000))
    for what in PATHS:
        held = await client.ask(what, 3)
        assert (held.kind, held.wait, held.asked) == ("limited", 3600.0, False)
    assert network.calls == 1
    assert client.describe() == {
        "state": "ready", "reason": "limited", "until": iso(int((time.clocks.wall() + 3600) * 1000)),
        "last_error": "status 429, rate limit", "last_error_at": at}
    time.at += 3601
    network.get("https://random.example/api/v2/users?response_type=json&size=3", payload=[{"id": 1}])
    check(await client.ask("users", 3), found(1))
    assert client.describe() == {
        "state": "ready", "reason": "", "until": None, "last_error": "status 429, rate limit", "last_error_at": at}


async def test_five_broken_answers_open_the_breaker_for_all_kinds(sandbox: Sandbox, http: ProviderHttp, switch: Any,
                                                                  control: aiohttp.ClientSession) -> None:
    await switch("randomdata", dict.fromkeys(PATHS, ["200-empty"]))
    client = of_sandbox(sandbox, http)
    for what in ("users", "addresses", "cards", "users", "addresses"):
        assert (await client.ask(what, 2)).asked
    held = await client.ask("cards", 2)
    assert (held.kind, held.reason, held.asked) == ("limited", "breaker open", False)
    assert (client.describe()["state"], client.describe()["last_error"]) == ("open", "not JSON")
    async with control.get("/_calls/randomdata") as response:
        assert (await response.json())["total"] == 5


async def test_no_record_stands_in_a_reason_a_state_or_the_log(sandbox: Sandbox, http: ProviderHttp, switch: Any,
                                                               caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    for position in ("markers", "same-id", "records"):
        client = of_sandbox(sandbox, http)
        await switch("randomdata", {"users": [position, "cut-json", "cut-body", "xml", "html-200", "cut-json"]})
        for _ in range(7):
            said.append(repr(await client.ask("users", 3)) + repr(client.describe()))
    assert [record.getMessage() for record in caplog.records].count("randomdata is open (broken) for 30 s") == 3
    for secret in (MARKER, CARD_MARKER, "@email.com", "robohash"):
        assert secret not in caplog.text + "".join(said)


async def test_markers_stand_in_everything_that_must_not_be_kept(sandbox: Sandbox, http: ProviderHttp,
                                                                 switch: Any) -> None:
    client = of_sandbox(sandbox, http)
    await switch("randomdata", {"users": ["markers"], "cards": ["markers"]})
    for user in records(await client.ask("users", 50)):
        assert user["password"].startswith(MARKER) and user["social_insurance_number"].startswith(MARKER)
        assert user["credit_card"]["cc_number"].startswith(CARD_MARKER) and MARKER in json.dumps(user["secrets"])
    assert all(card["credit_card_number"].startswith(CARD_MARKER) for card in records(await client.ask("cards", 50)))


async def test_cancelling_goes_through(web_server: WebServer, http: ProviderHttp) -> None:
    arrived = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        arrived.set()
        return await _silent(request)
    client = RandomData(http, await web_server(handler))
    task = asyncio.create_task(client.ask("users", 2))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (client.describe()["state"], client.describe()["last_error"]) == ("ready", None)


async def test_which_service_is_asked(serve: Any, sandbox: Sandbox, control: aiohttp.ClientSession,
                                      tmp_path: Path) -> None:
    own = {"randomdata.url": sandbox.url + "/randomdata"}
    for number, (given, stood_in) in enumerate((
            ({}, True), (own, False), (own | {"sandbox.mode": "off"}, False), (own | {"sandbox.mode": "on"}, True))):
        (tmp_path / str(number)).mkdir()
        served = await serve(given, tmp_path / str(number))
        outside = served.foyer.outside
        assert ("randomdata" in outside.stand_ins) is stood_in
        check(await outside.randomdata.ask("users", 2), found(2))
        assert (await served.api.get("/readyz")).data["providers"]["randomdata"]["state"] == "ready"
    async with control.get("/_calls/randomdata") as response:
        assert (await response.json())["total"] == 2
