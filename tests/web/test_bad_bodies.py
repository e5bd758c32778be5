"""Whatever a body holds, the answer is a problem that says so, never a 500."""
from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from server.web.route import Route
from tests.support import PASSWORD, Answer, Api, Served
from tests.web.administrators import administrator
from tests.web.hostile import BAD_VALUES, BROKEN_BODIES, FORM, JSON, body_with, filled, problem, upload

TAKEN = ("application/json", "application/x-www-form-urlencoded")
GOOD: dict[str, dict[str, Any]] = {
    "POST /api/signup": {"username": "grace", "email": "grace@example.org", "password": PASSWORD},
    "POST /api/login": {"username": "ada", "password": PASSWORD},
    "POST /api/token/refresh": {"refresh_token": "1.1." + "a" * 43},
    "PATCH /api/me": {"name": "Ada"},
    "DELETE /api/me": {"password": PASSWORD},
    "POST /api/me/password": {"current": PASSWORD, "new": "an0ther-good-one"},
    "POST /api/email/confirm": {"token": "a" * 22},
    "POST /api/password/forgot": {"email": "ada@example.org"},
    "POST /api/password/reset": {"token": "a" * 22, "password": "an0ther-good-one"},
    "POST /api/posts": {"title": "A title", "text": "A text"},
    "PATCH /api/posts/{id}": {"title": "A title"},
    "POST /api/events/ack": {"seq": 1},
    "POST /api/files/{id}/checks": {"max_line_length": 100, "ignore": "E501"},
    "PATCH /api/admin/schedules/{name}": {"every_seconds": 60, "enabled": False, "batch": 10},
}
UPLOADS = {"POST /api/files", "PATCH /api/files/{id}"}  # see test_bad_uploads.py
WITHOUT_A_BODY = {"POST /api/token/refresh": 422, "POST /api/files/{id}/checks": 202}  # elsewhere it is 400
GOOD_VALUES = {("mail_checks", "true"), ("enabled", "true"), ("select", "[]"), ("ignore", "[]")}  # of the bad ones
NEEDED = {
    "POST /api/signup": ["username", "email", "password"], "POST /api/login": ["username", "password"],
    "POST /api/me/password": ["current", "new"], "DELETE /api/me": ["password"], "POST /api/posts": ["title", "text"],
    "POST /api/events/ack": ["seq"], "POST /api/email/confirm": ["token"], "POST /api/password/forgot": ["email"],
    "POST /api/password/reset": ["token", "password"],
}


@dataclass
class Door:
    """A server with an administrator who has a post and a file."""

    api: Api
    token: str
    post: int
    file: int
    routes: list[Route]

    async def send(self, route: Route, raw: bytes | None, headers: dict[str, str] = JSON) -> Answer:
        path = filled(route.path, self.file if route.path.startswith("/api/files") else self.post)
        return await self.api.call(route.method, path, token=self.token, data=raw, headers=headers)


@pytest.fixture
async def door(server: Served) -> AsyncIterator[Door]:
    token = (await administrator(server, "ada"))["access_token"]
    post = await server.api.write_post(token)
    file = await upload(server.api, token)
    yield Door(server.api, token, post["id"], file["id"], [route for route in server.foyer.routes if route.takes])


async def test_every_route_with_a_body_is_tried_here(door: Door, server: Served) -> None:
    assert {route.key for route in door.routes} == set(GOOD)
    assert {route.key for route in server.foyer.routes if route.uploads} == UPLOADS


async def test_a_body_that_is_none(door: Door) -> None:
    for route in door.routes:
        for name, (raw, status) in BROKEN_BODIES.items():
            if route.body_optional and not raw:
                status = WITHOUT_A_BODY[route.key]
            answer = await door.send(route, raw)
            assert answer.status == status, (route.key, name, answer.status, answer.raw[:200])
            assert status < 300 or problem(answer)


async def test_a_field_that_holds_anything_else(door: Door) -> None:
    for route in door.routes:
        assert route.takes is not None
        for field in route.takes.__struct_encode_fields__:
            for value in BAD_VALUES:
                if (field, value) in GOOD_VALUES:
                    continue
                answer = await door.send(route, body_with(GOOD[route.key], field, value))
                assert 400 <= answer.status < 500, (route.key, field, value[:40], answer.status, answer.raw[:200])
                problem(answer)


