"""Two servers on one PostgreSQL: what is done through one is known to the other at once, and done once.

They live in this process, but share nothing besides the database.
"""
from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.accounts import queries
from server.accounts.service import Visitor
from server.ops import check
from server.storage import Tx
from tests import postgres
from tests.proofs.test_equal_requests import MANY, at_once, newcomer, rows, statuses
from tests.support import PASSWORD, Answer, Api, Served, close_code, frame, settings, start, until

SECOND = 1.0
CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'foyer channel'"""

WAITING = """
    SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"""


@dataclass
class Two:
    """The servers, and a client of each."""

    first: Served
    second: Served
    url: str  # of the database

    @property
    def apis(self) -> tuple[Api, Api]:
        return self.first.api, self.second.api

    async def at_once(self, send: Callable[[Api, int], Awaitable[Answer]]) -> list[Answer]:
        """Fifty requests in the same moment, half of them to each."""
        return await at_once(lambda number: send(self.apis[number % 2], number))

    async def sound(self) -> bool:
        """Whether all invariants hold."""
        assert await self.first.foyer.database.read(check.broken) == []
        return True


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    url = postgres.database_of(tmp_path)
    given = {"database.url": url, "auth.secret": "the secret that both of them have", "limits.enabled": "no"}
    started: list[Served] = []
    try:
        for _ in range(2):
            started.append(await start(settings(tmp_path, given)))
        yield Two(*started, url)
    finally:
        for each in started:
            await each.stop()


async def seen(condition: Callable[[], Any]) -> None:
    """It comes to be within a second."""
    await until(condition, SECOND)


# -- what is told


async def test_an_event_reaches_a_socket_of_the_other(two: Two) -> None:
    ada, bob = await two.first.api.sign_up("ada"), await two.second.api.sign_up("bob")
    post = await two.first.api.write_post(ada["access_token"])
    await until(lambda: settled(two.first.api, ada))
    socket = await two.second.socket(ada["access_token"])
    await frame(socket, "ready")
    assert (await two.first.api.call("PUT", f"/api/posts/{post['id']}/like", token=bob["access_token"])).data["liked"]
    while (news := await socket.receive_json(timeout=SECOND))["type"] != "post_liked":
        pass
    assert news["data"]["post_id"] == post["id"] and news["data"]["by"]["username"] == "bob"
    await socket.close()


async def settled(api: Api, session: Any) -> bool:
    """Whether what was begun at the sign-up has ended."""
    status = (await api.get("/api/me/enrichment", token=session["access_token"])).data["status"]
    return status not in ("queued", "running", "pending")


async def _log_out(api: Api, token: str) -> None:
    assert (await api.post("/api/logout", token=token)).status == 204


async def _leave(api: Api, token: str) -> None:
    assert (await api.call("DELETE", "/api/me", token=token, json={"password": PASSWORD})).status == 204


async def _another_password(api: Api, token: str) -> None:
    """From another session, which stays."""
    mine = (await api.post("/api/login", {"username": "ada", "password": PASSWORD})).data["access_token"]
    body = {"current": PASSWORD, "new": PASSWORD + " and more"}
    assert (await api.post("/api/me/password", body, token=mine)).status == 204


@pytest.mark.parametrize("end", [_log_out, _leave, _another_password])
async def test_who_is_out_is_out_on_the_other(two: Two, end: Callable[[Api, str], Awaitable[None]]) -> None:
    token = (await two.first.api.sign_up("ada"))["access_token"]
    assert (await two.second.api.get("/api/me", token=token)).status == 200
    socket = await two.second.socket(token)
    await frame(socket, "ready")
    await end(two.first.api, token)

    async def refused() -> bool:
        return (await two.second.api.get("/api/me", token=token)).status == 401
    await seen(refused)
    assert await close_code(socket, SECOND) == 4401


async def test_what_changes_is_read_from_the_other(two: Two) -> None:
    here, there = two.apis
    ada, bob = (await here.sign_up("ada"))["access_token"], (await there.sign_up("bob"))["access_token"]
    posts = [(await here.write_post(ada, f"Post {number}"))["id"] for number in range(3)]

    async def listed(by: str | None = None, query: str = "") -> list[Any]:
        return list((await there.get(f"/api/posts{query}", token=by)).data)

    async def first(name: str, query: str = "", by: str | None = bob) -> Any:
        found = await listed(by, query)
        return found[0][name] if found else None

    def is_(value: Any, name: str, query: str = "") -> Callable[[], Awaitable[bool]]:
        async def compare() -> bool:
            return bool(await first(name, query) == value)
        return compare
    await seen(is_(posts[2], "id"))
    for _ in range(2):  # so that it stands in the memory of the other
        await listed(bob), await listed(), await listed(bob, "?sort=likes")
    assert (await here.call("PUT", f"/api/posts/{posts[0]}/like", token=bob)).data["like_count"] == 1
    await seen(is_(posts[0], "id", "?sort=likes"))
    await seen(is_(True, "liked", "?sort=likes"))
    await here.call("PATCH", f"/api/posts/{posts[2]}", token=ada, json={"title": "Another"})
    await seen(is_("Another", "title"))
    await here.call("PATCH", "/api/me", token=ada, json={"name": "Ada L"})
    await seen(lambda: is_author(there, posts[0], "Ada L"))
    await here.call("DELETE", f"/api/posts/{posts[2]}", token=ada)
    await seen(is_(posts[1], "id"))
    assert (await there.get(f"/api/posts/{posts[2]}")).status == 404
    await here.call("DELETE", f"/api/posts/{posts[0]}/like", token=bob)
    await seen(is_(False, "liked", "?sort=likes"))
    await _leave(here, ada)

    async def nothing() -> bool:
        return await listed(bob) == []
    await seen(nothing)


async def is_author(api: Api, post_id: int, name: str) -> bool:
    """Whether the post is by somebody with this name."""
    return bool((await api.get(f"/api/posts/{post_id}")).data["author"]["name"] == name)


# -- equal requests, half of them to each


async def test_one_address(two: Two) -> None:
    answers = await two.at_once(lambda api, number: api.post("/api/signup", newcomer(username=f"ada{number}")))
    assert statuses(answers) == {201: 1, 409: MANY - 1}
    assert {answer.code for answer in answers if answer.status == 409} == {"email_taken"}
    assert [await rows(two.second, table) for table in ("users", "sessions", "enrichments")] == [1, 1, 1]


async def test_one_like_and_one_unlike(two: Two) -> None:
    ada, bob = await two.first.api.sign_up(), (await two.second.api.sign_up())["access_token"]
    path = f"/api/posts/{(await two.first.api.write_post(ada['access_token']))['id']}"
    for method, count in (("PUT", 1), ("DELETE", 0), ("PUT", 1)):
        answers = await two.at_once(lambda api, number: api.call(method, path + "/like", token=bob))
        assert {(answer.status, answer.data["like_count"]) for answer in answers} == {(200, count)}
    events = (await two.second.api.get("/api/events?after=0", token=ada["access_token"])).data
    assert sum(event["type"] == "post_liked" for event in events) == 1
    for api in two.apis:
        await seen(lambda: is_count(api, path, 1))
    assert await two.sound()


async def is_count(api: Api, path: str, count: int) -> bool:
    """Whether the post has so many likes."""
    return bool((await api.get(path)).data["like_count"] == count)


async def test_one_refresh(two: Two) -> None:
    session = await two.first.api.sign_up()
    body = {"refresh_token": session["refresh_token"]}
    answers = await two.at_once(lambda api, number: api.post("/api/token/refresh", body))
    assert statuses(answers) == {200: MANY} and len({answer.raw for answer in answers}) == 1
    for api in two.apis:
        assert (await api.get("/api/me", token=answers[0].data["access_token"])).status == 200


async def test_one_post_with_one_key(two: Two) -> None:
    token = (await two.first.api.sign_up())["access_token"]
    answers = await two.at_once(lambda api, number: api.post(
        "/api/posts", {"title": "A title", "text": "Some text"}, token=token, headers={"Idempotency-Key": "one"}))
    assert statuses(answers) == {201: MANY} and len({answer.raw for answer in answers}) == 1
    assert await rows(two.second, "posts") == 1 and await two.sound()


async def test_one_deletion(two: Two) -> None:
    ada = (await two.first.api.sign_up())["access_token"]
    posts = [(await two.first.api.write_post(ada))["id"] for _ in range(3)]
    answers = await two.at_once(lambda api, number: api.call("DELETE", f"/api/posts/{posts[1]}", token=ada))
    assert statuses(answers) == {204: 1, 404: MANY - 1}
    assert (await two.second.api.get("/api/me", token=ada)).data["post_count"] == 2 and await two.sound()


async def test_a_session_that_is_opened_beside_a_change_of_the_password_is_ended(two: Two) -> None:
    token = (await two.first.api.sign_up("ada"))["access_token"]
    account = await two.first.foyer.database.read(queries.account_by_name, "ada")
    assert account is not None
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Tx) -> None:
        await two.first.foyer.accounts.log_in(tx, account, None, Visitor("a device", "192.0.2.1"))
        inside.set()
        await go_on.wait()
    opening = asyncio.create_task(two.first.foyer.database.write(slow))
    await inside.wait()
    changing = asyncio.create_task(two.second.api.post(
        "/api/me/password", {"current": PASSWORD, "new": PASSWORD + " and more"}, token=token))
    await until(lambda: changing.done() or postgres.execute(WAITING, two.url) != "SELECT 0")
    go_on.set()
    await opening
    assert (await changing).status == 204
    assert len((await two.first.api.get("/api/sessions", token=token)).data) == 1


# -- work


async def test_no_job_is_done_twice(two: Two) -> None:
    calls: Counter[str] = Counter()
    for served in (two.first, two.second):
        for handler in served.foyer.worker._handlers.values():
            if handler.kind == "enrich":
                handler.call = counted(handler.call, calls)  # type: ignore[method-assign]
    sessions = await asyncio.gather(*(two.apis[number % 2].sign_up(f"member-{number}") for number in range(30)))
    for session in sessions:
        await until(lambda: settled(two.first.api, session))
    assert len(calls) == len(sessions) and set(calls.values()) == {1}
    assert await two.sound()


def counted(call: Callable[..., Awaitable[Any]], calls: Counter[str]) -> Callable[..., Awaitable[Any]]:
    async def count(job: Any, loaded: Any) -> Any:
        calls[job.key] += 1
        return await call(job, loaded)
    return count


async def test_one_works_for_the_other(two: Two) -> None:
    await two.first.foyer.worker.stop()
    session = await two.first.api.sign_up()
    await until(lambda: settled(two.first.api, session))


# -- a connection that is lost


async def test_who_could_not_hear_for_a_while_has_missed_nothing(two: Two) -> None:
    here, there = two.apis
    ada, bob = await here.sign_up("ada"), await here.sign_up("bob")
    token, out = ada["access_token"], (await there.post("/api/login", {"username": "bob", "password": PASSWORD})).data
    post = await here.write_post(token)
    await until(lambda: settled(there, ada))
    socket, ended = await two.second.socket(token), await two.second.socket(out["access_token"])
    await frame(socket, "ready"), await frame(ended, "ready")
    await until(lambda: is_count(there, f"/api/posts/{post['id']}", 0))
    for number in range(3):
        postgres.execute(CUT, two.url)
        await here.call(("PUT", "DELETE", "PUT")[number], f"/api/posts/{post['id']}/like", token=bob["access_token"])
        await until(lambda: is_count(there, f"/api/posts/{post['id']}", (1, 0, 1)[number]), 5)
    postgres.execute(CUT, two.url)
    await here.post("/api/logout", token=out["access_token"])
    assert await close_code(ended, 5) == 4401
    while (news := await socket.receive_json(timeout=5))["type"] != "post_liked":
        pass
    assert news["data"]["post_id"] == post["id"]
    await socket.close()

    async def listening() -> bool:
        return postgres.execute(CUT.replace("pg_terminate_backend(pid)", "*"), two.url) == "SELECT 1"
    await until(listening)


@pytest.mark.parametrize("change", ["unlike", "like"])
async def test_who_leaves_while_a_like_of_theirs_changes_is_counted_once(two: Two, change: str) -> None:
    author, leaver = [(await two.first.api.sign_up(name))["access_token"] for name in ("ada", "leaver")]
    post = (await two.first.api.write_post(author))["id"]
    for method in ("PUT", "DELETE")[:1 if change == "unlike" else 2]:
        assert (await two.first.api.call(method, f"/api/posts/{post}/like", token=leaver)).status == 200
    foyer = two.first.foyer
    member, begun, go_on = await foyer.gate.authenticate(leaver), asyncio.Event(), asyncio.Event()

    async def slowly(tx: Tx) -> None:
        await (foyer.posts.unlike(tx, member, post) if change == "unlike" else foyer.posts.like(tx, member, post, None))
        begun.set()
        await go_on.wait()
    changing = asyncio.create_task(foyer.database.write(slowly))
    await begun.wait()
    leaving = asyncio.create_task(two.second.api.call("DELETE", "/api/me", token=leaver, json={"password": PASSWORD}))
    await until(lambda: two.second.foyer.database.read(_somebody_waits))
    go_on.set()
    await changing
    assert (await leaving).status == 204
    assert (await two.second.api.get(f"/api/posts/{post}")).data["like_count"] == 0
    assert await two.sound()


async def _somebody_waits(tx: Tx) -> bool:
    return await tx.value(WAITING) is not None
