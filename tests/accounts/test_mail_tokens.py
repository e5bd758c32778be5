"""Tokens that are not exactly one that came by mail, for this door, and is still good: all are refused alike."""
from __future__ import annotations

import asyncio
import base64
import hashlib
import string
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.mail.links import Links
from server.storage import Tx
from tests.accounts.conftest import HandClock
from tests.accounts.letters import (
    NEW, confirm, confirmed, login, me, moved, reset, reset_token, sent, token, want, without_id,
)
from tests.accounts.test_erasure import leave
from tests.support import Answer, Served
from tests.web.hostile import problem

pytestmark = pytest.mark.usefixtures("promptly")
Use = Callable[[Served, str], Awaitable[Answer]]
Replay = Callable[[Served, HandClock], Awaitable[list[tuple[str, str]]]]
DOORS: dict[str, Use] = {"confirm": confirm, "reset": reset}
LETTERS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"  # by their values
ADA = "ada@example.org"


async def _good(served: Served, purpose: str) -> str:
    await served.api.sign_up("ada")
    confirming = await token(served, ADA, "confirm")
    return confirming if purpose == "confirm" else await reset_token(served, ADA)


def _other(letter: str) -> str:
    return LETTERS[(LETTERS.index(letter) + 16) % 64]


def forged(good: str, link: Any) -> list[str]:
    """What somebody may try who has seen a good one, or the database."""
    raw = base64.urlsafe_b64decode(good + "==")
    first = LETTERS.index(good[-1]) // 16 * 16
    return sorted({
        *[good[:at] + _other(good[at]) + good[at + 1:] for at in range(22)],
        *[good[:-1] + letter for letter in LETTERS[first:first + 16]],  # the same 16 bytes
        *[good[:at] for at in (1, 11, 20, 21)], good[1:], good[::-1], good * 2, good.swapcase(), good.upper() + "a",
        good + "=", good + "==", good + "A", "A" + good, good + " ", " " + good, good + "\n",
        good[:11] + " " + good[11:], "".join(chr(ord(letter) + 0xfee0) for letter in good), raw.hex(),
        base64.b64encode(raw).decode(), "A" * 22, "_" * 22, "*" * 22, "' OR 1=1 --", "%", "null", "0",
        str(link["id"]), link["hash"], link["nonce"],
        base64.urlsafe_b64encode(bytes.fromhex(link["nonce"])).decode().rstrip("="),
        hashlib.sha256(good.encode()).hexdigest(), f"#token={good}", f"token={good}",
        Links("another secret, of 32 characters or more", str).url(link["purpose"], link["nonce"])[-22:],
    } - {good})


@pytest.mark.parametrize("purpose", DOORS)
async def test_forged_ones_are_refused_with_one_answer(server: Served, purpose: str) -> None:
    good = await _good(server, purpose)

    async def newest(tx: Tx) -> Any:
        return await tx.one("SELECT * FROM links WHERE purpose = $1", purpose)
    tried = forged(good, await server.foyer.database.read(newest))
    assert len(tried) >= 70
    answers = [await DOORS[purpose](server, each) for each in tried]
    assert {problem(answer, 422) for answer in answers} == {"token_invalid"}
    assert len({without_id(answer) for answer in answers}) == 1
    assert answers[0].fields == {"token": "token_invalid"} and good not in answers[0].raw.decode()
    assert (await DOORS[purpose](server, good)).status == 204  # none of them has used it up


async def _used(served: Served, clock: HandClock) -> list[tuple[str, str]]:
    await served.api.sign_up("used", email="used@example.org")
    first = await token(served, "used@example.org", "confirm")
    second = await reset_token(served, "used@example.org")
    assert (await confirm(served, first)).status == (await reset(served, second)).status == 204
    return [("confirm", first), ("reset", second)]


async def _expired(served: Served, clock: HandClock) -> list[tuple[str, str]]:
    await served.api.sign_up("late", email="late@example.org")
    first = await token(served, "late@example.org", "confirm")
    second = await reset_token(served, "late@example.org")
    clock.wait(3 * 86400 + 1)
    return [("confirm", first), ("reset", second)]


async def _of_the_other_door(served: Served, clock: HandClock) -> list[tuple[str, str]]:
    await served.api.sign_up("other", email="other@example.org")
    first = await token(served, "other@example.org", "confirm")
    return [("reset", first), ("confirm", await reset_token(served, "other@example.org"))]


