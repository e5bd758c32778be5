"""Who is suspended is out at once, everywhere, and stays out; afterwards they sign in anew."""
from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.accounts.letters import NEW, login, reset, reset_token
from tests.admin.support import Desk, rows, whole, written
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Served, close_code, frame, until
from tests.web.hostile import problem
from tests.ws.event_source import listening

SECOND = 1.0
OPEN = """
    SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.ended_at IS NULL AND u.suspended_at IS NOT NULL"""
ACTIVE = "SELECT id FROM users WHERE role = 'admin' AND suspended_at IS NULL"


async def out(served: Served, session: Any) -> None:
    """Neither of the session's tokens is good, on either lane."""
    token = session["access_token"]
    problem(await served.api.get("/api/me", token=token), 401)
    problem(await served.api.get("/api/posts", token=token), 401)
    problem(await served.api.post("/api/posts", {"title": "t", "text": "x"}, token=token), 401)
    answer = await served.api.post("/api/token/refresh", {"refresh_token": session["refresh_token"]})
    assert problem(answer, 401) == "token_invalid"


async def test_everything_ends_at_once(desk: Desk) -> None:
    served, ada = desk.served, await desk.api.sign_up("ada")
    other, bob = (await login(served)).data, await desk.api.sign_up("bob")
    post = await desk.api.write_post(ada["access_token"])
    for session in (ada, other, bob):
        assert (await desk.api.get("/api/me", token=session["access_token"])).status == 200
    sockets = [await served.socket(each["access_token"]) for each in (ada, other, bob)]
    for socket in sockets:
        await frame(socket, "ready")
    async with listening(served, other) as stream:
        began = time.monotonic()
        shown = await desk.suspend(ada["user"]["id"])
        assert await stream.farewell() == 4401
        assert [await close_code(socket) for socket in sockets[:2]] == [4401, 4401]
        assert time.monotonic() - began < SECOND
    assert shown["suspended_at"] is not None and shown["username"] == "ada"
    for session in (ada, other):
        await out(served, session)
    assert problem(await login(served), 403) == "suspended"
    assert problem(await login(served, password="not the password"), 401) == "bad_credentials"
    assert (await desk.api.get(f"/api/posts/{post['id']}")).data["author"]["username"] == "ada"
    assert (await desk.api.get("/api/users/ada")).status == 200
    await sockets[2].send_json({"type": "ping"})
    while (await sockets[2].receive_json(timeout=10))["type"] != "pong":
        pass
    assert (await desk.api.get("/api/me", token=bob["access_token"])).status == 200
    await sockets[2].close()
    await whole(served)


async def test_a_socket_that_signs_in_by_its_first_frame_is_refused(desk: Desk) -> None:
    ada = await desk.api.sign_up("ada")
    await desk.suspend(ada["user"]["id"])
    for headers in (ada["access_token"], None):
        socket = await desk.served.socket(headers)
        if headers is None:
            await socket.send_json({"type": "auth", "token": ada["access_token"]})
        assert await close_code(socket) == 4401


async def test_twice_changes_nothing(desk: Desk) -> None:
    ada = (await desk.api.sign_up("ada"))["user"]["id"]
    first = await desk.suspend(ada)
    assert await desk.suspend(ada) == first
    assert (await desk.restore(ada))["suspended_at"] is None
    assert (await desk.restore(ada))["suspended_at"] is None
    assert (await desk.restore(desk.id))["username"] == "root"
    acts = await desk.acts("member_suspended", "member_restored")
    assert [(act["act"], act["actor_id"], act["member_id"]) for act in acts] == [
        ("member_suspended", desk.id, ada), ("member_restored", desk.id, ada)]
    assert all(act["address"] == "127.0.0.1" and act["details"] == "{}" for act in acts)


async def test_afterwards_the_member_signs_in_anew(desk: Desk) -> None:
    served, ada = desk.served, await desk.api.sign_up("ada")
    await desk.suspend(ada["user"]["id"])
    await desk.restore(ada["user"]["id"])
    await out(served, ada)
    anew = (await login(served)).data
    assert (await desk.api.get("/api/me", token=anew["access_token"])).data["username"] == "ada"
    await out(served, ada)
    assert len((await desk.api.get("/api/sessions", token=anew["access_token"])).data) == 1


async def test_who_is_not_there_and_oneself(desk: Desk) -> None:
    for deed in ("suspend", "restore"):
        problem(await desk.post(f"users/77/{deed}"), 404)
    assert problem(await desk.post(f"users/{desk.id}/suspend"), 403) == "own_account"
    ada = (await desk.api.sign_up("ada"))["access_token"]
    for deed in ("suspend", "restore"):
        assert problem(await desk.api.post(f"/api/admin/users/{desk.id}/{deed}", token=ada), 403) == "forbidden"
        problem(await desk.api.post(f"/api/admin/users/{desk.id}/{deed}"), 401)
    assert await desk.acts("member_suspended", "member_restored") == []


async def test_with_an_idempotency_key_the_first_answer_comes_again(desk: Desk) -> None:
    ada = (await desk.api.sign_up("ada"))["user"]["id"]
    key = {"Idempotency-Key": "once"}
    first = await desk.post(f"users/{ada}/suspend", headers=key)
    await desk.restore(ada)
    assert (await desk.post(f"users/{ada}/suspend", headers=key)).raw == first.raw
    assert (await desk.get("users", q="ada")).data[0]["suspended_at"] is None


