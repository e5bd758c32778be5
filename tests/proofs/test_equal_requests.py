"""Fifty equal requests at once: exactly one effect, the right answer for each, and never a 500."""
from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.storage import Tx
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Api, Served

MANY = 50


async def at_once(send: Callable[[int], Awaitable[Answer]]) -> list[Answer]:
    """Sends fifty requests in the same moment."""
    return list(await asyncio.gather(*(send(number) for number in range(MANY))))


def statuses(answers: list[Answer]) -> Counter[int]:
    """How often each status came."""
    return Counter(answer.status for answer in answers)


async def rows(server: Served, table: str) -> int:
    """How many rows a table has."""
    async def count(tx: Tx) -> int:
        return int(await tx.value(f"SELECT count(*) FROM {table}"))
    return await server.foyer.database.read(count)


def newcomer(**other: str) -> dict[str, str]:
    """The body of a sign-up."""
    return {"username": "ada", "email": "ada@example.org", "password": PASSWORD, **other}


def cased(word: str, number: int) -> str:
    """The word with some of its letters large, differently for each number."""
    return "".join(letter.upper() if number >> at & 1 else letter for at, letter in enumerate(word))


async def one_member(server: Served) -> None:
    """There is one account, with all that belongs to it once."""
    assert [await rows(server, table) for table in ("users", "sessions", "enrichments")] == [1, 1, 1]


@pytest.mark.parametrize("body", [
    lambda number: newcomer(email=f"other{number}@example.org"),
    lambda number: newcomer(username=cased("ada", number), email=f"other{number}@example.org")])
async def test_one_name(server: Served, body: Callable[[int], Any]) -> None:
    answers = await at_once(lambda number: server.api.post("/api/signup", body(number)))
    assert statuses(answers) == {201: 1, 409: MANY - 1}
    assert {answer.code for answer in answers if answer.status == 409} == {"username_taken"}
    await one_member(server)


@pytest.mark.parametrize("email", [
    lambda number: "ada@example.org",
    lambda number: cased("ada@example.org", number),
    lambda number: ("ada@example.org", "ａda@example.org")[number % 2]])
