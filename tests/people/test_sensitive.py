"""A thousand records with markers where the source has passwords, social insurance numbers and card numbers: nothing of
them is kept, logged, mailed or answered, by good runs and by bad ones."""
from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from server.people import intake
from server.people.numbers import adds_up
from server.sandbox.randomdata_records import card_number
from server.storage import Tx
from tests.conftest import Serve
from tests.support import ON_POSTGRES, Served, until
from tests.web.administrators import administrator

MARKER, BEGIN = "m4rker", "677199"  # in all that is secret; how each card number begins
PATHS = {"/api/v2/users": "users", "/api/v2/addresses": "addresses", "/api/v2/credit_cards": "cards"}
RUNS = {"users": 4, "addresses": 3, "cards": 3}
PLANT = "UPDATE people SET phone = $1, job_title = $2 WHERE id = 1"
# 13 digits are the milliseconds of a time where the database is read value by value.
LIKE_A_NUMBER = re.compile(rb"(?<!\d)\d{%d,19}(?!\d)" % (14 if ON_POSTGRES else 13))
SECRET = re.compile(rf"(?i){MARKER}|{BEGIN[:4]}[ .-]?{BEGIN[4:]}".encode())
FILLED = {"id": "1", "name": "users", "username": "root", "code": "nobodys"}
STREAM = "/api/events/stream"  # it never ends, and holds what /api/events does


def number(each: int) -> str:
    """The number of a card, which adds up."""
    return card_number(f"{BEGIN}{each:09}")


def dashed(digits: str) -> str:
    """As the source writes it."""
    return "-".join(digits[place:place + 4] for place in range(0, 16, 4))


def record(what: str, each: int) -> Any:
    """A record with a secret wherever one can be; every tenth is no use."""
    digits = number(each)
    text = f"see {dashed(digits)} or {digits}"
    common = {"id": each, "uid": f"{each:08x}-aaaa-4bbb-8ccc-{each:x}dddddddddddd"[:36], "cvv": f"{MARKER}-cvv",
              "secrets": {f"{MARKER} key": [digits, {"pin": MARKER}]}, digits: digits}
    places = {"street_address": text, "city": digits, "zip_code": digits, "state": text, "country": text}
    made = {"users": {
        "first_name": f"Ada {digits}", "last_name": "Lovelace", "password": f"{MARKER}-{each}", "username": digits,
        "social_insurance_number": f"{MARKER} {each}", "email": f"{digits}@email.com", "phone_number": dashed(digits),
        "avatar": f"https://robohash.org/{digits}.png", "gender": text, "date_of_birth": "1987-02-28",
        "employment": {"title": text, "key_skill": digits}, "credit_card": {"cc_number": dashed(digits), "cvv": MARKER},
        "address": {**places, "coordinates": {"lat": each / 100, "lng": 1.5}},
        "subscription": {"plan": digits, "status": text, "payment_method": digits, "term": text}},
        "addresses": {**places, "secondary_address": text, "time_zone": digits, "country_code": digits,
                      "latitude": each / 100, "longitude": 1.5, "full_address": MARKER},
        "cards": {"credit_card_number": digits, "credit_card_type": digits, "credit_card_expiry_date": "2027-02-28",
                  "cvv": MARKER}}[what]
    return {**common, **made, **(broken(what, each) if each % 10 == 3 else {})}


