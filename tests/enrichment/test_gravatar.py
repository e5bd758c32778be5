"""Gravatar among the providers: asked only when it is listed, without a key too, and never in anybody's way."""
from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.providers import gravatar
from server.providers.gravatar import hashed
from server.sandbox.app import Sandbox, start
from server.sandbox.people import person_of
from tests.conftest import Serve
from tests.enrichment.support import Ahead, asked, me, settled, the_answer
from tests.support import Served

FIRST = {"enrichment.providers": "gravatar,clearbit", "auth.access_minutes": "1440"}
EVERY = {"name", "title", "company", "bio", "location", "site", "avatar_url", "time_zone", "handles"}


@pytest.fixture
async def elsewhere() -> AsyncIterator[Sandbox]:
    """Stand-ins that a server knows only as an address in its settings, as it knows the vendor."""
    sandbox = await start()
    yield sandbox
    await sandbox.close()


async def known_in_full() -> str:
    """The address of somebody who has filled in everything."""
    for number in range(1000):
        person = await person_of(f"ada{number}@lovelace.example")
        if person.bio and person.site and person.github and person.twitter and person.linkedin:
            return person.email
    raise AssertionError


async def sign_up(served: Served, email: str | None = None) -> Any:
    return await served.api.sign_up(**({"email": email} if email else {}))


async def test_the_first_one_listed_fills_every_field(serve: Serve) -> None:
    served = await serve(FIRST)
    session = await sign_up(served, await known_in_full())
    answer = await the_answer(served, session)
    assert (answer["status"], answer["provider"], set(answer["fields"])) == ("found", "gravatar", EVERY)
    assert {field["source"] for field in answer["fields"].values()} == {"gravatar"}
    told = {name: field["value"] for name, field in answer["fields"].items()}
    person = await person_of(session["user"]["email"])
    assert (told["name"], told["time_zone"], told["site"]) == (person.full_name, person.place.zone, person.site)
    assert told["handles"] == {"github": person.github, "twitter": person.twitter, "linkedin": person.linkedin}
    profile = await me(served, session)
    assert all(profile[name] == told[name] for name in EVERY - {"time_zone", "handles"})
    assert await asked(served, "clearbit", "find") == 0


async def test_nobody_here_asks_the_next(serve: Serve) -> None:
    served = await serve(FIRST)
    await served.api.switch(served.sandbox, "gravatar", profile="404")
    assert (await the_answer(served, await sign_up(served)))["provider"] == "clearbit"
    assert await asked(served, "gravatar", "profile") == 1


async def test_without_being_listed_it_is_not_there(server: Served) -> None:
    await the_answer(server, await sign_up(server))
    assert server.foyer.outside.gravatar is None
    assert "gravatar" not in (await server.api.get("/readyz")).raw.decode()
    assert await asked(server, "gravatar", "profile") == 0


async def test_its_stand_in_is_told_of(serve: Serve) -> None:
    served = await serve(FIRST)
    ready = (await served.api.get("/readyz")).data
    assert ready["stand_ins"] == ["hunter", "clearbit", "gravatar", "randomdata", "mail"]
    assert ready["providers"]["gravatar"] == {
        "state": "ready", "reason": "", "until": None, "last_error": None, "last_error_at": None}
    assert "in use for Hunter, Clearbit, Gravatar, Randomdata and Mail" in (await served.api.get("/")).raw.decode()


async def test_it_needs_no_key(serve: Serve, elsewhere: Sandbox) -> None:
    served = await serve({"enrichment.providers": "gravatar", "sandbox.mode": "off",
                          "gravatar.url": elsewhere.url + "/gravatar"})
    answer = await the_answer(served, await sign_up(served, await known_in_full()))
    assert answer["provider"] == "gravatar" and set(answer["fields"]) == EVERY - {"time_zone", "site"}
    assert (await served.api.get("/readyz")).data["stand_ins"] == []


@pytest.mark.parametrize("settings, position", [({}, "401"), ({"gravatar.api_key": "bad"}, "found")])
async def test_a_key_that_is_refused_or_asked_for_switches_it_off(
        settings: dict[str, str], position: str, serve: Serve, elsewhere: Sandbox) -> None:
    served = await serve(FIRST | settings | {"gravatar.url": elsewhere.url + "/gravatar"})
    await served.api.switch(elsewhere.url, "gravatar", profile=position)
    for _ in range(2):
        assert (await the_answer(served, await sign_up(served)))["provider"] == "clearbit"
    assert (await served.api.calls(elsewhere.url, "gravatar"))["total"] == 1
    ready = (await served.api.get("/readyz")).data
    assert ready["stand_ins"] == ["hunter", "clearbit", "randomdata", "mail"]
    assert (ready["providers"]["gravatar"]["state"], ready["providers"]["gravatar"]["reason"]) == ("off", "key")


