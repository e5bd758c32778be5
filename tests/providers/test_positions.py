"""Every position of the stand-ins, asked by the real clients over a real connection: what the caller gets."""
from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from server.providers.clearbit import Clearbit
from server.providers.gravatar import Gravatar
from server.providers.http import ProviderHttp
from server.providers.hunter import Hunter
from server.providers.outcome import Outcome
from server.sandbox.app import Sandbox

ADA = "ada+test@lovelace.example"
KEY = "k3y-that-must-not-leak"

BROKEN: dict[str, Any] = {"kind": "broken"}
LATER: dict[str, Any] = {"kind": "later"}
NOBODY: dict[str, Any] = {"kind": "not_found"}
FOUND: dict[str, Any] = {"kind": "found"}
KEY_OFF: dict[str, Any] = {"kind": "off", "reason": "key", "wait": 900.0}
QUOTA_OFF: dict[str, Any] = {"kind": "off", "reason": "quota", "wait": 3600.0}
CLAIMED: dict[str, Any] = {"kind": "claimed"}
UNKNOWN: dict[str, Any] = {"kind": "verdict", "status": "unknown"}


def verdict(status: str) -> dict[str, Any]:
    return {"kind": "verdict", "status": status}


def limited(wait: float) -> dict[str, Any]:
    return {"kind": "limited", "wait": wait}


COMMON = {
    "202-empty": LATER, "202-full": LATER, "200-empty": LATER, "204": LATER, "array": BROKEN, "null": BROKEN,
    "410": BROKEN, "500-json": BROKEN, "500-html": BROKEN, "502-html": BROKEN, "503-json": BROKEN,
    "503-html": BROKEN, "503-retry-after": BROKEN | {"wait": 7.0}, "404-html": BROKEN, "html-200": BROKEN,
    "cut-json": BROKEN, "cut-body": BROKEN, "reset": BROKEN, "huge": BROKEN, "deep": BROKEN, "not-utf8": BROKEN,
    "bad-gzip": BROKEN, "redirect": BROKEN, "hang": BROKEN,
}
HUNTER = {
    "202-data": LATER, "222-json": LATER, "222-empty": LATER, "401": KEY_OFF, "402": QUOTA_OFF,
    "403-limit": limited(2.0), "403-bare": limited(2.0), "403-forbidden": limited(2.0),
    "403-retry-after": limited(9.0), "403-plan": QUOTA_OFF, "429-quota": QUOTA_OFF, "429-bare": QUOTA_OFF,
    "429-restricted": QUOTA_OFF, "429-retry-after": limited(120.0), "451": CLAIMED,
}
VERIFIER = COMMON | HUNTER | {
    "valid": verdict("valid"), "invalid": verdict("invalid"), "accept_all": verdict("accept_all"),
    "webmail": verdict("webmail"), "disposable": verdict("disposable"), "unknown": UNKNOWN,
    "webmail+accept_all": verdict("accept_all"), "block+unknown": UNKNOWN, "sources-20": verdict("valid"),
    "unknown-keys": verdict("valid"), "unknown-status": UNKNOWN, "no-status": BROKEN, "status-number": BROKEN,
    "data-list": BROKEN, "data-null": BROKEN, "400": UNKNOWN, "400-no-code": UNKNOWN, "400-empty-errors": UNKNOWN,
    "400-email": verdict("invalid"), "404": BROKEN, "422": UNKNOWN,
}
PEOPLE = {
    "found": FOUND, "person-null": FOUND, "company-null": FOUND, "both-null": NOBODY, "null-leaves": NOBODY,
    "other-domain": FOUND, "wobbles": FOUND, "person-list": BROKEN, "wrong-types": FOUND, "hostile": FOUND,
    "unknown-keys": FOUND,
}
HUNTER_FIND = COMMON | HUNTER | PEOPLE | {
    "found-bare": FOUND, "data-null": NOBODY, "data-list": BROKEN, "400": NOBODY, "400-no-code": NOBODY,
    "400-empty-errors": NOBODY, "400-email": NOBODY, "404": NOBODY, "422": NOBODY,
}
CLEARBIT = COMMON | PEOPLE | {
    "202-data": LATER, "202-queued": LATER, "400": NOBODY, "401-auth-required": KEY_OFF, "401-invalid-key": KEY_OFF,
    "402": QUOTA_OFF, "402-reset": {"kind": "off", "reason": "quota"}, "403": KEY_OFF, "404-unknown-record": NOBODY,
    "404-unknown-route": BROKEN, "404-no-message": NOBODY, "422-email": NOBODY, "422-params": NOBODY,
    "429": {"kind": "limited"}, "429-bare": {"kind": "limited"}, "429-retry-after": limited(11.0),
    "429-skewed": limited(120.0), "451": CLAIMED,
}

