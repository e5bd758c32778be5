"""The same key and body give the same answer, byte for byte; anything else gives nothing away."""
from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from server.app import Foyer
from server.storage import Tx
from server.web.route import Answer as Given
from server.web.route import Call, Route
from tests import answers
from tests.conftest import Serve
from tests.mailbox import token as mailed
from tests.support import PASSWORD, Answer, Api, Served
from tests.web.hostile import file_body, problem

KEY = {"Idempotency-Key": "a-key"}
GRACE = {"username": "grace", "email": "grace@example.org", "password": PASSWORD}
POST = {"title": "A title", "text": "A text"}


def same(first: Answer, second: Answer) -> None:
    """Checks that two answers are one."""
    assert (first.status, first.raw) == (second.status, second.raw)
    for name in ("Content-Type", "Location", "WWW-Authenticate", "Set-Cookie"):
        assert first.headers.get(name) == second.headers.get(name), name


async def test_each_post_is_done_once(api: Api) -> None:
    ada = await api.sign_up("ada")
    token = ada["access_token"]
    tried: list[tuple[str, Any, str | None]] = [
        ("/api/signup", GRACE, None), ("/api/login", {"username": "ada", "password": PASSWORD}, None),
        ("/api/token/refresh", {"refresh_token": ada["refresh_token"]}, None), ("/api/posts", POST, token),
        ("/api/events/ack", {"seq": 0}, token),
        ("/api/me/password", {"current": PASSWORD, "new": "an0ther-good-one"}, token)]
    for path, body, who in tried:
        first, second = [await api.post(path, body, token=who, headers=KEY) for _ in range(2)]
        assert first.status < 300, (path, first.body)
        same(first, second)
    assert len((await api.get("/api/posts")).data) == 1


async def test_a_file_is_the_same_between_whatever_boundary_it_comes(api: Api) -> None:
    token = (await api.sign_up("ada"))["access_token"]

    async def send(boundary: str, raw: bytes) -> Answer:
        headers = {**KEY, "Content-Type": f"multipart/form-data; boundary={boundary}"}
        body = raw.replace(b"--between", f"--{boundary}".encode())
        return await api.call("POST", "/api/files", token=token, data=body, headers=headers)
    first = await send("between", file_body())
    same(first, await send("another", file_body()))
    for other in (file_body(b"import sys\n"), file_body(name="other.py")):
        assert problem(await send("between", other), 422) == "idempotency_mismatch"
    assert len((await api.get("/api/files", token=token)).data) == 1
    path = f"{first.headers['Location']}/checks"
    same(*[await api.post(path, {"max_line_length": 100}, token=token, headers=KEY) for _ in range(2)])
    assert len((await api.get(path, token=token)).data) == 2


async def test_what_a_link_does_is_done_once(server: Served) -> None:
    """Also when the answer was lost on the way: the same request again is answered as before, and not refused."""
    api, sandbox = server.api, server.sandbox
    session = await api.sign_up("ada")
    confirm = {"token": await mailed(api, sandbox, "ada@example.org")}
    await _twice(api, "/api/email/confirm", confirm, 204)
    problem(await api.post("/api/email/confirm", confirm), 422)
    await _twice(api, "/api/password/forgot", {"email": "ada@example.org"}, 202)
    reset = {"token": await mailed(api, sandbox, "ada@example.org", "reset"), "password": "an0ther-good-one"}
    await _twice(api, "/api/password/reset", reset, 204)
    problem(await api.post("/api/password/reset", reset), 422)
    problem(await api.get("/api/me", token=session["access_token"]), 401)


