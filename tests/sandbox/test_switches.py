"""The switches: what is played, for whom, how often, and what an unknown word is answered with."""
from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import aiohttp
import pytest

from server.sandbox.app import make_app, start
from server.sandbox.people import hashed
from server.sandbox.stage import Stage

ADA, EVE = "ada@lovelace.example", "eve@lovelace.example"


async def test_a_list_is_played_for_each_address_and_its_end_repeats(ask: Any) -> None:
    await ask.switch("hunter", verifier=["202-empty", "451", "valid"])
    assert [(await ask.verify(ADA))[0] for _ in range(4)] == [202, 451, 200, 200]
    assert (await ask.verify("EVE@lovelace.example"))[0] == 202
    assert (await ask.verify(EVE))[0] == 451


async def test_a_switch_takes_the_place_of_the_one_before(ask: Any) -> None:
    await ask.switch("clearbit", find="503-html", people=["404-unknown-record"])
    assert (await ask.find(ADA))[0] == 503
    await ask.switch("clearbit", people=["402"])
    assert (await ask.find(ADA))[0] == 200
    status, shown, _ = await ask("/_switch/clearbit")
    assert shown["switch"] == {"people": ["402"]}
    assert "202-empty" in shown["positions"]["find"] and "delay" in shown["numbers"]
    await ask("/_switch/clearbit", method="DELETE")
    assert (await ask("/_switch/clearbit"))[1]["switch"] == {}
    await ask.switch("clearbit", find=["402"])
    await ask.switch("clearbit")
    assert (await ask.find(ADA))[0] == 200


async def test_a_switch_wins_over_a_tag(ask: Any) -> None:
    await ask.switch("hunter", verifier=["valid"])
    assert (await ask.verify("ada+invalid@lovelace.example"))[1]["data"]["status"] == "valid"


@pytest.mark.parametrize("path, body, known", [
    ("/_switch/nobody", {}, "hunter"), ("/_switch/hunter", {"verifyer": ["valid"]}, "verifier"),
    ("/_switch/hunter", {"verifier": ["nonsense"]}, "valid"), ("/_switch/hunter", {"verifier": []}, "valid"),
    ("/_switch/hunter", {"verifier": [["valid"]]}, "valid"), ("/_switch/hunter", {"verifier": 3}, "valid"),
    ("/_switch/hunter", {"delay": "long"}, "delay"), ("/_switch/hunter", {"delay": -1}, "delay"),
    ("/_switch/hunter", {"quota": True}, "quota"), ("/_switch/hunter", ["valid"], "verifier")])
async def test_unknown_words_are_answered_with_the_known(ask: Any, path: str, body: Any, known: str) -> None:
    await ask.switch("hunter", verifier=["invalid"])
    status, told, _ = await ask(path, method="PUT", json=body)
    assert status == 400 and told["error"] and known in told["known"]
    assert (await ask("/_switch/hunter"))[1]["switch"] == {"verifier": ["invalid"]}


async def test_a_switch_that_is_no_json(ask: Any) -> None:
    assert (await ask("/_switch/hunter", method="PUT"))[0] == 400
    for method in ("GET", "DELETE"):
        assert (await ask("/_switch/nobody", method=method))[0] == 400
    assert (await ask("/_calls/nobody"))[0] == 400


async def test_calls_are_counted_and_nobody_is_listed(ask: Any) -> None:
    await ask.switch("hunter", verifier=["202-empty", "valid"])
    for email in (ADA, ADA, ADA, EVE):
        await ask.verify(email)
    await ask.find(ADA, "hunter", key="bad")
    await ask.verify("nonsense")
    _, calls, _ = await ask("/_calls/hunter")
    assert calls == {"total": 6, "endpoints": {
        "verifier": {"total": 5, "positions": {"202-empty": 2, "valid": 2, "malformed": 1}},
        "find": {"total": 1, "positions": {"unauthorized": 1}}}}
    _, calls, _ = await ask("/_calls/hunter", email="Eve@lovelace.example")
    assert calls == {"total": 1, "endpoints": {"verifier": {"total": 1, "positions": {"202-empty": 1}}}}
    assert (await ask("/_calls/hunter", email="new@lovelace.example"))[1] == {"total": 0, "endpoints": {}}
    await ask("/_switch/hunter", method="DELETE")
    assert (await ask("/_calls/hunter"))[1]["total"] == 0