@pytest.mark.parametrize("value", ["a\r\nb", "a\n", "\x1b[31m", "a\u2028b", "\x7f", "a\x85"])
async def test_a_line_holds_no_control_characters(door: Door, value: str) -> None:
    fields = ("name", "title", "company", "location", "site", "avatar_url", "email", "birth_date")
    answer = await door.api.call("PATCH", "/api/me", token=door.token, json=dict.fromkeys(fields, value))
    problem(answer, 422)
    assert set(answer.fields) == set(fields)
    answer = await door.api.post("/api/posts", {"title": value, "text": value}, token=door.token)
    assert set(answer.fields) == {"title"}


async def test_a_value_is_not_said_back(door: Door) -> None:
    for route in door.routes:
        raw = body_with(GOOD[route.key], "<script>alert(1)</script>", '"<b>marker</b>"')
        answer = await door.send(route, raw)
        assert problem(answer, 422) and b"<script" not in answer.raw and b"marker" not in answer.raw


async def test_all_faults_come_at_once(door: Door) -> None:
    body = {"username": "a!", "email": "nobody", "password": "short", "site": "javascript:alert(1)", "name": 7,
            "birth_date": "1999-13-01", "nonsense": 1, "bio": "\0", "avatar_url": "ftp://a.example/b"}
    answer = await door.api.post("/api/signup", body)
    assert problem(answer, 422) == "invalid_fields"
    assert set(answer.fields) == set(body)
    assert answer.fields["nonsense"] == "unknown_field"


@pytest.mark.parametrize("key", NEEDED)
async def test_what_is_missing_is_named(door: Door, key: str) -> None:
    route = next(route for route in door.routes if route.key == key)
    answer = await door.send(route, b"{}")
    assert problem(answer, 422) == "invalid_fields"
    assert answer.fields == {name: "required" for name in NEEDED[key]}


async def test_an_unknown_field_is_named_and_refused(door: Door) -> None:
    for route in door.routes:
        answer = await door.send(route, body_with(GOOD[route.key], "role", '"admin"'))
        problem(answer, 422)
        assert answer.fields == {"role": "unknown_field"}, route.key


async def test_other_content_types(door: Door) -> None:
    for route in door.routes:
        for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "garbage", ""):
            answer = await door.send(route, b'{"a": 1}', {"Content-Type": kind})
            assert problem(answer, 415) == "unsupported_media_type", (route.key, kind)
            assert all(taken in answer.body["detail"] and taken in answer.headers["Accept"] for taken in TAKEN)


async def test_whoever_sends_nothing_is_told_what_to_send(door: Door) -> None:
    answer = await door.api.post("/api/login")
    assert problem(answer, 400) == "malformed" and all(taken in answer.body["detail"] for taken in TAKEN)


async def test_a_charset_or_a_capital_in_the_content_type_does_no_harm(door: Door) -> None:
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/json;charset=\xff"):
        answer = await door.api.post("/api/posts", token=door.token, data=b'{"title": "a", "text": "b"}',
                                     headers={"Content-Type": kind})
        assert answer.status == 201, kind


async def test_forms_are_read_for_the_same_fields(door: Door) -> None:
    answer = await door.api.post("/api/posts", token=door.token, headers=FORM,
                                 data=b"title=Null+%26+void&text=%F0%9F%98%80&link=https%3A%2F%2Fexample.org%2F")
    assert (answer.data["title"], answer.data["text"]) == ("Null & void", "\U0001f600")
    answer = await door.api.post("/api/events/ack", token=door.token, headers=FORM, data=b"seq=0")
    assert answer.status == 204
    answer = await door.api.post("/api/login", headers=FORM, data=f"username=ADA&password={PASSWORD}".encode())
    assert answer.data["user"]["username"] == "ada"


FORMS = {b"title=%00&text=a": 422, b"title=%ed%a0%80&text=a": 400, b"title=%ff&text=a": 400, b"title=\xff&text=a": 400,
         b"=&==&&": 422, b"title": 422, b"a=1&" * 5000: 400, b"title=a&text=b&role=admin": 422, b"%": 422}