async def _of_somebody_who_left(served: Served, clock: HandClock) -> list[tuple[str, str]]:
    session = await served.api.sign_up("gone", email="gone@example.org")
    first = await token(served, "gone@example.org", "confirm")
    second = await reset_token(served, "gone@example.org")
    assert (await leave(served, session["access_token"])).status == 204
    await served.api.sign_up("gone", email="gone@example.org")  # it is not theirs either
    return [("confirm", first), ("reset", second)]


async def _of_an_address_given_up(served: Served, clock: HandClock) -> list[tuple[str, str]]:
    access = (await served.api.sign_up("moved", email="old@example.org"))["access_token"]
    first = await token(served, "old@example.org", "confirm")
    second = await reset_token(served, "old@example.org")
    await moved(served, access, "new@example.org")
    return [("confirm", first), ("reset", second)]


async def _of_an_address_wanted_before(served: Served, clock: HandClock) -> list[tuple[str, str]]:
    access = (await served.api.sign_up("undecided", email="u@example.org"))["access_token"]
    await want(served, access, "u1@example.org")
    first = await token(served, "u1@example.org", "confirm_new")
    await want(served, access, "u2@example.org")
    second = await token(served, "u2@example.org", "confirm_new")
    await want(served, access, "u@example.org")  # as it was
    return [("confirm", first), ("confirm", second)]


async def _of_a_password_changed_since(served: Served, clock: HandClock) -> list[tuple[str, str]]:
    session = await served.api.sign_up("changed", email="changed@example.org")
    given = await reset_token(served, "changed@example.org")
    body = {"current": "corr3ct-horse", "new": NEW}
    assert (await served.api.post("/api/me/password", body, token=session["access_token"])).status == 204
    return [("reset", given)]


REPLAYS = [_used, _of_the_other_door, _of_somebody_who_left, _of_an_address_given_up, _of_an_address_wanted_before,
           _of_a_password_changed_since, _expired]


@pytest.mark.parametrize("replay", REPLAYS)
async def test_replayed_ones_are_refused_like_those_that_never_were(server: Served, clock: HandClock,
                                                                    replay: Replay) -> None:
    for purpose, given in await replay(server, clock):
        answers = [await DOORS[purpose](server, each) for each in (given, given, "A" * 22)]
        assert {problem(answer, 422) for answer in answers} == {"token_invalid"}
        assert len({without_id(answer) for answer in answers}) == 1, purpose


async def test_a_link_is_its_own_members(server: Served) -> None:
    """Whoever is signed in: what counts is the token."""
    ada = (await server.api.sign_up("ada"))["access_token"]
    bob = (await server.api.sign_up("bob"))["access_token"]
    given = await token(server, ADA, "confirm")
    assert (await confirm(server, given, headers={"Authorization": f"Bearer {bob}"})).status == 204
    assert (await me(server, ada))["email_confirmed_at"] and not (await me(server, bob))["email_confirmed_at"]


async def test_tokens_of_the_same_form_differ(server: Served) -> None:
    names = [f"ada{number}" for number in range(12)]
    await asyncio.gather(*[server.api.sign_up(name) for name in names])
    tokens = {await token(server, f"{name}@example.org", "confirm") for name in names}
    assert len(tokens) == 12 and {len(given) for given in tokens} == {22}


async def test_a_body_without_a_token_is_no_guess(server: Served) -> None:
    for path, rest in (("/api/email/confirm", {}), ("/api/password/reset", {"password": NEW})):
        for given, code in ((None, "wrong_type"), ("", "too_short"), ("x" * 201, "too_long"), (7, "wrong_type")):
            answer = await server.api.post(path, {"token": given, **rest})
            assert problem(answer, 422) == "invalid_fields" and answer.fields == {"token": code}
        assert (await server.api.post(path, {**rest})).fields == {"token": "required"}
    assert problem(await server.api.post("/api/email/confirm?token=x"), 400)


async def test_opening_the_page_confirms_nothing(server: Served) -> None:
    """A mail scanner that follows every link does no harm: only the page's script POSTs the token."""
    access = (await server.api.sign_up("ada"))["access_token"]
    letter = await sent(server, ADA, "confirm")
    for link in letter["links"]:
        for method in ("GET", "HEAD"):
            async with server.api.session.request(method, link) as response:
                assert response.status < 400
    assert (await me(server, access))["email_confirmed_at"] is None
    await confirmed(server, ADA)
    assert (await login(server)).data["user"]["email_confirmed_at"]