async def test_an_administrator_has_no_power_left(desk: Desk) -> None:
    other = await Desk.of(desk.served, "second")
    ada = (await desk.api.sign_up("ada"))["user"]["id"]
    assert (await other.get("users")).status == 200
    await desk.suspend(other.id)
    for answer in (await other.get("users"), await other.post(f"users/{ada}/suspend"),
                   await other.post(f"users/{desk.id}/suspend"), await other.post(f"users/{other.id}/restore")):
        problem(answer, 401)
    assert (await desk.get("users", q="ada")).data[0]["suspended_at"] is None
    await desk.restore(other.id)
    assert (await login(desk.served, "second")).data["user"]["role"] == "admin"


async def test_of_two_who_suspend_each_other_one_stays(desk: Desk) -> None:
    for number in range(8):
        other = await Desk.of(desk.served, f"second-{number}")
        pair = (desk, other) if number % 2 else (other, desk)
        answers = await asyncio.gather(*(each.post(f"users/{whom.id}/suspend") for each, whom in (pair, pair[::-1])))
        assert sorted(answer.status for answer in answers) in ([200, 401], [200, 403]), number
        assert len(await rows(desk.served, ACTIVE)) == 1
        await written(desk.served, "UPDATE users SET suspended_at = NULL, role = CASE id WHEN $1 THEN 'admin' "
                                   "ELSE 'member' END", desk.id)
        desk.token = (await login(desk.served, "root")).data["access_token"]


async def test_who_was_made_a_member_meanwhile_suspends_nobody(desk: Desk) -> None:
    """The rank that a request came with may be outdated by the time it is carried out."""
    ada = (await desk.api.sign_up("ada"))["user"]["id"]
    assert (await desk.get("users")).status == 200
    await written(desk.served, "UPDATE users SET role = 'member' WHERE id = $1", desk.id)
    assert (await desk.get("users")).status == 200  # remembered: nothing has told this process of it
    assert problem(await desk.post(f"users/{ada}/suspend"), 403) == "forbidden"


async def test_a_new_password_does_not_let_in(serve: Serve, promptly: None) -> None:
    served = await serve()
    desk = await Desk.of(served)
    ada = await served.api.sign_up("ada")
    given = await reset_token(served, "ada@example.org")
    await desk.suspend(ada["user"]["id"])
    assert (await reset(served, given)).status == 204
    assert problem(await login(served, password=NEW), 403) == "suspended"
    problem(await login(served, password=PASSWORD), 401)
    await desk.restore(ada["user"]["id"])
    assert (await login(served, password=NEW)).status == 200


# -- in the same moment

async def test_a_token_that_is_looked_up_meanwhile_is_not_remembered(
        desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    served, ada = desk.served, await desk.api.sign_up("ada")
    gate, token = served.foyer.gate, ada["access_token"]
    reached, go, read = asyncio.Event(), asyncio.Event(), served.foyer.database.read

    async def held(function: Callable[..., Any], *args: Any) -> Any:
        found = await read(function, *args)
        if function.__name__ == "member_of_session" and args[0] != 2:  # not the administrator's
            reached.set()
            await go.wait()
        return found
    assert (await desk.get("users")).status == 200
    gate._members.pop(token, None)
    monkeypatch.setattr(served.foyer.database, "read", held)
    looking = asyncio.create_task(gate.authenticate(token))
    await reached.wait()
    await desk.suspend(ada["user"]["id"])
    go.set()
    await looking
    assert gate.remembered(token) is None
    problem(await served.api.get("/api/me", token=token), 401)


async def opening(desk: Desk, there: Served, name: str) -> None:
    """Somebody is suspended while they open socket after socket; none of them stays."""
    ada = await there.api.sign_up(name)

    async def opened(late: int) -> int | None:
        await asyncio.sleep(late * 0.001)  # so that some come before, some in the middle and some after it
        return await close_code(await there.socket(ada["access_token"]), SECOND)
    sockets = [asyncio.create_task(opened(late)) for late in range(16)]
    await asyncio.sleep(0.004)
    await desk.suspend(ada["user"]["id"])
    assert await asyncio.gather(*sockets) == [4401] * len(sockets)
    await until(lambda: there.foyer.hub.count == 0)


async def test_no_socket_survives_that_opens_in_the_same_moment(desk: Desk) -> None:
    for number in range(5):
        await opening(desk, desk.served, f"ada-{number}")


async def test_a_sign_in_at_the_same_time_leaves_no_session(desk: Desk) -> None:
    ada = (await desk.api.sign_up("ada"))["user"]["id"]

    async def log_in() -> Answer:
        return await login(desk.served)
    for _ in range(5):
        answers = await asyncio.gather(*(log_in() for _ in range(6)), desk.post(f"users/{ada}/suspend"))
        assert answers[-1].status == 200 and {answer.status for answer in answers[:-1]} <= {200, 403}
        for answer in answers[:-1]:
            if answer.status == 200:
                await out(desk.served, answer.data)
        assert await rows(desk.served, OPEN) == []
        await desk.restore(ada)


# -- somebody else's post

async def test_an_administrator_who_deletes_a_post_is_written_down(desk: Desk) -> None:
    ada = await desk.api.sign_up("ada")
    posts = [(await desk.api.write_post(ada["access_token"]))["id"] for _ in range(2)]
    own = (await desk.api.write_post(desk.token))["id"]
    for post, token in ((posts[0], desk.token), (posts[1], ada["access_token"]), (own, desk.token)):
        assert (await desk.api.call("DELETE", f"/api/posts/{post}", token=token)).status == 204
    act, = await desk.acts("post_deleted")
    assert (act["actor_id"], act["member_id"], act["target"], act["address"]) == (
        desk.id, ada["user"]["id"], f"post {posts[0]}", "127.0.0.1")