@pytest.mark.parametrize("raw", FORMS, ids=range(len(FORMS)))
async def test_forms_that_are_none(door: Door, raw: bytes) -> None:
    answer = await door.api.post("/api/posts", token=door.token, headers=FORM, data=raw)
    problem(answer, FORMS[raw])


async def test_a_body_may_be_large_but_not_larger(serve: Any) -> None:
    server = await serve({"server.max_body": "64 KiB"})
    for method, path in (("POST", "/api/login"), ("POST", "/api/signup"), ("POST", "/api/token/refresh")):
        for size, status in ((64 * 1024, 400), (64 * 1024 + 1, 413), (1024 * 1024, 413)):
            answer = await server.api.call(method, path, data=b"x" * size, headers=JSON)
            problem(answer, status)


async def test_a_body_without_a_length_is_counted_too(serve: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 1024

    server = await serve({"server.max_body": "64 KiB"})
    problem(await server.api.post("/api/login", data=pieces(), headers=JSON), 413)


async def test_a_gzip_bomb_is_too_large(door: Door) -> None:
    bomb = gzip.compress(b"[" * 50_000_000)
    answer = await door.api.post("/api/login", data=bomb, headers={**JSON, "Content-Encoding": "gzip"})
    problem(answer, 413)


async def test_a_gzip_body_is_read(door: Door) -> None:
    raw = gzip.compress(json.dumps(GOOD["POST /api/login"]).encode())
    answer = await door.api.post("/api/login", data=raw, headers={**JSON, "Content-Encoding": "gzip"})
    assert answer.status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_an_encoding_that_cannot_be_undone(door: Door, encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    for raw in (b"abcd", gzip.compress(b"{}" * 500)[:-20]):
        headers = {**JSON, "Content-Encoding": encoding}
        answer = await door.api.post("/api/login", data=raw, headers=headers)
        problem(answer, 400)
    assert "Traceback" not in caplog.text


async def test_a_body_where_none_is_taken_does_no_harm(door: Door) -> None:
    for method, path in (("GET", "/api/posts"), ("GET", "/api/me"), ("PUT", f"/api/posts/{door.post}/like"),
                         ("POST", "/api/me/enrichment"), ("POST", "/api/email/resend"), ("GET", "/api/referrals"),
                         ("DELETE", "/api/sessions/99999")):
        answer = await door.api.call(method, path, token=door.token, data=b"\xff[[[", headers=JSON)
        assert answer.status < 500, (method, path)


@pytest.mark.parametrize("token", ["x" * 4000, "1.1." + "a" * 43, "9" * 16 + "." + "9" * 16 + "." + "a" * 43, "\x00",
                                   "1.1.\u00e9" + "a" * 42, "\u0661.1." + "a" * 43, "-1.1." + "a" * 43, "..", ""])
async def test_refresh_tokens_that_are_none(door: Door, token: str) -> None:
    answer = await door.api.post("/api/token/refresh", {"refresh_token": token})
    assert problem(answer) in ("token_invalid", "invalid_fields")


MAIL_TOKENS = ["x" * 200, "a" * 21, "a" * 23, "\u00e9" * 22, "\u0661" * 22, "a" * 21 + "\n", "a" * 22 + "=", "..",
               "%00", "' OR 1=1 --", "\U0001f600"]


@pytest.mark.parametrize("token", MAIL_TOKENS, ids=range(len(MAIL_TOKENS)))
async def test_tokens_of_mails_that_are_none(door: Door, token: str) -> None:
    for path, rest in (("/api/email/confirm", {}), ("/api/password/reset", {"password": "an0ther-good-one"})):
        answer = await door.api.post(path, {"token": token, **rest})
        assert problem(answer, 422) == "token_invalid" and answer.fields == {"token": "token_invalid"}, path


async def test_very_long_tokens(door: Door) -> None:
    long = "a" * 100_000
    problem(await door.api.post("/api/token/refresh", {"refresh_token": long}), 422)
    problem(await door.api.get("/api/me", token=long), 431)
    problem(await door.api.post("/api/token/refresh", headers={"Cookie": f"foyer_refresh={long}"}), 431)
    problem(await door.api.get("/api/me", token="a" * 8000), 401)
    problem(await door.api.post("/api/token/refresh", headers={"Cookie": "foyer_refresh=" + "a" * 8000}), 401)
