"""Hunter at sign-up: inline for a moment, then in the background, and what a change of the address does to it."""
from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.accounts.letters import moved
from tests.conftest import Serve
from tests.enrichment.support import Ahead, Held, asked, me, settled, told
from tests.support import PASSWORD, Served, frame, until

ADDRESS = "ada@example.org"
QUICK = {"auth.access_minutes": "1440", "enrichment.attempts": "4", "enrichment.first_retry": "10 ms",
         "enrichment.longest_retry": "20 ms"}
SHORT = QUICK | {"hunter.timeout": "200 ms"}


async def patch(served: Served, session: Any, **fields: Any) -> Any:
    return await served.api.call("PATCH", "/api/me", token=session["access_token"], json=fields)


async def signing_up(served: Served, name: str = "ada") -> Any:
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    return await served.api.post("/api/signup", body)


@pytest.mark.parametrize("position", [
    "hang", "202-empty", "222-json", "403-limit", "429-quota", "503-html", "cut-body"])
async def test_no_verdict_in_time_does_not_hold_the_newcomer(position: str, serve: Serve) -> None:
    served = await serve(SHORT)
    await served.api.switch(served.sandbox, "hunter", verifier=[position, "accept_all"])
    began = time.monotonic()
    answer = await signing_up(served)
    assert time.monotonic() - began < 2
    assert answer.status == 201 and answer.data["user"]["email_status"] == "pending"


@pytest.mark.parametrize("verdict", ["valid", "accept_all", "webmail", "unknown", "invalid", "disposable"])
async def test_the_verdict_comes_later_as_an_event(verdict: str, serve: Serve, ahead: Ahead) -> None:
    served = await serve(SHORT)
    await served.api.switch(served.sandbox, "hunter", verifier=["hang", "202-empty", verdict])
    session = (await signing_up(served)).data
    socket = await served.socket(session["access_token"])
    await frame(socket, "ready")
    await settled(served, ahead)
    frames = [await socket.receive_json(timeout=5) for _ in range(2)]
    assert {found["type"] for found in frames} == {"enriched", "email_verified"}
    assert [found["seq"] for found in frames] == [1, 2]
    verified = next(found for found in frames if found["type"] == "email_verified")
    assert verified["data"] == {"email_status": verdict}
    assert (await me(served, session))["email_status"] == verdict
    await socket.close()


async def test_a_late_rejection_leaves_reading_and_login_but_not_posts(serve: Serve, ahead: Ahead) -> None:
    served = await serve(SHORT)
    await served.api.switch(served.sandbox, "hunter", verifier=["202-empty", "disposable"])
    session = (await signing_up(served)).data
    await settled(served, ahead)
    assert (await served.api.post("/api/login", {"username": "ada", "password": PASSWORD})).status == 200
    assert (await served.api.get("/api/posts", token=session["access_token"])).status == 200
    refused = await served.api.post("/api/posts", {"title": "t", "text": "t"}, token=session["access_token"])
    assert refused.status == 403 and refused.code == "email_undeliverable"


@pytest.mark.parametrize("last, expected", [("401", "unchecked"), ("503-json", "unknown")])
async def test_how_a_background_check_ends_without_a_verdict(last: str, expected: str, serve: Serve,
                                                             ahead: Ahead) -> None:
    served = await serve(SHORT)
    await served.api.switch(served.sandbox, "hunter", verifier=["202-empty", last])
    session = (await signing_up(served)).data
    await settled(served, ahead)
    assert (await me(served, session))["email_status"] == expected
    assert await told(served, session, "email_verified") == [{"email_status": expected}]
    assert await asked(served, "hunter", "verifier") == (2 if last == "401" else 5)


async def test_a_breaker_that_is_open_does_not_hold_the_newcomer_nor_the_verdict(serve: Serve, ahead: Ahead) -> None:
    served = await serve(SHORT | {"enrichment.attempts": "8", "enrichment.longest_retry": "1 h"})
    await served.api.switch(served.sandbox, "hunter", verifier=["503-json"])
    sessions = [(await signing_up(served, f"member-{number}")).data for number in range(8)]
    assert {session["user"]["email_status"] for session in sessions} == {"pending"}
    await settled(served, ahead)
    for session in sessions:
        assert await told(served, session, "email_verified") == [{"email_status": "unknown"}]


