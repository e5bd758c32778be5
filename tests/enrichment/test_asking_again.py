"""POST /api/me/enrichment: once an hour, never two at once, one `enriched` for each."""
from __future__ import annotations

import asyncio

import pytest

from tests.conftest import Serve
from tests.enrichment.support import Held, an_hour_later, ask_again, asked, settled, the_answer, told
from tests.support import Served


async def test_within_the_hour_it_is_refused_and_says_when(server: Served) -> None:
    session = await server.api.sign_up()
    for _ in range(2):
        answer = await ask_again(server, session)
        assert answer.status == 429 and answer.code == "rate_limited"
        assert 3500 < int(answer.headers["Retry-After"]) <= 3601
        assert "RateLimit-Limit" in answer.headers or "RateLimit" in answer.headers
    await the_answer(server, session)


async def test_a_stranger_is_not_answered(server: Served) -> None:
    for method in ("GET", "POST"):
        answer = await server.api.call(method, "/api/me/enrichment")
        assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_after_the_hour_it_runs_once_more_and_tells_once_more(server: Served) -> None:
    session = await server.api.sign_up()
    await the_answer(server, session)
    await server.api.switch(server.sandbox, "clearbit", find="404-unknown-record")
    await server.api.switch(server.sandbox, "hunter", find="404")
    for number in range(2, 4):
        await an_hour_later(server, session)
        answer = await ask_again(server, session)
        assert answer.status == 202 and answer.data["status"] == "queued"
        assert (await ask_again(server, session)).status == 429
        await settled(server)
        assert len(await told(server, session)) == number
    assert [answer["status"] for answer in await told(server, session)] == ["found", "not_found", "not_found"]
    assert await asked(server, "clearbit", "find") == 2


async def test_twenty_at_once_are_one(server: Served) -> None:
    session = await server.api.sign_up()
    await the_answer(server, session)
    await an_hour_later(server, session)
    answers = await asyncio.gather(*(ask_again(server, session) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [202] + [429] * 19
    await settled(server)
    assert len(await told(server, session)) == 2


async def test_while_one_runs_another_is_not_begun(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(server.foyer.outside.clearbit, "find", monkeypatch)
    session = await server.api.sign_up()
    await held.begun()
    await an_hour_later(server, session)
    answer = await ask_again(server, session)
    assert answer.status == 202 and answer.data["status"] == "running"
    held.release()
    await the_answer(server, session)
    assert held.waiting == 1


async def test_a_key_gives_the_same_answer_again_and_asks_once(server: Served) -> None:
    session = await server.api.sign_up()
    await the_answer(server, session)
    await an_hour_later(server, session)
    key = {"Idempotency-Key": "again-1"}
    first = await ask_again(server, session, headers=key)
    await settled(server)
    again = await asyncio.gather(*(ask_again(server, session, headers=key) for _ in range(5)))
    assert first.status == 202
    assert {(answer.status, answer.raw) for answer in again} == {(202, first.raw)}
    assert len(await told(server, session)) == 2


async def test_a_refusal_is_not_kept_under_a_key(server: Served) -> None:
    session = await server.api.sign_up()
    await the_answer(server, session)
    key = {"Idempotency-Key": "again-2"}
    assert (await ask_again(server, session, headers=key)).status == 429
    await an_hour_later(server, session)
    assert (await ask_again(server, session, headers=key)).status == 202
    await settled(server)


async def test_without_a_provider_each_request_is_told_so_at_once(serve: Serve) -> None:
    served = await serve({"sandbox.mode": "off"})
    session = await served.api.sign_up()
    assert session["user"]["email_status"] == "unchecked"
    assert session["user"]["enrichment"]["status"] == "not_configured"
    assert (await the_answer(served, session))["status"] == "not_configured"
    await an_hour_later(served, session)
    assert (await ask_again(served, session)).data["status"] == "not_configured"
    assert [answer["status"] for answer in await told(served, session)] == ["not_configured"] * 2