GRAVATAR = COMMON | {
    "found": FOUND, "unknown-keys": FOUND, "other-hash": FOUND, "accounts-hidden": FOUND, "accounts-null": FOUND,
    "wrong-types": FOUND, "hostile": FOUND, "empty-strings": NOBODY, "null-leaves": NOBODY, "no-hash": BROKEN,
    "400": NOBODY, "401": KEY_OFF, "402": {"kind": "off", "reason": "quota"}, "403": KEY_OFF, "404": NOBODY,
    "404-disabled": NOBODY, "404-empty": NOBODY, "404-no-route": BROKEN, "422": NOBODY, "429": {"kind": "limited"},
    "429-soon": {"kind": "limited"}, "429-bare": {"kind": "limited"}, "429-retry-after": limited(11.0),
    "429-skewed": limited(3620.0), "451": CLAIMED,
}


def check(outcome: Outcome, expected: dict[str, Any]) -> None:
    assert {name: getattr(outcome, name) for name in expected} == expected
    assert outcome.asked
    assert (outcome.fields is not None) == (outcome.kind == "found")
    assert (outcome.status is not None) == (outcome.kind == "verdict")
    assert ADA not in repr(outcome) and KEY not in repr(outcome) and len(outcome.reason) < 60
    if outcome.kind in ("limited", "off"):
        assert outcome.wait is not None and outcome.wait >= 1.0


def patience(position: str) -> float:
    return 0.15 if position == "hang" else 20.0


