"""Every position of the stand-ins, from sign-up to the member's events: one `enriched`, the right status, no leak."""
from __future__ import annotations

from typing import Any

import pytest

from server.providers.clearbit import Clearbit
from server.providers.gravatar import Gravatar, hashed
from server.providers.hunter import Hunter
from tests.conftest import Serve
from tests.enrichment.support import Ahead, asked, last_errors, me, settled, the_answer, told
from tests.providers.test_positions import CLEARBIT, GRAVATAR, HUNTER_FIND, VERIFIER
from tests.support import PASSWORD, Served

# The waits are skipped by the clock. A short one would let the pause after a rate limit count as attempts.
ATTEMPTS = {"auth.access_minutes": "1440", "enrichment.attempts": "2", "enrichment.first_retry": "20 s",
            "enrichment.longest_retry": "20 s"}
TOLD_ONLY = ATTEMPTS | {"enrichment.first_retry": "10 ms", "enrichment.longest_retry": "20 ms"}
ADDRESS = "grace.hopper@navy.example"
OVER = {"found": "found", "not_found": "not_found", "claimed": "not_found", "later": "failed", "broken": "failed",
        "limited": "failed"}
PROFILE = ("name", "title", "company", "location", "bio", "site", "avatar_url")
AGAIN = ("later", "broken", "limited")
REJECTED = ("invalid", "disposable")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for call in (Clearbit.find, Hunter.find, Gravatar.find):
        monkeypatch.setattr(call, "__defaults__", (2.0,))


def shorten(monkeypatch: pytest.MonkeyPatch, position: str) -> None:
    if position == "hang":
        for call in (Clearbit.find, Hunter.find, Gravatar.find):
            monkeypatch.setattr(call, "__defaults__", (0.1,))