async def test_while_its_hour_is_used_up_the_next_one_is_asked_at_once(serve: Serve, ahead: Ahead) -> None:
    served = await serve(FIRST)
    await served.api.switch(served.sandbox, "gravatar", profile=["429", "found"])
    for _ in range(3):
        session = await sign_up(served)
        assert await settled(served, ahead) == []
        assert (await the_answer(served, session))["provider"] == "clearbit"
    assert await asked(served, "gravatar", "profile") == 1
    assert (await served.api.get("/readyz")).data["providers"]["gravatar"]["reason"] == "limited"
    ahead.seconds += 2401
    assert (await the_answer(served, await sign_up(served)))["provider"] == "gravatar"


async def test_whom_nobody_else_knows_waits_for_the_next_hour(serve: Serve, ahead: Ahead) -> None:
    served = await serve(FIRST)
    await served.api.switch(served.sandbox, "gravatar", profile=["429", "found"])
    await served.api.switch(served.sandbox, "clearbit", find="404-unknown-record")
    session = await sign_up(served)
    waits = await settled(served, ahead)
    assert len(waits) == 1 and 2390 < waits[0] <= 2400
    answer = await the_answer(served, session)
    assert (answer["status"], answer["provider"], answer["attempts"]) == ("found", "gravatar", 2)
    assert await asked(served, "clearbit", "find") == 1


async def test_a_short_pause_is_waited_for(serve: Serve, ahead: Ahead) -> None:
    served = await serve(FIRST)
    await served.api.switch(served.sandbox, "gravatar", profile=["429-soon", "found"])
    session = await sign_up(served)
    waits = await settled(served, ahead)
    assert len(waits) == 1 and 35 < waits[0] <= 40
    assert (await the_answer(served, session))["provider"] == "gravatar"
    assert await asked(served, "clearbit", "find") == 0


async def test_its_own_pace_lets_others_pass(serve: Serve, elsewhere: Sandbox, ahead: Ahead,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gravatar, "PER_HOUR", 2)
    served = await serve(FIRST | {"gravatar.url": elsewhere.url + "/gravatar"})
    providers = [(await the_answer(served, await sign_up(served)))["provider"] for _ in range(4)]
    assert providers == ["gravatar", "gravatar", "clearbit", "clearbit"]
    assert (await served.api.calls(elsewhere.url, "gravatar"))["total"] == 2
    ready = (await served.api.get("/readyz")).data["providers"]["gravatar"]
    assert (ready["state"], ready["reason"]) == ("ready", "limited") and ready["until"]


async def test_alone_and_over_its_pace_the_member_waits_and_is_found(
        serve: Serve, elsewhere: Sandbox, ahead: Ahead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gravatar, "PER_HOUR", 1)
    served = await serve({"enrichment.providers": "gravatar", "gravatar.url": elsewhere.url + "/gravatar",
                          "auth.access_minutes": "1440", "enrichment.first_retry": "2 s",
                          "enrichment.longest_retry": "1 h"})
    await the_answer(served, await sign_up(served))
    second = await sign_up(served)
    assert sum(await settled(served, ahead)) > 3500
    answer = await the_answer(served, second)
    assert (answer["status"], answer["attempts"]) == ("found", 1)  # being held back is no attempt


async def test_the_hash_of_an_address_is_in_no_log_and_no_address_at_gravatar(
        serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    served = await serve(FIRST | {"enrichment.attempts": "2", "enrichment.first_retry": "10 ms"})
    await served.api.switch(served.sandbox, "gravatar", profile=["500-html", "cut-body"])
    session = await sign_up(served, "grace.hopper@navy.example")
    assert (await the_answer(served, session))["provider"] == "clearbit"
    known_as = hashed("grace.hopper@navy.example")
    metrics = (await served.api.get("/metrics")).raw.decode()
    assert known_as not in caplog.text + metrics + json.dumps((await served.api.get("/readyz")).data)
    assert "malformed" not in (await served.api.calls(served.sandbox, "gravatar"))["endpoints"]["profile"]["positions"]
