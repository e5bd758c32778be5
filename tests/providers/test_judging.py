"""Answers that need no real connection: odd headers, odd errors, and when a provider stays away from the network."""
from __future__ import annotations

import json
import logging
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest

from server.core.clock import iso
from server.providers.clearbit import Clearbit
from server.providers.clearbit import judge_combined as judge_clearbit
from server.providers.http import Answer, ProviderHttp
from server.providers.hunter import Hunter, judge_combined, judge_verifier
from server.providers.waits import quota_wait, told_wait

ADA = "ada@lovelace.example"
VERIFY = "https://api.hunter.example/v2/email-verifier?email=ada%2540lovelace.example"
FIND = "https://person.clearbit.example/v2/combined/find?email=ada@lovelace.example"
NOW = 1_700_000_000.0


def answer(status: int, body: object = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def errors(*, slug: object = "x", details: object = "x") -> dict[str, Any]:
    return {"errors": [{"id": slug, "details": details}]}


@pytest.mark.parametrize("value, wait", [
    ("5", 5.0), ("0", 1.0), ("99999", 120.0), ("", None), ("soon", None), ("-3", None), ("1e3", None), ("٣", None),
    ("9" * 400, None), (formatdate(NOW + 30, usegmt=True), 30.0), (formatdate(NOW - 30, usegmt=True), 1.0),
    ("Fri, 99 Foo 2026 99:99:99 GMT", None), ("Mon, 01 Jan 99999 00:00:00 GMT", None)])
def test_retry_after(value: str, wait: float | None) -> None:
    assert told_wait(Answer(429, {"Retry-After": value}, b""), NOW) == wait


@pytest.mark.parametrize("value, wait", [
    (str(int(NOW) + 40), 40.0), (str(int(NOW) - 40), 1.0), (str(int(NOW) + 4000), 120.0), ("nan", None),
    ("inf", None), ("-1", None), (f"{NOW + 2.5}", 2.5), ("9" * 30, None)])
def test_rate_limit_reset(value: str, wait: float | None) -> None:
    assert told_wait(Answer(429, {"X-RateLimit-Reset": value}, b""), NOW) == wait


@pytest.mark.parametrize("ahead, wait", [
    (-5, None), (30, None), (60, None), (61, 61.0), (86400, 86400.0), (31 * 86400, 31 * 86400.0), (33 * 86400, None)])
def test_the_end_of_a_request_window_is_not_the_end_of_a_quota(ahead: int, wait: float | None) -> None:
    assert quota_wait(Answer(402, {"X-RateLimit-Reset": str(int(NOW) + ahead)}, b""), NOW) == wait


@pytest.mark.parametrize("status, body, headers, kind", [
    (403, errors(details="Please UPGRADE now"), {}, "off"),
    (403, errors(details="limit of requests\nof your billing period"), {}, "off"),
    (403, errors(details="not in your plan"), {"Retry_After": "5"}, "off"),
    (403, errors(slug="restricted_account"), {}, "off"),
    (403, errors(details="Planet-wide explanation"), {}, "limited"),
    (403, errors(slug=5, details=["plan"]), {}, "limited"),
    (403, {"errors": {"id": "restricted_account"}}, {}, "limited"),
    (403, {"errors": ["plan"]}, {}, "limited"),
    (403, b"<html>", {}, "limited"),
    (429, None, {"Retry_After": "3"}, "limited"),
    (429, errors(slug="too_many_requests"), {}, "off"),
    (429, b"\xff", {}, "off"),
    (402, b"<html>", {}, "off"),
    (401, None, {}, "off"),
    (451, b"<html>", {}, "claimed"),
    (418, None, {}, "broken"),
])
def test_hunter_refusals(status: int, body: object, headers: dict[str, str], kind: str) -> None:
    for judge in (judge_verifier, judge_combined):
        assert judge(answer(status, body, **headers), NOW).kind == kind


def test_hunter_turns_nobody_away_unless_it_says_why() -> None:
    assert judge_verifier(answer(400, errors(slug="invalid_email")), NOW).status == "invalid"
    assert judge_verifier(answer(400, errors(slug="wrong_params")), NOW).status == "unknown"
    assert judge_verifier(answer(422), NOW).status == "unknown"


@pytest.mark.parametrize("body, kind", [
    ({}, "not_found"), ({"data": None}, "not_found"), ({"data": {}}, "not_found"), ({"data": []}, "broken"),
    ({"data": "x"}, "broken"), ([], "broken"), ({"person": {}, "company": "x"}, "broken"),
    ({"data": {"person": {"bio": "hi"}}}, "found"), ({"person": {"bio": "hi"}, "company": None}, "found")])
def test_hunter_envelopes(body: object, kind: str) -> None:
    assert judge_combined(answer(200, body), NOW).kind == kind


@pytest.mark.parametrize("body, kind", [
    (None, "not_found"), ({}, "not_found"), ({"error": {"type": "unknown_record"}}, "not_found"),
    ({"error": "x"}, "not_found"), ({"error": {"type": "unknown_route"}}, "broken"), (b"404: Not Found", "broken")])
def test_clearbit_404(body: object, kind: str) -> None:
    assert judge_clearbit(answer(404, body), NOW).kind == kind


async def test_a_mail_providers_own_company_is_nobodys_employer() -> None:
    document = {"person": None, "company": {"name": "Big Mail", "domain": "bigmail.example", "emailProvider": True}}
    assert judge_clearbit(answer(200, document), NOW).kind == "not_found"


async def test_a_refused_key_stops_the_calls(http: ProviderHttp, network: Any, time: Any,
                                             caplog: pytest.LogCaptureFixture) -> None:
    clearbit = Clearbit(http, "https://person.clearbit.example", "s", paced=False, clocks=time.clocks)
    network.get(FIND, status=401)
    outcomes = [await clearbit.find(ADA) for _ in range(3)]
    assert [(each.kind, each.reason, each.asked) for each in outcomes] == [
        ("off", "key", True), ("off", "key", False), ("off", "key", False)]
    assert network.calls == 1
    assert clearbit.describe() == {"state": "off", "reason": "key", "until": iso(int(time.clocks.wall() + 900) * 1000)}
    time.at += 901
    network.get(FIND, payload={"person": {"bio": "hi"}, "company": None})
    assert (await clearbit.find(ADA)).kind == "found"
    assert clearbit.describe() == {"state": "ready", "reason": "", "until": None}
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["clearbit is off (key) for 900 s", "clearbit is back"]


async def test_five_failures_open_and_one_success_closes(http: ProviderHttp, network: Any, time: Any) -> None:
    clearbit = Clearbit(http, "https://person.clearbit.example", "s", paced=False, clocks=time.clocks)
    for _ in range(5):
        network.get(FIND, exception=aiohttp.ClientPayloadError("text with ada@lovelace.example"))
        assert (await clearbit.find(ADA)).reason == "no answer: ClientPayloadError"
    held = await clearbit.find(ADA)
    assert (held.kind, held.wait, held.asked, network.calls) == ("limited", 30.0, False, 5)
    time.at += 31
    network.get(FIND, status=404)
    assert (await clearbit.find(ADA)).kind == "not_found"
    assert clearbit.describe()["state"] == "ready"


async def test_hunters_halves_are_switched_off_apart(http: ProviderHttp, network: Any, time: Any) -> None:
    hunter = Hunter(http, "https://api.hunter.example", "k", paced=False, clocks=time.clocks)
    network.get("https://api.hunter.example/v2/combined/find?email=ada@lovelace.example", status=402)
    assert (await hunter.find(ADA)).kind == "off"
    network.get("https://api.hunter.example/v2/email-verifier?email=ada@lovelace.example",
                payload={"data": {"status": "valid"}})
    assert (await hunter.verify(ADA)).status == "valid"
    described = hunter.describe()
    assert described["state"] == "ready" and described["enrichment"]["state"] == "off"  # type: ignore[index]


async def test_above_its_own_pace_it_does_not_ask(http: ProviderHttp, network: Any, time: Any) -> None:
    hunter = Hunter(http, "https://api.hunter.example", "k", paced=True, clocks=time.clocks)
    network.get("https://api.hunter.example/v2/email-verifier?email=ada@lovelace.example",
                payload={"data": {"status": "valid"}}, repeat=True)
    outcomes = [await hunter.verify(ADA, timeout=3.0) for _ in range(12)]
    assert [each.asked for each in outcomes] == [True] * 10 + [False] * 2
    assert outcomes[-1].kind == "limited" and outcomes[-1].reason == "own pace" and network.calls == 10
    assert hunter.describe()["state"] == "ready"