async def no_leak(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    texts = [record.getMessage() + (record.exc_text or "") for record in caplog.records] + await last_errors(served)
    for text in texts:
        assert "grace.hopper" not in text.lower() and "stand-in" not in text and "%40" not in text, text
        assert hashed(ADDRESS) not in text, text


def shape(answer: Any, provider: str | None) -> None:
    assert set(answer) == {"status", "provider", "attempts", "updated_at", "next_attempt_at", "fields"}
    assert answer["provider"] == provider and answer["next_attempt_at"] is None
    assert bool(answer["fields"]) == (provider is not None)
    for field in answer["fields"].values():
        assert set(field) == {"value", "source", "at"} and field["source"] == provider and field["at"].endswith("Z")


async def filled_as_told(served: Served, session: Any, answer: Any) -> None:
    profile = await me(served, session)
    told_of = {name: answer["fields"].get(name, {"value": None})["value"] for name in PROFILE}
    assert {name: profile[name] for name in PROFILE} == told_of
    assert profile["enrichment"] == answer


def counts(position: str, tries: int) -> range:
    # A GET on a kept connection that is reset is sent a second time by aiohttp itself.
    return range(tries, 2 * tries + 1 if position == "reset" else tries + 1)


async def sign_up(served: Served) -> Any:
    return await served.api.sign_up("grace", email=ADDRESS)


@pytest.mark.parametrize("position", CLEARBIT)
async def test_clearbit(position: str, serve: Serve, ahead: Ahead, monkeypatch: pytest.MonkeyPatch,
                        caplog: pytest.LogCaptureFixture) -> None:
    shorten(monkeypatch, position)
    served = await serve(ATTEMPTS)
    await served.api.switch(served.sandbox, "clearbit", find=position)
    await served.api.switch(served.sandbox, "hunter", verifier="valid", find="404")
    session = await sign_up(served)
    answer = await the_answer(served, session, ahead)
    kind = CLEARBIT[position]["kind"]
    assert answer["status"] == OVER.get(kind, "not_found")
    shape(answer, "clearbit" if kind == "found" else None)
    await filled_as_told(served, session, answer)
    tries = 2 if kind in AGAIN else 1
    assert answer["attempts"] == tries
    assert await asked(served, "clearbit", "find") in counts(position, tries)
    assert await asked(served, "hunter", "find") == (0 if kind in ("found", "claimed") else 1)
    assert (await served.api.calls(served.sandbox, "elsewhere"))["total"] == 0
    await no_leak(served, caplog)


@pytest.mark.parametrize("position", HUNTER_FIND)
async def test_hunter(position: str, serve: Serve, ahead: Ahead, monkeypatch: pytest.MonkeyPatch,
                      caplog: pytest.LogCaptureFixture) -> None:
    shorten(monkeypatch, position)
    served = await serve(ATTEMPTS | {"enrichment.providers": "hunter"})
    await served.api.switch(served.sandbox, "hunter", verifier="valid", find=position)
    session = await sign_up(served)
    answer = await the_answer(served, session, ahead)
    kind = HUNTER_FIND[position]["kind"]
    assert answer["status"] == OVER.get(kind, "failed")  # the only one there is, and switched off: nobody can be asked
    shape(answer, "hunter" if kind == "found" else None)
    await filled_as_told(served, session, answer)
    assert await asked(served, "hunter", "find") in counts(position, 2 if kind in AGAIN else 1)
    assert await asked(served, "clearbit", "find") == 0
    assert (await served.api.calls(served.sandbox, "elsewhere"))["total"] == 0
    await no_leak(served, caplog)


@pytest.mark.parametrize("position", GRAVATAR)
async def test_gravatar(position: str, serve: Serve, ahead: Ahead, monkeypatch: pytest.MonkeyPatch,
                        caplog: pytest.LogCaptureFixture) -> None:
    shorten(monkeypatch, position)
    served = await serve(ATTEMPTS | {"enrichment.providers": "gravatar"})
    await served.api.switch(served.sandbox, "hunter", verifier="valid")
    await served.api.switch(served.sandbox, "gravatar", profile=position)
    session = await sign_up(served)
    answer = await the_answer(served, session, ahead)
    kind = GRAVATAR[position]["kind"]
    assert answer["status"] == OVER.get(kind, "failed")
    shape(answer, "gravatar" if kind == "found" else None)
    await filled_as_told(served, session, answer)
    assert await asked(served, "gravatar", "profile", ADDRESS) in counts(position, 2 if kind in AGAIN else 1)
    assert await asked(served, "clearbit", "find") == await asked(served, "hunter", "find") == 0
    assert (await served.api.calls(served.sandbox, "elsewhere"))["total"] == 0
    await no_leak(served, caplog)


@pytest.mark.parametrize("position", VERIFIER)
async def test_verifier(position: str, serve: Serve, ahead: Ahead, caplog: pytest.LogCaptureFixture) -> None:
    served = await serve(ATTEMPTS | {"hunter.timeout": "100 ms" if position == "hang" else "2 s"})
    for job in served.foyer.worker._handlers.values():
        if job.kind == "verify_email":
            job._timeout = 0.1 if position == "hang" else 2.0  # type: ignore[attr-defined]
    await served.api.switch(served.sandbox, "hunter", verifier=position)
    body = {"username": "grace", "email": ADDRESS, "password": PASSWORD}
    answer = await served.api.post("/api/signup", body)
    expected = VERIFIER[position]
    if expected.get("status") in REJECTED:
        assert answer.status == 422 and answer.code == "email_undeliverable" and "email" in answer.fields
        assert (await served.api.get("/api/users/grace")).status == 404
    else:
        await _signed_up(served, answer.data, position, ahead)
    await no_leak(served, caplog)


async def _signed_up(served: Served, session: Any, position: str, ahead: Ahead) -> None:
    expected = VERIFIER[position]
    kind = expected["kind"]
    at_once = {"verdict": expected.get("status"), "claimed": "unknown"}.get(kind, "pending")
    if kind == "off" and expected["reason"] == "key":
        at_once = "unchecked"
    assert session["user"]["email_status"] == at_once
    await settled(served, ahead)
    assert (await me(served, session))["email_status"] == ("unknown" if at_once == "pending" else at_once)
    verified = await told(served, session, "email_verified")
    assert verified == ([{"email_status": "unknown"}] if at_once == "pending" else [])
    assert len(await told(served, session)) == 1
    assert await asked(served, "hunter", "verifier") in counts(position, 3 if at_once == "pending" else 1)


@pytest.mark.parametrize("position, least", [
    ("429", 30), ("429-retry-after", 11), ("429-skewed", 120), ("503-retry-after", 7)])
async def test_a_wait_that_was_told_is_kept(position: str, least: float, serve: Serve, ahead: Ahead) -> None:
    served = await serve(TOLD_ONLY)
    await served.api.switch(served.sandbox, "clearbit", find=[position, "found"])
    session = await sign_up(served)
    waits = await settled(served, ahead)
    assert len(waits) == 1 and least - 1 < waits[0] <= least + 11, waits
    assert [answer["status"] for answer in await told(served, session)] == ["found"]
    assert await asked(served, "clearbit", "find") == 2
