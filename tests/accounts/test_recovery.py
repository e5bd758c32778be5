"""A forgotten password: the same answer to everybody, and a link that sets a new one."""
from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from server.accounts import recovery
from server.storage import Tx
from tests.accounts.conftest import HandClock
from tests.accounts.letters import (
    NEW, confirm, confirmed, count, events, forgot, login, me, quiet, reset, reset_token, sent, token, without_id,
)
from tests.conftest import Serve
from tests.support import PASSWORD, Served, close_code, frame, until
from tests.web.hostile import problem

ADA = "ada@example.org"
STRANGER = "nobody.whatsoever@strangers.example"
pytestmark = pytest.mark.usefixtures("promptly")


async def test_the_answer_is_the_same_for_everybody(server: Served) -> None:
    await server.api.sign_up("ada")
    answers = [await forgot(server, email) for email in (ADA, STRANGER, "ADA@example.org", ADA, "ada+x@example.org")]
    assert {(answer.status, answer.raw) for answer in answers} == {(202, b'{"data":{"accepted":true}}')}
    answer = await forgot(server, "ada")  # a name is no address
    assert problem(answer, 422) == "invalid_fields" and set(answer.fields) == {"email"}


async def test_an_address_that_is_nobodys_leaves_no_trace(server: Served) -> None:
    await server.api.sign_up("ada")
    for number in range(3):
        await forgot(server, STRANGER, headers={"Idempotency-Key": f"key-{number}"})
    await quiet(server)
    assert await server.mails(STRANGER) == []
    stored = b"".join(server.stored().values())
    assert ADA.encode() in stored and STRANGER.encode() not in stored and b"strangers.example" not in stored


async def test_a_new_password(server: Served) -> None:
    first = await server.api.sign_up("ada")
    second = (await login(server)).data
    sockets = [await server.socket(one["access_token"]) for one in (first, second)]
    for socket in sockets:
        await frame(socket, "ready")
    answer = await reset(server, await reset_token(server, ADA))
    assert (answer.status, answer.raw) == (204, b"") and "Set-Cookie" not in answer.headers
    for one in (first, second):
        problem(await server.api.get("/api/me", token=one["access_token"]), 401)
        problem(await server.api.post("/api/token/refresh", {"refresh_token": one["refresh_token"]}), 401)
    assert [await close_code(socket) for socket in sockets] == [4401, 4401]
    problem(await login(server), 401)
    assert (await login(server, password=NEW)).status == 200
    letter = await sent(server, ADA, "password_changed")
    assert not [link for link in letter["links"] if "#" in link] and NEW not in str(letter)


async def test_others_keep_their_sessions(server: Served) -> None:
    await server.api.sign_up("ada")
    bob = (await server.api.sign_up("bob"))["access_token"]
    assert (await reset(server, await reset_token(server, ADA))).status == 204
    assert (await server.api.get("/api/me", token=bob)).status == 200
    assert (await login(server, "bob")).status == 200


REFUSED = {"password": "too_common", "short": "too_short", "x" * 129: "too_long", "AdaTheCountess": "is_the_name",
           "ada.c@example.org": "is_the_name", "Ada.C@Example.org": "is_the_name"}


async def test_a_refused_password_does_not_use_the_link_up(server: Served) -> None:
    await server.api.sign_up("AdaTheCountess", email="ada.c@example.org")
    given = await reset_token(server, "ada.c@example.org")
    for password, code in REFUSED.items():
        answer = await reset(server, given, password)
        assert problem(answer, 422) == "invalid_fields" and answer.fields == {"password": code}
    assert (await login(server, "AdaTheCountess")).status == 200
    assert (await reset(server, given)).status == 204
    problem(await reset(server, given), 422)


