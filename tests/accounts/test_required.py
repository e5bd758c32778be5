"""`[auth] require_confirmed_email`: what has to wait until the mailbox has been shown to be the member's."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.ops import administrators
from tests.accounts.letters import (
    NEW, confirmed, count, login, me, moved, quiet, reset, reset_token, sent, token, want, without_id,
)
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Served, frame
from tests.web.hostile import problem

ADA = "ada@example.org"


async def requiring(serve: Serve, needed: str) -> Served:
    """A server with that setting."""
    return await serve({"auth.require_confirmed_email": needed})


async def _write(served: Served, access: str, **options: Any) -> Answer:
    return await served.api.post("/api/posts", {"title": "a", "text": "b"}, token=access, **options)


async def _like(served: Served, access: str, post: Any, method: str = "PUT") -> Answer:
    return await served.api.call(method, f"/api/posts/{post['id']}/like", token=access)


async def _change(served: Served, access: str, post: Any, **fields: str) -> Answer:
    return await served.api.call("PATCH", f"/api/posts/{post['id']}", json=fields, token=access)


async def _unconfirm(served: Served, id_: int) -> None:
    """As if the setting came after the member."""
    async def unconfirm(tx: Any) -> None:
        await tx.run("UPDATE users SET email_confirmed_at = NULL WHERE id = $1", id_)
    await served.foyer.database.write(unconfirm)


@pytest.mark.parametrize("needed", ["write", "yes", "login"])
async def test_posts_and_likes_wait(serve: Serve, needed: str) -> None:
    server = await requiring(serve, needed)
    bob = (await server.api.sign_up("bob"))["access_token"]
    await confirmed(server, "bob@example.org")
    post = await server.api.write_post(bob)
    access = (await server.api.sign_up("ada"))["access_token"]
    for refused in (await _write(server, access), await _like(server, access, post),
                    await _write(server, access, headers={"Idempotency-Key": "k"})):
        assert problem(refused, 403) == "email_unconfirmed"
    assert [shown["like_count"] for shown in (await server.api.get("/api/posts", token=access)).data] == [0]
    await confirmed(server, ADA)
    assert (await _write(server, access, headers={"Idempotency-Key": "another"})).status == 201
    own = (await _write(server, access)).data
    assert (await _like(server, access, post)).data["like_count"] == 1
    assert (await _change(server, access, own, title="c")).data["title"] == "c"


async def test_without_it_nothing_waits(server: Served) -> None:
    access, bob = [(await server.api.sign_up(name))["access_token"] for name in ("ada", "bob")]
    own = (await _write(server, access)).data
    assert (await _change(server, access, own, title="c")).status == 200
    assert (await _like(server, bob, own)).status == 200
    assert (await login(server)).status == 200


@pytest.mark.parametrize("needed", ["write", "login"])
async def test_reading_deleting_and_the_account_go_on(serve: Serve, needed: str) -> None:
    server = await requiring(serve, needed)
    session = await server.api.sign_up("ada")
    access, bob = session["access_token"], (await server.api.sign_up("bob"))["access_token"]
    for name in ("ada", "bob"):
        await confirmed(server, f"{name}@example.org")
    theirs, own, other = [await server.api.write_post(who) for who in (bob, access, access)]
    await _like(server, access, theirs)
    await _unconfirm(server, session["user"]["id"])
    assert problem(await _change(server, access, own, title="c"), 403) == "email_unconfirmed"
    assert problem(await _change(server, access, theirs, title="c"), 403) == "forbidden"
    for path in ("/api/posts", f"/api/posts/{own['id']}", "/api/me", "/api/events?after=0", "/api/sessions",
                 "/api/me/export", "/api/users/ada", "/api/referrals"):
        assert (await server.api.get(path, token=access)).status == 200, path
    assert (await _like(server, access, theirs, "DELETE")).data["like_count"] == 0
    assert (await server.api.call("DELETE", f"/api/posts/{own['id']}", token=access)).status == 204
    assert (await server.api.call("PATCH", "/api/me", json={"bio": "x"}, token=access)).status == 200
    refreshed = await server.api.post("/api/token/refresh", {"refresh_token": session["refresh_token"]})
    assert refreshed.status == 200
    socket = await server.socket(access)
    await frame(socket, "ready")
    await socket.close()
    assert (await server.api.call("DELETE", "/api/me", json={"password": PASSWORD}, token=access)).status == 204
    problem(await server.api.get(f"/api/posts/{other['id']}"), 404)


async def test_a_wanted_address_does_not_take_back_what_was_confirmed(serve: Serve) -> None:
    server = await requiring(serve, "login")
    access = (await server.api.sign_up("ada"))["access_token"]
    await confirmed(server, ADA)
    await want(server, access, "other@example.org")
    assert (await _write(server, access)).status == 201 and (await login(server)).status == 200
    await confirmed(server, "other@example.org", "confirm_new")
    assert (await _write(server, access)).status == 201 and (await login(server)).status == 200


async def test_the_first_confirmation_may_be_that_of_another_address(serve: Serve) -> None:
    server = await requiring(serve, "write")
    access = (await server.api.sign_up("ada", email="ada+bounce@example.org"))["access_token"]
    await moved(server, access, ADA)
    assert (await _write(server, access)).status == 201


async def test_signing_in_waits_and_sends_another_letter(serve: Serve) -> None:
    server = await requiring(serve, "login")
    access = (await server.api.sign_up("ada"))["access_token"]
    assert (await me(server, access))["email_confirmed_at"] is None  # the sign-up's own session works
    await sent(server, ADA, "confirm")
    refused = await login(server)
    assert problem(refused, 403) == "email_unconfirmed" and "Set-Cookie" not in refused.headers
    await token(server, ADA, "confirm", 2)
    for name, password in (("ada", "wr0ng-horse"), ("nobody", PASSWORD)):
        assert problem(await login(server, name, password), 401) == "bad_credentials"
    assert await count(server, ADA, "confirm") == 2
    assert len((await server.api.get("/api/sessions", token=access)).data) == 1
    await confirmed(server, ADA, "confirm", 2)
    assert (await login(server)).data["user"]["email_confirmed_at"]


async def test_without_the_first_letter_and_the_first_session_there_is_a_way_in(serve: Serve) -> None:
    server = await requiring(serve, "login")
    await server.api.switch(server.sandbox, "mail", deliver="550")
    access = (await server.api.sign_up("ada"))["access_token"]
    await quiet(server)
    assert (await server.api.post("/api/logout", token=access)).status == 204
    await server.api.switch(server.sandbox, "mail", deliver="250")
    problem(await login(server), 403)
    await confirmed(server, ADA)
    assert (await login(server)).status == 200


async def test_the_letters_of_refused_sign_ins_are_limited_and_the_answer_stays(serve: Serve) -> None:
    server = await requiring(serve, "login")
    await server.api.sign_up("ada")
    answers = [await login(server) for _ in range(9)]
    assert {problem(answer, 403) for answer in answers} == {"email_unconfirmed"}
    assert len({without_id(answer) for answer in answers}) == 1
    assert await count(server, ADA, "confirm") == 1 + 5
    await confirmed(server, ADA, "confirm", 6)
    assert (await login(server)).status == 200


async def test_a_reset_lets_in(serve: Serve, promptly: None) -> None:
    server = await requiring(serve, "login")
    await server.api.sign_up("ada")
    assert (await reset(server, await reset_token(server, ADA))).status == 204
    answer = await login(server, password=NEW)
    assert answer.status == 200 and (await _write(server, answer.data["access_token"])).status == 201


async def test_who_was_there_before_the_setting_is_not_thrown_out(serve: Serve) -> None:
    server = await serve()
    access = (await server.api.sign_up("ada"))["access_token"]
    await quiet(server)
    await server.stop()
    server = await requiring(serve, "login")
    assert (await server.api.get("/api/me", token=access)).status == 200
    problem(await login(server), 403)
    await confirmed(server, ADA)
    assert (await login(server)).status == 200


@pytest.mark.parametrize("needed", ["write", "login"])
async def test_an_administrator_of_the_command_needs_no_letter(serve: Serve, needed: str) -> None:
    server = await requiring(serve, needed)
    password = await asyncio.to_thread(administrators.create, server.settings, "root", "root@example.org")
    answer = await login(server, "root", password)
    assert answer.data["user"]["role"] == "admin" and answer.data["user"]["email_confirmed_at"]
    assert (await _write(server, answer.data["access_token"])).status == 201


@pytest.mark.parametrize("needed", ["write", "login"])
async def test_a_sign_up_through_a_code_counts_once_it_is_confirmed(serve: Serve, needed: str) -> None:
    server = await requiring(serve, needed)
    inviter = await server.api.sign_up("ada")
    access, code = inviter["access_token"], inviter["user"]["referral_code"]
    newcomer = await server.api.sign_up("bob", referral_code=code)

    async def standing() -> tuple[int, int, int]:
        ada = (await server.api.get("/api/referrals", token=access)).data
        bob = (await server.api.get("/api/referrals", token=newcomer["access_token"])).data
        return ada["invited"], ada["counted"], bob["balance"]
    assert newcomer["referral"] == {"status": "applied"} and await standing() == (1, 0, 0)
    await confirmed(server, "bob@example.org")
    assert await standing() == (1, 1, 1000)
    await moved(server, newcomer["access_token"], "bob@example.net")
    assert await standing() == (1, 1, 1000)
