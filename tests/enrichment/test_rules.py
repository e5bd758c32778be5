"""What enrichment may write, whom it asks and in which order, and what it remembers."""
from __future__ import annotations

import json
from typing import Any

import pytest

from server.storage import Tx
from tests.accounts.letters import moved
from tests.conftest import Serve
from tests.enrichment.support import Ahead, Held, an_hour_later, ask_again, asked, me, settled, the_answer, told
from tests.support import PASSWORD, Served, until

OWN = {"name": "Me Myself", "title": "Boss", "company": "Mine", "location": "Here", "bio": "I wrote this.",
       "site": "https://mine.example/", "avatar_url": "https://mine.example/me.png"}
QUICK = {"auth.access_minutes": "1440", "enrichment.attempts": "3", "enrichment.first_retry": "10 ms"}


async def patch(served: Served, session: Any, **fields: Any) -> None:
    assert (await served.api.call("PATCH", "/api/me", token=session["access_token"], json=fields)).status == 200


@pytest.mark.parametrize("written", [{}, {"name": OWN["name"]}, {"bio": OWN["bio"], "site": OWN["site"]}, OWN])
async def test_what_the_member_wrote_at_sign_up_stays(written: dict[str, str], server: Served) -> None:
    body = {"username": "ada", "email": "ada@example.org", "password": PASSWORD, **written}
    session = (await server.api.post("/api/signup", body)).data
    answer = await the_answer(server, session)
    profile = await me(server, session)
    for name in OWN:
        expected = written.get(name) or answer["fields"].get(name, {"value": None})["value"]
        assert profile[name] == expected, name
    assert answer["fields"]["name"]["value"] != OWN["name"]