async def test_a_bad_link_does_not_say_whether_the_password_is_a_name(server: Served) -> None:
    await server.api.sign_up("AdaTheCountess")
    answers = [await reset(server, "A" * 22, password) for password in ("AdaTheCountess", NEW)]
    assert {problem(answer, 422) for answer in answers} == {"token_invalid"}
    assert without_id(answers[0]) == without_id(answers[1])


async def test_fifty_at_once_set_one_password(server: Served) -> None:
    await server.api.sign_up("ada")
    given = await reset_token(server, ADA)
    passwords = [f"an0ther-good-{number}" for number in range(50)]
    answers = await asyncio.gather(*[reset(server, given, password) for password in passwords])
    assert Counter(answer.status for answer in answers) == {204: 1, 422: 49}
    assert {problem(answer) for answer in answers if answer.status == 422} == {"token_invalid"}
    (good,) = [password for password, answer in zip(passwords, answers, strict=True) if answer.status == 204]
    assert (await login(server, password=good)).status == 200
    assert await count(server, ADA, "password_changed") == 1


async def test_over_an_idempotency_key_the_answer_comes_again(server: Served) -> None:
    await server.api.sign_up("ada")
    given = await reset_token(server, ADA)
    answers = [await reset(server, given, headers={"Idempotency-Key": "k"}) for _ in range(3)]
    assert {answer.status for answer in answers} == {204}
    problem(await reset(server, given, "an0ther-good-two", headers={"Idempotency-Key": "k"}), 422)
    assert (await login(server, password=NEW)).status == 200
    assert await count(server, ADA, "password_changed") == 1


async def test_a_used_link_uses_up_the_others(server: Served) -> None:
    await server.api.sign_up("ada")
    first, second = await reset_token(server, ADA), await reset_token(server, ADA, 2)
    assert (await reset(server, second)).status == 204
    problem(await reset(server, first, "an0ther-good-two"), 422)
    assert (await login(server, password=NEW)).status == 200


async def test_it_proves_the_mailbox(server: Served) -> None:
    await server.api.sign_up("ada")
    confirming = await token(server, ADA, "confirm")
    assert (await reset(server, await reset_token(server, ADA))).status == 204
    access = (await login(server, password=NEW)).data["access_token"]
    user = await me(server, access)
    assert await events(server, access, "email_confirmed") == [
        {"email": ADA, "email_status": "valid", "email_confirmed_at": user["email_confirmed_at"]}]
    await reset(server, await reset_token(server, ADA, 2), PASSWORD)
    access = (await login(server)).data["access_token"]
    assert (await me(server, access))["email_confirmed_at"] == user["email_confirmed_at"]
    assert len(await events(server, access, "email_confirmed")) == 1
    await confirm(server, confirming)
    assert len(await events(server, access, "email_confirmed")) == 1


async def test_a_link_lives_an_hour(server: Served, clock: HandClock) -> None:
    await server.api.sign_up("ada")
    first, second = await reset_token(server, ADA), await reset_token(server, ADA, 2)
    clock.wait(3540)
    assert (await server.api.post("/api/password/reset", {"token": first, "password": "password"})).fields == {
        "password": "too_common"}
    clock.wait(61)
    problem(await reset(server, first), 422)
    problem(await reset(server, second), 422)
    assert (await login(server)).status == 200


async def test_a_changed_password_makes_links_useless(server: Served) -> None:
    access = (await server.api.sign_up("ada"))["access_token"]
    given = await reset_token(server, ADA)
    changed = await server.api.post("/api/me/password", {"current": PASSWORD, "new": NEW}, token=access)
    assert changed.status == 204
    problem(await reset(server, given, "an0ther-good-two"), 422)
    assert (await login(server, password=NEW)).status == 200
    assert await count(server, ADA, "password_changed") == 1