@pytest.mark.parametrize("position", VERIFIER)
async def test_hunter_verifier(position: str, sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("hunter", {"verifier": [position]})
    hunter = Hunter(http, sandbox.url + "/hunter", KEY, paced=False)
    check(await hunter.verify(ADA, patience(position)), VERIFIER[position])


@pytest.mark.parametrize("position", HUNTER_FIND)
async def test_hunter_find(position: str, sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("hunter", {"find": [position]})
    hunter = Hunter(http, sandbox.url + "/hunter", KEY, paced=False)
    check(await hunter.find(ADA, patience(position)), HUNTER_FIND[position])


@pytest.mark.parametrize("position", CLEARBIT)
async def test_clearbit_find(position: str, sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("clearbit", {"find": [position]})
    clearbit = Clearbit(http, sandbox.url + "/clearbit", KEY, paced=False)
    check(await clearbit.find(ADA, patience(position)), CLEARBIT[position])


@pytest.mark.parametrize("position", GRAVATAR)
async def test_gravatar_profile(position: str, sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("gravatar", {"profile": [position]})
    for key in (KEY, ""):
        gravatar = Gravatar(http, sandbox.url + "/gravatar", key, paced=False)
        check(await gravatar.find(ADA, patience(position)), GRAVATAR[position])


@pytest.mark.parametrize("provider, endpoint, table", [
    ("hunter", "verifier", VERIFIER), ("hunter", "find", HUNTER_FIND), ("clearbit", "find", CLEARBIT),
    ("gravatar", "profile", GRAVATAR)])
async def test_no_position_is_without_expectation(provider: str, endpoint: str, table: dict[str, Any],
                                                  control: aiohttp.ClientSession) -> None:
    async with control.get(f"/_switch/{provider}") as response:
        positions = (await response.json())["positions"]
    assert sorted(positions[endpoint]) == sorted(table)


async def test_the_other_endpoints_have_only_positions_that_are_tested(control: aiohttp.ClientSession) -> None:
    async with control.get("/_switch/hunter") as response:
        hunter = (await response.json())["positions"]
    async with control.get("/_switch/clearbit") as response:
        clearbit = (await response.json())["positions"]
    assert set(hunter) == {"verifier", "find", "people", "companies", "account"}
    assert set(clearbit) == {"find", "people", "companies"}
    assert set(hunter["people"]) | set(hunter["companies"]) | set(hunter["account"]) <= set(HUNTER_FIND)
    assert set(clearbit["people"]) | set(clearbit["companies"]) <= set(CLEARBIT)


async def test_an_address_that_is_not_ready_becomes_ready(sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("hunter", {"verifier": ["202-empty", "222-json", "valid"]})
    hunter = Hunter(http, sandbox.url + "/hunter", KEY, paced=False)
    kinds = [(await hunter.verify(ADA)).kind for _ in range(4)]
    assert kinds == ["later", "later", "verdict", "verdict"]


async def test_402_names_the_end_of_the_quota(sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("clearbit", {"find": ["402-reset"]})
    outcome = await Clearbit(http, sandbox.url + "/clearbit", KEY, paced=False).find(ADA)
    assert outcome.wait is not None and 7100 < outcome.wait <= 7200


async def test_429_names_the_end_of_the_window(sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("clearbit", {"find": ["429"]})
    outcome = await Clearbit(http, sandbox.url + "/clearbit", KEY, paced=False).find(ADA)
    assert outcome.wait is not None and 30 < outcome.wait <= 40


async def test_gravatars_window_is_an_hour(sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("gravatar", {"profile": ["429"]})
    gravatar = Gravatar(http, sandbox.url + "/gravatar", "", paced=False)
    outcome = await gravatar.find(ADA)
    assert outcome.wait is not None and 2390 < outcome.wait <= 2400
    held = await gravatar.find("eve@lovelace.example")
    assert held.wait is not None and (held.kind, held.asked) == ("limited", False) and held.wait > 2380
    assert gravatar.describe()["reason"] == "limited"


async def test_hostile_content_is_cleaned_on_the_way(sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("clearbit", {"find": ["hostile"]})
    outcome = await Clearbit(http, sandbox.url + "/clearbit", KEY, paced=False).find(ADA)
    assert outcome.fields is not None
    assert outcome.fields["name"] == "Ada Lovelace"
    assert outcome.fields["location"] == "Leeds"
    assert outcome.fields["handles"] == {"twitter": "ada"}
    assert outcome.fields["bio"] == "b" * 1000
    assert set(outcome.fields) == {"name", "location", "bio", "company", "handles"}
    await switch("gravatar", {"profile": ["hostile"]})
    of_gravatar = await Gravatar(http, sandbox.url + "/gravatar", KEY, paced=False).find(ADA)
    assert of_gravatar.fields == outcome.fields | {"company": "<script>x</script>"}


async def test_wrong_types_cost_only_their_own_field(sandbox: Sandbox, http: ProviderHttp, switch: Any) -> None:
    await switch("hunter", {"find": ["wrong-types"]})
    outcome = await Hunter(http, sandbox.url + "/hunter", KEY, paced=False).find(ADA)
    assert outcome.fields == {"title": "Clerk"}
    await switch("gravatar", {"profile": ["wrong-types"]})
    assert (await Gravatar(http, sandbox.url + "/gravatar", KEY, paced=False).find(ADA)).fields == {"title": "Clerk"}
