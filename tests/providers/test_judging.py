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
from server.providers.gravatar import Gravatar, hashed, judge_profile
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


def test_the_end_of_a_budget_is_not_the_end_of_a_fault() -> None:
    for judge in (judge_clearbit, judge_profile, judge_combined, judge_verifier):
        assert judge(answer(503, X_RateLimit_Reset=str(int(NOW) + 40)), NOW).wait is None
        assert judge(answer(503, X_RateLimit_Reset=str(int(NOW) + 40), Retry_After="5"), NOW).wait == 5.0


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


@pytest.mark.parametrize("body, kind", [
    (None, "not_found"), ({}, "not_found"), ({"error": "Profile not found"}, "not_found"),
    ({"error": "Profile is disabled", "code": "disabled"}, "not_found"), ({"code": "rest_no_route"}, "broken"),
    (["x"], "broken"), (b"404: Not Found", "broken")])
def test_gravatar_404(body: object, kind: str) -> None:
    assert judge_profile(answer(404, body), NOW).kind == kind


@pytest.mark.parametrize("body, kind", [
    ({}, "broken"), ({"hash": None}, "broken"), ({"hash": 5, "display_name": "Ada"}, "broken"), ([], "broken"),
    ({"error": "Profile not found"}, "broken"), ({"hash": "x"}, "not_found"),
    ({"hash": "x", "display_name": "Ada"}, "found"), ({"hash": "x", "links": [{"url": "https://a.b/"}]}, "found")])
def test_gravatar_profiles(body: object, kind: str) -> None:
    assert judge_profile(answer(200, body), NOW).kind == kind


@pytest.mark.parametrize("url, handles", [
    ("https://github.com/ada", {"github": "ada"}), ("http://www.github.com/ada-l/?tab=x", {"github": "ada-l"}),
    ("https://x.com/ada_l", {"twitter": "ada_l"}), ("https://mobile.twitter.com/@ada#x", {"twitter": "ada"}),
    ("https://uk.linkedin.com/in/ada-l%C3%A9-1/", {"linkedin": "in/ada-l%C3%A9-1"}),
    ("https://www.linkedin.com/company/ada", {"linkedin": "company/ada"}), ("https://github.com/ada/engine", {}),
    ("https://github.com/", {}), ("https://github.com.evil.example/ada", {}), ("https://notgithub.com/ada", {}),
    ("https://evil.example/?https://github.com/ada", {}), ("https://x.com/i/user/1", {}), ("ftp://github.com/ada", {}),
    ("https://linkedin.com/in/..", {}), ("https://github.com/ada\n", {}), ("https://gıthub.com/ada", {}),
    ("https://github.com/" + "a" * 101, {}), ("https://ada.tumblr.example/", {}), (None, {}), (7, {})])
def test_gravatar_handles(url: object, handles: dict[str, str]) -> None:
    accounts = [{"service_type": "x", "url": url, "is_hidden": False}]
    outcome = judge_profile(answer(200, {"hash": "x", "job_title": "Clerk", "verified_accounts": accounts}), NOW)
    assert outcome.fields == {"title": "Clerk"} | ({"handles": handles} if handles else {})


def test_what_somebody_hides_at_gravatar_stays_hidden() -> None:
    accounts = [{"url": "https://github.com/hidden", "is_hidden": True}, {"url": "https://github.com/shown"},
                {"url": "https://github.com/second"}, {"url": "https://x.com/hidden", "is_hidden": "yes"}]
    outcome = judge_profile(answer(200, {"hash": "x", "verified_accounts": accounts}), NOW)
    assert outcome.fields == {"handles": {"github": "shown"}}


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
    refused_at = time.clocks.wall()
    last = {"last_error": "key", "last_error_at": iso(int(refused_at) * 1000)}
    assert clearbit.describe() == {
        "state": "off", "reason": "key", "until": iso(int(refused_at + 900) * 1000), **last}
    time.at += 901
    network.get(FIND, payload={"person": {"bio": "hi"}, "company": None})
    assert (await clearbit.find(ADA)).kind == "found"
    assert clearbit.describe() == {"state": "ready", "reason": "", "until": None, **last}
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


@pytest.mark.parametrize("key, most", [("", 100), ("k", 1000)])
async def test_gravatars_hour_is_kept(key: str, most: int, http: ProviderHttp, network: Any, time: Any) -> None:
    gravatar = Gravatar(http, "https://api.gravatar.example", key, paced=True, clocks=time.clocks)
    network.get(f"https://api.gravatar.example/v3/profiles/{hashed(ADA)}", status=404, repeat=True)
    began, outcomes = time.at, []
    for _ in range(most + 1):
        time.at += 0.11
        outcomes.append(await gravatar.find(ADA))
    assert [each.asked for each in outcomes] == [True] * most + [False] and network.calls == most
    last = outcomes[-1]
    assert (last.kind, last.reason) == ("limited", "own pace") and last.wait is not None and last.wait > 3400
    assert gravatar.describe() == {
        "state": "ready", "reason": "limited", "until": iso(int((time.clocks.wall() + last.wait) * 1000)),
        "last_error": None, "last_error_at": None}
    assert time.at - began < most / 8  # nobody waited in here for the hour to end
    time.at += last.wait + 0.01
    assert (await gravatar.find(ADA)).asked and gravatar.describe()["reason"] == ""