async def test_beside_a_change_of_the_password_one_of_both_counts(server: Served) -> None:
    for number in range(6):
        name = f"ada{number}"
        access = (await server.api.sign_up(name))["access_token"]
        given = await reset_token(server, f"{name}@example.org")
        changed, answer = await asyncio.gather(
            server.api.post("/api/me/password", {"current": PASSWORD, "new": "an0ther-good-two"}, token=access),
            reset(server, given))
        # Who is second proves once more: with a session that has ended, an old password, or a link that is no longer.
        assert (changed.status, answer.status) in ((204, 422), (401, 204), (403, 204))
        good, bad = ("an0ther-good-two", NEW) if changed.status == 204 else (NEW, "an0ther-good-two")
        assert (await login(server, name, good)).status == 200
        problem(await login(server, name, bad), 401)
        assert (await server.api.get("/api/me", token=access)).status == (200 if changed.status == 204 else 401)


async def test_a_sign_in_beside_a_reset_does_not_outlive_it(server: Served) -> None:
    await server.api.sign_up("ada")
    given = await reset_token(server, ADA)
    *logins, answer = await asyncio.gather(*[login(server) for _ in range(8)], reset(server, given))
    assert answer.status == 204
    for signed_in in logins:
        assert signed_in.status in (200, 401)
        if signed_in.status == 200:
            problem(await server.api.get("/api/me", token=signed_in.data["access_token"]), 401)


async def test_a_mailbox_gets_five_letters_an_hour(server: Served, clock: HandClock) -> None:
    await server.api.sign_up("ada")
    for number in range(8):
        assert (await forgot(server, ADA)).status == 202
        await quiet(server)
    assert await count(server, ADA, "reset") == 5
    clock.wait(721)
    await forgot(server, ADA)
    await sent(server, ADA, "reset", 6)
    assert (await reset(server, await token(server, ADA, "reset", 6))).status == 204


async def test_the_limit_holds_at_once_and_over_a_restart(serve: Serve) -> None:
    server = await serve()
    await server.api.sign_up("ada")
    answers = await asyncio.gather(*[forgot(server, ADA) for _ in range(20)])
    assert {answer.status for answer in answers} == {202}
    assert 1 <= await count(server, ADA, "reset") <= 5
    for _ in range(5):
        await forgot(server, ADA)
        await quiet(server)
    assert await count(server, ADA, "reset") == 5
    await server.stop()
    server = await serve()
    assert (await forgot(server, ADA)).status == 202
    assert await count(server, ADA, "reset") == 0  # the stand-in is a new one


async def test_the_letter_is_written_at_no_certain_time(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    await server.api.sign_up("ada")

    async def waits(tx: Tx) -> list[int]:
        rows = await tx.all("SELECT run_at - created_at AS wait FROM jobs WHERE kind = 'forgot_password'")
        return [row["wait"] for row in rows]
    for number in range(10):
        await forgot(server, (ADA, STRANGER)[number % 2])
    found = await server.foyer.database.read(waits)
    assert len(found) == 10 and len(set(found)) > 5
    assert all(recovery.SOONEST <= wait <= recovery.LATEST for wait in found) and recovery.SOONEST > 0
    await until(lambda: server.mails(ADA))
    await quiet(server)


async def test_it_opens_no_way_around_a_suspension(server: Served) -> None:
    await server.api.sign_up("ada")
    given = await reset_token(server, ADA)

    async def suspend(tx: Tx) -> None:
        await tx.run("UPDATE users SET suspended_at = 1")
    await server.foyer.database.write(suspend)
    await reset(server, given)
    for password in (PASSWORD, NEW):
        assert (await login(server, password=password)).status in (401, 403)


async def test_a_letter_that_is_refused_locks_nobody_out(server: Served) -> None:
    await server.api.sign_up("ada")
    await confirmed(server, ADA)
    await server.api.switch(server.sandbox, "mail", deliver="550")
    await forgot(server, ADA)
    assert await count(server, ADA, "reset") == 0
    await server.api.switch(server.sandbox, "mail", deliver="250")
    assert (await reset(server, await reset_token(server, ADA))).status == 204