@pytest.mark.parametrize("position, status", [("202-empty", 503), ("hang", 503), ("valid", 201), ("401", 201)])
async def test_on_failure_reject(position: str, status: int, serve: Serve) -> None:
    served = await serve(SHORT | {"hunter.on_failure": "reject"})
    await served.api.switch(served.sandbox, "hunter", verifier=[position])
    answer = await signing_up(served)
    assert answer.status == status
    if status == 503:
        assert answer.code == "verifier_unavailable" and int(answer.headers["Retry-After"]) > 0
        assert (await served.api.get("/api/users/ada")).status == 404


async def test_what_is_rejected_is_a_setting(serve: Serve) -> None:
    served = await serve({"hunter.reject": "webmail,unknown"})
    for position, status in (("invalid", 201), ("disposable", 201), ("webmail", 422), ("400", 422)):
        await served.api.switch(served.sandbox, "hunter", verifier=[position])
        assert (await signing_up(served, f"with-{position}")).status == status, position


async def test_without_a_verifier_nothing_is_checked(serve: Serve) -> None:
    served = await serve({"sandbox.mode": "off", "hunter.on_failure": "reject"})
    session = (await signing_up(served)).data
    assert session["user"]["email_status"] == "unchecked"
    assert await told(served, session, "email_verified") == []


@pytest.mark.parametrize("second, expected", [("valid", "valid"), ("202-empty", "unknown"), ("401", "unchecked")])
async def test_an_address_that_changes_while_it_is_checked_is_judged_anew(
        second: str, expected: str, serve: Serve, ahead: Ahead, monkeypatch: pytest.MonkeyPatch) -> None:
    served = await serve(SHORT)
    await served.api.switch(served.sandbox, "hunter", verifier=["202-empty", "invalid"])
    session = (await signing_up(served)).data
    held = Held(served.foyer.outside.hunter, "verify", monkeypatch, about=ADDRESS)
    await held.begun()  # the old address is `invalid`, and nobody knows it yet
    await served.api.switch(served.sandbox, "hunter", verifier=[second])
    await moved(served, session["access_token"], "new@example.org")
    held.release()
    await settled(served, ahead)
    assert (await me(served, session))["email_status"] == expected
    verdicts = await told(served, session, "email_verified")
    assert verdicts == ([{"email_status": "unknown"}] if second == "202-empty" else [])
    await served.api.write_post(session["access_token"])  # nobody holds the old address against them


async def test_wanting_another_and_thinking_better_of_it_while_the_first_is_checked_gives_one_verdict(
        serve: Serve, ahead: Ahead, monkeypatch: pytest.MonkeyPatch) -> None:
    served = await serve(SHORT)
    await served.api.switch(served.sandbox, "hunter", verifier=["202-empty", "202-empty", "202-empty", "valid"])
    session = (await signing_up(served)).data
    held = Held(served.foyer.outside.hunter, "verify", monkeypatch, about="between@example.org")
    changing = asyncio.create_task(patch(served, session, email="between@example.org"))
    await held.begun()
    held.release()
    await changing
    assert (await patch(served, session, email=ADDRESS)).data["email_pending"] is None
    await settled(served, ahead)
    assert (await me(served, session))["email_status"] == "valid"
    assert await told(served, session, "email_verified") == [{"email_status": "valid"}]


async def test_equal_sign_ups_at_once_leave_one_member_with_one_answer(serve: Serve) -> None:
    served = await serve(SHORT)
    await served.api.switch(served.sandbox, "hunter", verifier="valid", delay=0.05)
    answers = await asyncio.gather(*(signing_up(served) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 19
    session = next(answer.data for answer in answers if answer.status == 201)
    await until(lambda: told(served, session))
    assert len(await told(served, session)) == 1