def broken(what: str, each: int) -> dict[str, Any]:
    """What makes a record no use, and would like to be in the reason."""
    digits = number(each)
    wrong = {"users": [{"date_of_birth": digits}, {"first_name": {MARKER: digits}}, {"credit_card": MARKER},
                       {"credit_card": {"cc_number": f"{MARKER} {digits}"}}, {"email": MARKER * 100}],
             "addresses": [{"latitude": int(digits)}, {"longitude": digits}, {"city": [MARKER, digits]}],
             "cards": [{"credit_card_number": int(digits)}, {"credit_card_number": digits + digits},
                       {"credit_card_expiry_date": digits}, {"credit_card_number": MARKER}]}[what]
    return [*wrong, {"uid": digits}, {"uid": None}][each // 10 % (len(wrong) + 2)]


def bad_answers() -> Iterator[web.Response]:
    """What comes in place of records."""
    text = f"{MARKER} {number(1)}"
    yield web.Response(status=500, text=text)
    yield web.Response(text=f"<html>{text}</html>", content_type="text/html")
    yield web.Response(text=f'[{{"password": "{text}", "cc_number": "{number(2)}', content_type="application/json")
    yield web.Response(status=302, headers={"Location": f"/{MARKER}?number={number(3)}"})
    yield web.Response(text=number(4), content_type="application/json")


@dataclass
class Source:
    """Stands in for random-data-api; `bad` comes before anything else."""

    url: str = ""
    given: int = 0
    bad: list[web.Response] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """The next so many records, or the next bad answer."""
        if self.bad:
            return self.bad.pop(0)
        begin, self.given = self.given, self.given + int(request.query["size"])
        return web.json_response([record(PATHS[request.path], each) for each in range(begin, self.given)])


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    made, app = Source(), web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield made
    await runner.cleanup()


def found(places: dict[str, bytes]) -> set[str]:
    """The places in which something stands that must stand nowhere."""
    return {name for name, content in places.items() if SECRET.search(content) or any(
        adds_up(digits.decode()) for digits in LIKE_A_NUMBER.findall(content))}


async def run(server: Served, token: str, what: str, expected: str) -> dict[str, Any]:
    """Imports once; the run."""
    path = f"/api/admin/schedules/{what}"
    before = (await server.api.get(f"{path}/runs", token=token)).data
    assert (await server.api.post(f"{path}/run", token=token)).status == 202

    async def ended() -> Any:
        newest = (await server.api.get(f"{path}/runs", token=token)).data[:1]
        return newest and newest != before[:1] and newest[0]["status"] != "running" and newest[0]
    done = await until(ended)
    assert done["status"] == expected, done
    return dict(done)


async def answers(server: Served, token: str) -> dict[str, bytes]:
    """What every route that can be read says: to an administrator, and to nobody."""
    said = {}
    for route in server.foyer.routes:
        if route.method == "GET" and route.path != STREAM:
            path = re.sub(r"\{(\w+)\}", lambda part: FILLED[part[1]], route.path)
            for who, headers in (("root", {"Authorization": f"Bearer {token}"}), ("nobody", {})):
                query = "?limit=100" if route.listing else ""
                async with server.api.session.get(server.url + path + query, headers=headers) as response:
                    said[f"{who}: {path}"] = await response.read() + str(response.headers).encode()
    return said


async def everywhere(server: Served, token: str, log: pytest.LogCaptureFixture) -> dict[str, bytes]:
    """All places where something could be."""
    assert (await server.api.get("/metrics")).status == 200
    mails = repr(await server.api.letters(server.sandbox)).encode()
    return {**server.stored(), **await answers(server, token), "the mails": mails, "the log": log.text.encode()}


async def test_nothing_secret_is_anywhere(serve: Serve, source: Source, caplog: pytest.LogCaptureFixture,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO, "aiosqlite")  # it tells of each call, with times of 13 digits
    caplog.set_level(logging.DEBUG)
    server = await serve({"randomdata.url": source.url, "limits.enabled": "no"})
    token = (await administrator(server))["access_token"]
    for what in RUNS:
        await server.api.call("PATCH", f"/api/admin/schedules/{what}", token=token, json={"batch": 100})
    runs = [await run(server, token, what, "done") for what, times in RUNS.items() for _ in range(times)]
    assert source.given == 1000 and sum(each["rejected"] for each in runs) == 100
    assert len({reason for each in runs for reason in each["reasons"]}) >= 12
    assert sum(each["linked"] for each in runs) > 300
    for bad in bad_answers():
        source.bad.append(bad)
        await run(server, token, "users", "failed")
        await run(server, token, "cards", "done")  # else the source would be left alone for a while
    with monkeypatch.context() as patch:
        patch.setattr(intake, "take", lambda what, records, fingerprint: int(str(records)))
        await run(server, token, "users", "failed")
    source.bad.append(web.Response(status=429, text=f"{MARKER} {number(5)}", headers={"Retry-After": "2"}))
    await run(server, token, "users", "failed")  # the last: from now on the source is left alone
    places = await everywhere(server, token, caplog)
    assert found(places) == set()
    assert b"<number>" in places["root: /api/people"] and b"jobs" in places["nobody: /metrics"]
    await controls(server, token, caplog)


async def controls(server: Served, token: str, log: pytest.LogCaptureFixture) -> None:
    """What is put somewhere is found there."""
    async def plant(tx: Tx) -> None:
        await tx.run(PLANT, "4111111111111111", f"see {MARKER}")
    await server.foyer.database.write(plant)
    await server.api.sign_up(MARKER)
    await until(lambda: server.mails(f"{MARKER}@example.org"))
    logging.getLogger("foyer").debug("a number: %s", dashed(number(5)))
    seen = found(await everywhere(server, token, log))
    assert {"the mails", "the log", "root: /api/people/1", "root: /api/people/export", "root: /api/admin/users"} <= seen
    assert "nobody: /api/people/1" not in seen
    assert "people" in seen if ON_POSTGRES else any(name.startswith("foyer.db") for name in seen)
    for digits in ("4111111111111111", dashed(number(5)), number(5), MARKER.upper()):
        assert found({"it": f"x{digits}y".encode()})
    assert not found({"it": b"4111111111111112 1234"})