async def test_calls_of_gravatar_are_counted_by_address_although_only_hashes_arrive(ask: Any) -> None:
    await ask.switch("gravatar", profile=["429", "404"])
    for email in (ADA, ADA, EVE):
        await ask.profile(email)
    await ask("/gravatar/v3/profiles/ada@lovelace.example")
    assert (await ask("/_calls/gravatar"))[1] == {"total": 4, "endpoints": {
        "profile": {"total": 4, "positions": {"429": 2, "404": 1, "malformed": 1}}}}
    assert (await ask("/_calls/gravatar", email=" ADA@lovelace.example"))[1] == {"total": 2, "endpoints": {
        "profile": {"total": 2, "positions": {"429": 1, "404": 1}}}}
    await ask.switch("gravatar", per_minute=1)
    assert [(await ask.profile(ADA))[0] for _ in range(2)] == [200, 429]


async def test_a_delay_holds_answers_back(ask: Any) -> None:
    await ask.switch("clearbit", delay=0.1)
    began = time.monotonic()
    assert (await ask.find(ADA))[0] == 200
    assert time.monotonic() - began >= 0.09


async def test_closing_lets_go_of_what_hangs() -> None:
    sandbox = await start()
    async with aiohttp.ClientSession(sandbox.url) as session:
        await session.put("/_switch/hunter", json={"verifier": ["hang"]})
        asked = asyncio.create_task(session.get(
            "/hunter/v2/email-verifier", params={"email": ADA}, headers={"X-API-KEY": "k"}))
        while (await (await session.get("/_calls/hunter")).json())["total"] == 0:
            pass
        began = time.monotonic()
        await sandbox.close()
        await asyncio.gather(asked, return_exceptions=True)
        assert time.monotonic() - began < 2.0


async def test_the_real_rate_and_quota_can_be_set(ask: Any) -> None:
    await ask.switch("hunter", per_minute=2)
    assert [(await ask.verify(ADA))[0] for _ in range(3)] == [200, 200, 403]
    await ask.switch("hunter", quota=2)
    assert [(await ask.verify(ADA))[0] for _ in range(3)] == [200, 200, 429]
    bucket = (await ask("/_switch/hunter"))[1]["switch"]
    assert bucket == {"quota": 2}
    await ask.switch("clearbit", per_second=1)
    statuses = await asyncio.gather(*(ask.find(ADA) for _ in range(3)))
    assert sorted(status for status, _ in statuses) == [200, 429, 429]


def test_the_windows_of_a_rate_pass() -> None:
    now = [0.0]
    stage = Stage({"find": ["found", "429"]}, {"find": "found"}, {}, {"rate": "429", "quota": "402"},
                  clock=lambda: now[0])
    stage.set({"per_second": 1, "per_minute": 3})
    played = []
    for at in (0.0, 0.5, 1.1, 2.2, 3.3, 60.1):
        now[0] = at
        played.append(stage.play("find", ADA))
    assert played == ["found", "429", "found", "found", "429", "found"]


def test_the_oldest_addresses_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.sandbox.stage._REMEMBERED", 3)
    stage = Stage({"find": ["found"]}, {"find": "found"}, {}, {})
    for number in range(5):
        stage.play("find", f"p{number}@b.example")
    assert stage.calls()["total"] == 5
    assert [stage.calls(f"p{number}@b.example")["total"] for number in range(5)] == [0, 0, 1, 1, 1]


async def test_every_position_of_every_endpoint_plays_without_an_error(ask: Any, caplog: Any) -> None:
    paths = {"verifier": "v2/email-verifier", "find": "v2/combined/find", "people": "v2/people/find",
             "companies": "v2/companies/find", "account": "v2/account", "profile": f"v3/profiles/{hashed(ADA)}",
             "users": "api/v2/users", "addresses": "api/v2/addresses", "cards": "api/v2/credit_cards"}
    for provider in ("hunter", "clearbit", "gravatar", "randomdata"):
        positions = (await ask(f"/_switch/{provider}"))[1]["positions"]
        for endpoint, names in positions.items():
            for name in (name for name in names if name not in ("hang", "drip")):
                await ask.switch(provider, **{endpoint: [name]})
                try:
                    await ask(f"/{provider}/{paths[endpoint]}", email=ADA, domain="b.example")
                except (aiohttp.ClientError, OSError, ValueError, RecursionError):
                    pass  # that is what some of them are for
                counts = (await ask(f"/_calls/{provider}"))[1]["endpoints"][endpoint]
                # A client may ask again by itself when a connection it used before is cut.
                assert set(counts["positions"]) == {name} and counts["total"] in (1, 2)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_ipv6_and_a_port_that_is_taken() -> None:
    first = await start()
    with pytest.raises(OSError):
        await start(port=int(first.url.rpartition(":")[2]))
    await first.close()


def test_further_stand_ins_can_be_mounted() -> None:
    assert {resource.canonical for resource in make_app([]).router.resources()} >= {"/_switch/{provider}"}