async def test_another_letter_is_written_once(server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    first, second = [await server.api.post("/api/email/resend", token=token, headers=KEY) for _ in range(2)]
    assert first.status == 202
    same(first, second)
    assert len((await server.api.get("/api/me/export", token=token)).data["mails"]) == 2


async def _twice(api: Api, path: str, body: Any, status: int) -> None:
    first, second = [await api.post(path, body, headers=KEY) for _ in range(2)]
    assert first.status == status, first.body
    same(first, second)


async def test_without_a_key_it_is_done_twice(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    ids = {(await api.post("/api/posts", POST, token=token)).data["id"] for _ in range(2)}
    assert len(ids) == 2


async def test_the_answer_is_kept_over_a_restart(serve: Serve, tmp_path: Path) -> None:
    server = await serve()
    first = await server.api.post("/api/signup", GRACE, headers=KEY)
    post = await server.api.post("/api/posts", POST, token=first.data["access_token"], headers=KEY)
    await server.stop()
    api = (await serve()).api
    same(first, await api.post("/api/signup", GRACE, headers=KEY))
    same(post, await api.post("/api/posts", POST, token=first.data["access_token"], headers=KEY))


async def test_fifty_at_once_are_one(api: Api) -> None:
    answers = await asyncio.gather(*[api.post("/api/signup", GRACE, headers=KEY) for _ in range(50)])
    assert {answer.raw for answer in answers} == {answers[0].raw} and answers[0].status == 201
    token = answers[0].data["access_token"]
    posts = await asyncio.gather(*[api.post("/api/posts", POST, token=token, headers=KEY) for _ in range(50)])
    assert {answer.raw for answer in posts} == {posts[0].raw} and posts[0].status == 201
    assert (await api.get("/api/me", token=token)).data["post_count"] == 1


async def test_two_sign_outs_at_once_are_one(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    answers = await asyncio.gather(*[api.post("/api/logout", token=token, headers=KEY) for _ in range(2)])
    assert {answer.status for answer in answers} <= {204, 401} and 204 in {answer.status for answer in answers}


async def test_another_body_is_a_mismatch(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    await api.post("/api/posts", POST, token=token, headers=KEY)
    answer = await api.post("/api/posts", {**POST, "title": "Another"}, token=token, headers=KEY)
    assert problem(answer, 422) == "idempotency_mismatch"
    assert (await api.post("/api/posts", POST, token=token, headers=KEY)).status == 201
    assert len((await api.get("/api/posts")).data) == 1


async def test_another_route_or_member_has_keys_of_its_own(api: Api) -> None:
    ada, bob = await api.sign_up(), await api.sign_up()
    posts = [await api.post("/api/posts", POST, token=who["access_token"], headers=KEY) for who in (ada, bob)]
    assert posts[0].data["author"]["id"] != posts[1].data["author"]["id"]
    assert (await api.post("/api/events/ack", {"seq": 0}, token=ada["access_token"], headers=KEY)).status == 204


class Note(msgspec.Struct):
    """What a route of this test gives."""

    about: str


async def _note(tx: Tx, call: Call, prepared: None) -> Given:
    return Given(Note(f"{call.id} {call.name}"))


NOTES = [Route("POST", "/api/posts/{id}/notes", "A note", "member", Note, store=_note),
         Route("POST", "/api/users/{username}/notes", "A note", "open", Note, store=_note)]


async def test_what_the_path_says_belongs_to_the_key(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = Foyer._routes
    monkeypatch.setattr(Foyer, "_routes", lambda foyer: [*routes(foyer), *NOTES])
    server = await serve()
    token = (await server.api.sign_up())["access_token"]
    for path, about in (("posts/1", "1 "), ("posts/2", "2 "), ("posts/1", "1 "), ("users/ada", "0 ada"),
                        ("users/bob", "0 bob"), ("users/ada", "0 ada")):
        monkeypatch.setitem(answers.NOT_OF_THE_API, f"/api/{path}/notes", "made here")
        answer = await server.api.post(f"/api/{path}/notes", token=token, headers=KEY)
        assert answer.data == {"about": about}


async def test_on_open_routes_another_body_is_another_request(api: Api) -> None:
    first = await api.post("/api/signup", GRACE, headers=KEY)
    other = await api.post("/api/signup", {**GRACE, "username": "hopper", "email": "h@example.org"}, headers=KEY)
    assert (first.status, other.status) == (201, 201)
    assert other.data["user"]["username"] == "hopper"


async def test_a_cookie_is_part_of_the_request(api: Api) -> None:
    """Else a stranger who guesses the key of somebody's refresh by cookie gets their tokens."""
    ada, bob = await api.sign_up(), await api.sign_up()
    first = await _refresh_by_cookie(api, ada["refresh_token"])
    same(first, await _refresh_by_cookie(api, ada["refresh_token"]))
    problem(await api.post("/api/token/refresh", headers=KEY), 422)
    other = await _refresh_by_cookie(api, bob["refresh_token"])
    assert other.status == 200 and other.raw != first.raw


async def test_the_invitation_is_part_of_a_sign_up(api: Api) -> None:
    """The cookie says who invited, so the same body with another one is another sign-up."""
    ada, bob = await api.sign_up(), await api.sign_up()
    cookies = [await _invited_by(api, member["user"]["referral_code"]) for member in (ada, bob)]
    first = await api.post("/api/signup", GRACE, headers={**KEY, "Cookie": cookies[0]})
    assert first.data["referral"] == {"status": "applied"}
    same(first, await api.post("/api/signup", GRACE, headers={**KEY, "Cookie": cookies[0]}))
    problem(await api.post("/api/signup", GRACE, headers={**KEY, "Cookie": cookies[1]}), 409)
    without = await api.post("/api/signup", GRACE, headers=KEY)
    assert problem(without, 409) == "username_taken"
    for forged in (cookies[0] + "x", cookies[0].partition(".")[0], "foyer_ref="):  # as good as none
        same(without, await api.post("/api/signup", GRACE, headers={**KEY, "Cookie": forged}))
    invited = [(await api.get("/api/referrals", token=each["access_token"])).data["invited"] for each in (ada, bob)]
    assert invited == [1, 0]


async def _invited_by(api: Api, code: str) -> str:
    page = await api.get("/signup", params={"ref": code})
    return page.headers["Set-Cookie"].partition(";")[0]


async def _refresh_by_cookie(api: Api, token: str) -> Answer:
    return await api.post("/api/token/refresh", headers={**KEY, "Cookie": f"foyer_refresh={token}"})


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "a b", "\u00e9", "a\tb"])
async def test_a_key_that_cannot_be_one(server: Served, key: str) -> None:
    token = (await server.api.sign_up())["access_token"]
    for path, body, who in (("/api/posts", POST, token), ("/api/signup", GRACE, None), ("/api/logout", None, token)):
        answer = await server.api.post(path, body, token=who, headers={"Idempotency-Key": key})
        assert problem(answer, 400) == "bad_idempotency_key"


async def test_refusals_are_kept_too(api: Api) -> None:
    token = (await api.sign_up("ada"))["access_token"]
    for path, body, status in (("/api/posts", {"title": ""}, 422),
                               ("/api/login", {"username": "ada", "password": "x"}, 401),
                               ("/api/signup", {**GRACE, "username": "Ada"}, 409)):
        first, second = [await api.post(path, body, token=token, headers=KEY) for _ in range(2)]
        assert first.status == status and first.headers["Content-Type"] == "application/problem+json"
        same(first, second)


async def test_what_was_too_often_is_not_kept(serve: Serve) -> None:
    server = await serve({"sandbox.mode": "off", "limits.write": "1/minute", "limits.exempt": ""})
    token = (await server.api.sign_up())["access_token"]
    await server.api.post("/api/posts", POST, token=token)
    problem(await server.api.post("/api/posts", POST, token=token, headers=KEY), 429)
    server.foyer.limiter.enabled = False
    assert (await server.api.post("/api/posts", POST, token=token, headers=KEY)).status == 201


async def test_what_failed_on_our_side_is_not_kept(serve: Serve) -> None:
    server = await serve({"hunter.on_failure": "reject"})
    await server.api.switch(server.sandbox, "hunter", verifier=["503-html"])
    problem(await server.api.post("/api/signup", GRACE, headers=KEY), 503)
    await server.api.switch(server.sandbox, "hunter", verifier=["valid"])
    answer = await server.api.post("/api/signup", GRACE, headers=KEY)
    # The breaker may still be open; it too must not be kept.
    assert answer.status in (201, 503)


async def test_no_token_and_no_password_stands_in_the_database(server: Served) -> None:
    data = (await server.api.post("/api/signup", GRACE, headers=KEY)).data
    link = await mailed(server.api, server.sandbox, "grace@example.org")
    assert (await server.api.post("/api/email/confirm", {"token": link}, headers=KEY)).status == 204
    pair = (await server.api.post("/api/token/refresh", {"refresh_token": data["refresh_token"]}, headers=KEY)).data
    await server.stop()
    stored = b"".join(server.stored().values())
    for secret in (PASSWORD, link, data["access_token"], data["refresh_token"], pair["access_token"],
                   pair["refresh_token"], server.secret):
        assert secret.encode() not in stored and secret.split(".")[-1].encode() not in stored


async def test_a_key_on_other_methods_means_nothing(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    for name in ("A", "B"):
        answer = await api.call("PATCH", "/api/me", json={"name": name}, token=token, headers=KEY)
        assert answer.data["name"] == name