async def test_one_address(server: Served, email: Callable[[int], str]) -> None:
    answers = await at_once(
        lambda number: server.api.post("/api/signup", newcomer(username=f"ada{number}", email=email(number))))
    assert statuses(answers) in ({201: 1, 409: MANY - 1}, {201: 1, 409: MANY // 2 - 1, 422: MANY // 2})
    assert {answer.code for answer in answers if answer.status == 409} == {"email_taken"}
    await one_member(server)


async def test_one_sign_up_with_one_key(server: Served) -> None:
    headers = {"Idempotency-Key": "the-same"}
    answers = await at_once(lambda number: server.api.post("/api/signup", newcomer(), headers=headers))
    assert statuses(answers) == {201: MANY} and len({answer.raw for answer in answers}) == 1
    await one_member(server)
    assert (await server.api.get("/api/me", token=answers[0].data["access_token"])).status == 200


async def test_one_sign_up_with_many_keys(server: Served) -> None:
    answers = await at_once(
        lambda number: server.api.post("/api/signup", newcomer(), headers={"Idempotency-Key": str(number)}))
    assert statuses(answers) == {201: 1, 409: MANY - 1}
    await one_member(server)


async def test_one_like(server: Served) -> None:
    api = server.api
    author, reader = await api.sign_up(), (await api.sign_up())["access_token"]
    path = f"/api/posts/{(await api.write_post(author['access_token']))['id']}"
    answers = await at_once(lambda number: api.call("PUT", path + "/like", token=reader))
    assert statuses(answers) == {200: MANY}
    assert {(answer.data["liked"], answer.data["like_count"]) for answer in answers} == {(True, 1)}
    assert len((await api.get(path + "/likes")).data) == 1
    taken_back = await at_once(lambda number: api.call("DELETE", path + "/like", token=reader))
    assert {(answer.status, answer.data["like_count"]) for answer in taken_back} == {(200, 0)}
    again = await at_once(lambda number: api.call("PUT", path + "/like", token=reader))
    assert {(answer.status, answer.data["like_count"]) for answer in again} == {(200, 1)}
    events = (await api.get("/api/events?after=0", token=author["access_token"])).data
    assert sum(event["type"] == "post_liked" for event in events) == 1


async def test_likes_of_fifty_members_and_fifty_of_each(server: Served) -> None:
    api = server.api
    path = f"/api/posts/{(await api.write_post((await api.sign_up())['access_token']))['id']}"
    tokens = [(await api.sign_up())["access_token"] for _ in range(5)]
    answers = await at_once(lambda number: api.call("PUT", path + "/like", token=tokens[number % 5]))
    assert statuses(answers) == {200: MANY}
    assert (await api.get(path)).data["like_count"] == 5 == len((await api.get(path + "/likes")).data)


async def test_one_refresh(server: Served) -> None:
    session = await server.api.sign_up()
    body = {"refresh_token": session["refresh_token"]}
    answers = await at_once(lambda number: server.api.post("/api/token/refresh", body))
    assert statuses(answers) == {200: MANY} and len({answer.raw for answer in answers}) == 1
    pair = answers[0].data
    assert pair["refresh_token"] != session["refresh_token"]
    assert (await server.api.get("/api/me", token=pair["access_token"])).status == 200
    later = await server.api.post("/api/token/refresh", {"refresh_token": pair["refresh_token"]})
    assert later.status == 200
    assert await rows(server, "sessions") == 1


async def test_one_refresh_with_one_key(server: Served) -> None:
    session = await server.api.sign_up()
    body, headers = {"refresh_token": session["refresh_token"]}, {"Idempotency-Key": "the-same"}
    answers = await at_once(lambda number: server.api.post("/api/token/refresh", body, headers=headers))
    assert statuses(answers) == {200: MANY} and len({answer.raw for answer in answers}) == 1


def post(api: Api, token: str, text: str = "Some text") -> Callable[[int], Awaitable[Answer]]:
    """Sends a post with a key."""
    body = {"title": "A title", "text": text}
    return lambda number: api.post("/api/posts", body, token=token, headers={"Idempotency-Key": "the-same"})


async def test_one_post(serve: Serve) -> None:
    server = await serve()
    token = (await server.api.sign_up())["access_token"]
    answers = await at_once(post(server.api, token))
    assert statuses(answers) == {201: MANY} and len({answer.raw for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert await rows(server, "posts") == 1
    await server.stop()
    # The same file, another process as far as memory is concerned.
    server = await serve()
    later = await at_once(post(server.api, token))
    assert {answer.raw for answer in later} == {answers[0].raw} and statuses(later) == {201: MANY}
    assert {answer.headers["Location"] for answer in later} == {answers[0].headers["Location"]}
    assert (await post(server.api, token, "Another text")(0)).code == "idempotency_mismatch"
    assert await rows(server, "posts") == 1


async def test_one_key_and_fifty_bodies(server: Served) -> None:
    token = (await server.api.sign_up())["access_token"]
    answers = await at_once(lambda number: post(server.api, token, f"text {number}")(number))
    assert statuses(answers) == {201: 1, 422: MANY - 1}
    assert {answer.code for answer in answers if answer.status == 422} == {"idempotency_mismatch"}
    assert await rows(server, "posts") == 1


async def test_one_key_of_two_members(server: Served) -> None:
    tokens = [(await server.api.sign_up())["access_token"] for _ in range(2)]
    answers = await at_once(lambda number: post(server.api, tokens[number % 2])(number))
    assert statuses(answers) == {201: MANY} and len({answer.raw for answer in answers}) == 2
    assert await rows(server, "posts") == 2


async def test_one_key_of_a_request_that_is_refused(server: Served) -> None:
    token = (await server.api.sign_up())["access_token"]
    headers = {"Idempotency-Key": "the-same"}
    answers = await at_once(
        lambda number: server.api.post("/api/posts", {"title": ""}, token=token, headers=headers))
    assert statuses(answers) == {422: MANY} and len({answer.raw for answer in answers}) == 1


async def test_one_log_out(server: Served) -> None:
    token = (await server.api.sign_up())["access_token"]
    answers = await at_once(lambda number: server.api.post("/api/logout", token=token))
    assert set(statuses(answers)) <= {204, 401} and statuses(answers)[204] >= 1
    assert (await server.api.get("/api/me", token=token)).status == 401


async def test_one_deletion(server: Served) -> None:
    token = (await server.api.sign_up())["access_token"]
    path = f"/api/posts/{(await server.api.write_post(token))['id']}"
    answers = await at_once(lambda number: server.api.call("DELETE", path, token=token))
    assert statuses(answers) == {204: 1, 404: MANY - 1}
    assert (await server.api.get("/api/me", token=token)).data["post_count"] == 0
