"""Hunter's 451: the person asked not to be looked up. Nobody is asked again; what was learned goes."""
from __future__ import annotations

from typing import Any

import pytest

from tests.accounts.letters import moved
from tests.conftest import Serve
from tests.enrichment.support import Ahead, Held, an_hour_later, ask_again, asked, me, settled, the_answer, told
from tests.support import PASSWORD, Served, until

PROFILE = ("name", "title", "company", "location", "bio", "site", "avatar_url")
ADDRESS = "ada@example.org"
QUICK = {"auth.access_minutes": "1440", "enrichment.attempts": "6", "enrichment.first_retry": "10 ms"}


async def claim(served: Served, **positions: Any) -> None:
    await served.api.switch(served.sandbox, "hunter", **{"verifier": "451", **positions})


async def patch(served: Served, session: Any, **fields: Any) -> Any:
    return (await served.api.call("PATCH", "/api/me", token=session["access_token"], json=fields)).data


async def empty(served: Served, session: Any, besides: tuple[str, ...] = ()) -> None:
    profile = await me(served, session)
    assert {name: profile[name] for name in PROFILE if name not in besides and profile[name] is not None} == {}
    assert profile["enrichment"]["status"] == "not_found" and profile["enrichment"]["fields"] == {}


async def test_at_sign_up_nobody_else_is_asked(server: Served) -> None:
    await claim(server)
    session = await server.api.sign_up("ada", email=ADDRESS)
    assert session["user"]["email_status"] == "unknown"
    assert (await the_answer(server, session))["status"] == "not_found"
    assert await asked(server, "clearbit", "find") == await asked(server, "hunter", "find") == 0
    assert await told(server, session, "email_verified") == []


async def test_the_address_is_never_asked_about_again(server: Served) -> None:
    await claim(server)
    first = await server.api.sign_up("first", email=ADDRESS)
    await server.api.switch(server.sandbox, "hunter", verifier="valid", find="found")
    await an_hour_later(server, first)
    assert (await ask_again(server, first)).data["status"] == "not_found"
    assert [answer["status"] for answer in await told(server, first)] == ["not_found"] * 2
    await moved(server, first["access_token"], "other@example.org")
    second = await server.api.sign_up("second", email="ADA@example.org")
    assert second["user"]["email_status"] == "unknown"
    assert (await the_answer(server, second))["status"] == "not_found"
    for provider, endpoint in (("clearbit", "find"), ("hunter", "find"), ("hunter", "verifier")):
        assert await asked(server, provider, endpoint, ADDRESS) == 0, endpoint


async def test_it_is_remembered_over_a_restart(serve: Serve) -> None:
    first = await serve()
    await claim(first)
    session = await first.api.sign_up("first", email=ADDRESS)
    await moved(first, session["access_token"], "other@example.org")
    await first.stop()
    second = await serve()
    assert (await second.api.sign_up("second", email=ADDRESS))["user"]["email_status"] == "unknown"
    await settled(second)
    assert await asked(second, "hunter", "verifier") == await asked(second, "clearbit", "find", ADDRESS) == 0


async def test_said_late_it_takes_back_what_was_learned(serve: Serve, ahead: Ahead) -> None:
    served = await serve(QUICK)
    await claim(served, verifier=["202-empty", "451"])
    session = await served.api.sign_up("ada", email=ADDRESS)
    assert session["user"]["email_status"] == "pending"
    await settled(served, ahead)
    assert await told(served, session, "email_verified") == [{"email_status": "unknown"}]
    assert len(await told(served, session)) == 1
    await empty(served, session)
    assert (await me(served, session))["email_status"] == "unknown"


async def test_said_after_the_enrichment_it_leaves_the_members_own_words(serve: Serve, ahead: Ahead) -> None:
    served = await serve(QUICK | {"enrichment.first_retry": "20 s", "enrichment.longest_retry": "20 s"})
    await served.api.switch(served.sandbox, "clearbit", find="hostile")
    await claim(served, verifier=["202-empty", "202-empty", "451"])
    body = {"username": "ada", "email": ADDRESS, "password": PASSWORD, "name": "Ada Lovelace"}  # as the provider has it
    session = (await served.api.post("/api/signup", body)).data
    found = (await until(lambda: told(served, session)))[0]
    assert found["fields"]["name"]["value"] == "Ada Lovelace"
    await patch(served, session, bio="I changed it")
    assert (await me(served, session))["location"] == "Leeds"
    await settled(served, ahead)
    await empty(served, session, besides=("name", "bio"))
    profile = await me(served, session)
    assert (profile["name"], profile["bio"], profile["email_status"]) == ("Ada Lovelace", "I changed it", "unknown")


@pytest.mark.parametrize("between", ["404-unknown-record", "401-invalid-key", None])
async def test_said_by_a_later_enrichment_it_takes_back_what_an_earlier_one_learned(
        between: str | None, server: Served) -> None:
    session = await server.api.sign_up("ada", email=ADDRESS)
    await the_answer(server, session)
    assert (await me(server, session))["name"]
    await server.api.switch(server.sandbox, "hunter", find=["404", "451"] if between else ["451"], verifier="valid")
    await server.api.switch(server.sandbox, "clearbit", find=between or "404-unknown-record")
    for _ in range(2 if between else 1):
        await an_hour_later(server, session)
        assert (await ask_again(server, session)).status == 202
        await settled(server)
    await empty(server, session)


async def test_said_about_an_address_that_the_member_gave_up_meanwhile_it_is_remembered(
        server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    await claim(server, verifier=["202-empty", "451"])
    session = await server.api.sign_up("ada", email=ADDRESS)
    held = Held(server.foyer.outside.hunter, "verify", monkeypatch, about=ADDRESS)
    await held.begun()
    await moved(server, session["access_token"], "other@example.org")
    held.release()
    await settled(server)
    await server.api.switch(server.sandbox, "hunter", verifier="valid", find="found")
    second = await server.api.sign_up("second", email=ADDRESS)
    assert second["user"]["email_status"] == "unknown"
    assert await asked(server, "hunter", "verifier", ADDRESS) == 0
    await settled(server)


async def test_said_while_another_provider_is_being_asked_nothing_is_written(
        serve: Serve, ahead: Ahead, monkeypatch: pytest.MonkeyPatch) -> None:
    served = await serve(QUICK)
    await claim(served, verifier=["202-empty", "451"])
    held = Held(served.foyer.outside.clearbit, "find", monkeypatch)
    session = await served.api.sign_up("ada", email=ADDRESS)
    await held.begun()
    await until(lambda: told(served, session, "email_verified"))
    held.release()
    assert (await the_answer(served, session))["status"] == "not_found"
    await empty(served, session)