async def test_what_the_member_writes_while_the_provider_is_asked_stays(
        server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(server.foyer.outside.clearbit, "find", monkeypatch)
    session = await server.api.sign_up("ada")
    await held.begun()
    assert (await me(server, session))["enrichment"]["status"] == "running"
    await patch(server, session, name=OWN["name"], bio=OWN["bio"])
    held.release()
    answer = await the_answer(server, session)
    profile = await me(server, session)
    assert (profile["name"], profile["bio"]) == (OWN["name"], OWN["bio"])
    assert profile["title"] == answer["fields"]["title"]["value"]


async def test_public_profile_and_posts_show_what_was_filled(server: Served) -> None:
    session = await server.api.sign_up("ada")
    post = await server.api.write_post(session["access_token"])
    await server.api.get(f"/api/posts/{post['id']}")
    name = (await the_answer(server, session))["fields"]["name"]["value"]
    assert (await server.api.get(f"/api/posts/{post['id']}")).data["author"]["name"] == name


@pytest.mark.parametrize("order", ["clearbit,hunter", "hunter,clearbit", "hunter", "clearbit"])
async def test_the_first_one_listed_is_asked_first_and_alone(order: str, serve: Serve) -> None:
    served = await serve({"enrichment.providers": order})
    session = await served.api.sign_up("ada")
    first = order.partition(",")[0]
    assert (await the_answer(served, session))["provider"] == first
    counts = {name: await asked(served, name, "find") for name in ("clearbit", "hunter")}
    assert counts == {"clearbit": 0, "hunter": 0} | {first: 1}


async def test_not_yet_is_asked_again_until_there_is_an_answer(serve: Serve, ahead: Ahead) -> None:
    served = await serve({"enrichment.attempts": "8"})
    await served.api.switch(served.sandbox, "clearbit", find=["202-empty", "202-queued", "202-data", "found"])
    session = await served.api.sign_up("ada")
    answer = await the_answer(served, session, ahead)
    assert (answer["status"], answer["provider"], answer["attempts"]) == ("found", "clearbit", 4)
    assert await asked(served, "hunter", "find") == 0


async def test_a_wait_is_shown_while_it_lasts(serve: Serve) -> None:
    served = await serve({"enrichment.first_retry": "30 s", "enrichment.longest_retry": "1 h"})
    await served.api.switch(served.sandbox, "clearbit", find="503-json")
    session = await served.api.sign_up("ada")

    async def waits() -> Any:
        shown = (await me(served, session))["enrichment"]
        return shown if shown["attempts"] else None
    shown = await until(waits)
    assert shown["status"] in ("running", "queued")
    await until(lambda: served.foyer.worker.running == 0)
    shown = (await me(served, session))["enrichment"]
    assert shown["status"] == "queued" and shown["next_attempt_at"] > shown["updated_at"] and shown["fields"] == {}
    assert (await ask_again(served, session)).status == 429


async def test_nobody_here_is_remembered_between_the_retries_of_a_run(serve: Serve, ahead: Ahead) -> None:
    served = await serve(QUICK)
    await served.api.switch(served.sandbox, "clearbit", find="404-unknown-record")
    await served.api.switch(served.sandbox, "hunter", find=["503-json", "202-empty", "found"])
    session = await served.api.sign_up("ada")
    assert (await the_answer(served, session, ahead))["provider"] == "hunter"
    assert await asked(served, "clearbit", "find") == 1


async def test_nobody_here_is_remembered_for_a_later_sign_up_but_not_against_a_request(server: Served) -> None:
    email = "somebody@example.org"
    for provider, position in (("clearbit", "404-unknown-record"), ("hunter", "404")):
        await server.api.switch(server.sandbox, provider, find=position)
    first = await server.api.sign_up("first", email=email)
    await settled(server)
    await moved(server, first["access_token"], "another@example.org")
    second = await server.api.sign_up("second", email="SomeBody@Example.org")
    assert (await the_answer(server, second))["status"] == "not_found"
    assert await asked(server, "clearbit", "find", email) == await asked(server, "hunter", "find", email) == 1
    await an_hour_later(server, second)
    await server.api.switch(server.sandbox, "clearbit", find="found")
    assert (await ask_again(server, second)).status == 202
    await settled(server)
    assert [answer["status"] for answer in await told(server, second)] == ["not_found", "found"]
    assert await asked(server, "clearbit", "find", email) == 1  # the switch sets the counts to zero


async def _answers(tx: Tx) -> list[str]:
    return [json.dumps([row[name] for name in row.keys()]) for row in await tx.all("SELECT * FROM provider_answers")]


async def test_what_is_remembered_does_not_hold_the_address(server: Served) -> None:
    for provider, position in (("clearbit", "404-unknown-record"), ("hunter", "404")):
        await server.api.switch(server.sandbox, provider, find=position)
    await server.api.sign_up("quinn")  # no word that a hash could hold by chance
    await settled(server)
    rows = await server.foyer.database.read(_answers)
    assert len(rows) == 2 and not [row for row in rows if "quinn" in row or "example" in row]


@pytest.mark.parametrize("position, reason", [("401-invalid-key", "key"), ("402", "quota"), ("402-reset", "quota")])
async def test_key_and_quota_switch_a_provider_off_for_everybody(
        position: str, reason: str, server: Served, caplog: pytest.LogCaptureFixture) -> None:
    await server.api.switch(server.sandbox, "clearbit", find=position)
    sessions = [await server.api.sign_up() for _ in range(4)]
    for session in sessions:
        assert (await the_answer(server, session))["provider"] == "hunter"
    assert await asked(server, "clearbit", "find") <= 2  # two may be under way before the first is answered
    ready = (await server.api.get("/readyz")).data
    assert ready["status"] == "ready"
    detail = ready["providers"]["clearbit"]
    assert (detail["state"], detail["reason"]) == ("off", reason) and detail["until"].endswith("Z")
    assert "stand-in\"" not in json.dumps(ready["providers"]) and "Bearer" not in json.dumps(ready)
    assert len([record for record in caplog.records if "clearbit is off" in record.getMessage()]) == 1


async def test_a_provider_comes_back_after_its_time(serve: Serve, ahead: Ahead) -> None:
    served = await serve(QUICK)
    await served.api.switch(served.sandbox, "clearbit", find="401-auth-required")
    assert (await the_answer(served, await served.api.sign_up()))["provider"] == "hunter"
    await served.api.switch(served.sandbox, "clearbit", find="found")
    assert (await the_answer(served, await served.api.sign_up()))["provider"] == "hunter"
    ahead.seconds += 3700
    assert (await the_answer(served, await served.api.sign_up()))["provider"] == "clearbit"
    assert (await served.api.get("/readyz")).data["providers"]["clearbit"]["state"] == "ready"


@pytest.mark.parametrize("clearbit, hunter", [("401-invalid-key", "401"), ("402", "429-quota"), ("403", "402")])
async def test_all_switched_off_is_failed_at_once(clearbit: str, hunter: str, server: Served) -> None:
    await server.api.switch(server.sandbox, "clearbit", find=clearbit)
    await server.api.switch(server.sandbox, "hunter", find=hunter, verifier="valid")
    answer = await the_answer(server, await server.api.sign_up())
    assert (answer["status"], answer["attempts"], answer["next_attempt_at"]) == ("failed", 1, None)
    assert (await the_answer(server, await server.api.sign_up()))["status"] == "failed"  # and nobody is asked again
    assert await asked(server, "clearbit", "find") == await asked(server, "hunter", "find") == 1


async def test_off_and_nobody_is_nobody(server: Served) -> None:
    await server.api.switch(server.sandbox, "clearbit", find="402")
    await server.api.switch(server.sandbox, "hunter", find="404")
    assert (await the_answer(server, await server.api.sign_up()))["status"] == "not_found"


async def test_a_broken_provider_does_not_hide_a_good_one_in_the_end(serve: Serve, ahead: Ahead) -> None:
    served = await serve(QUICK)
    await served.api.switch(served.sandbox, "clearbit", find="502-html")
    answer = await the_answer(served, await served.api.sign_up(), ahead)
    assert (answer["status"], answer["provider"]) == ("found", "hunter")
    assert await asked(served, "clearbit", "find") == 3


async def test_many_at_once_with_a_provider_that_is_down_all_get_their_answer(serve: Serve, ahead: Ahead) -> None:
    served = await serve(QUICK | {"enrichment.providers": "clearbit"})
    await served.api.switch(served.sandbox, "clearbit", find="reset")
    sessions = [await served.api.sign_up() for _ in range(20)]
    for session in sessions:
        assert (await the_answer(served, session, ahead))["status"] == "failed"


async def test_hostile_words_are_cleaned_before_they_are_stored(server: Served) -> None:
    await server.api.switch(server.sandbox, "clearbit", find="hostile")
    session = await server.api.sign_up("ada")
    answer = await the_answer(server, session)
    assert answer["fields"]["handles"]["value"] == {"twitter": "ada"}
    profile = await me(server, session)
    assert profile["name"] == "Ada Lovelace" and profile["location"] == "Leeds"
    assert profile["site"] is None and profile["avatar_url"] is None and len(profile["bio"]) == 1000


async def _enrichment_job(tx: Tx) -> Any:
    return (await tx.one("SELECT count(*) AS n, max(attempts) AS most FROM jobs WHERE kind = 'enrich'"))


async def test_the_job_of_a_member_who_is_gone_ends(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = await serve()
    held = Held(served.foyer.outside.clearbit, "find", monkeypatch)
    session = await served.api.sign_up("ada")
    await held.begun()

    async def erase(tx: Tx) -> None:
        await tx.run("DELETE FROM users WHERE id = $1", session["user"]["id"])
    await served.foyer.database.write(erase)
    held.release()
    await settled(served)
    assert (await served.foyer.database.read(_enrichment_job))["most"] == 1


async def test_what_was_queued_before_the_providers_were_taken_away_is_answered(serve: Serve) -> None:
    first = await serve({"server.jobs": "no", "hunter.timeout": "50 ms"})
    await first.api.switch(first.sandbox, "hunter", verifier="hang")
    session = await first.api.sign_up("ada")
    assert session["user"]["email_status"] == "pending"
    await first.stop()
    second = await serve({"sandbox.mode": "off"})
    await settled(second)
    assert [answer["status"] for answer in await told(second, session)] == ["not_configured"]
    assert await told(second, session, "email_verified") == [{"email_status": "unchecked"}]
