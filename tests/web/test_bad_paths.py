"""Ids, queries and cursors that lead nowhere."""
from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import pytest
from yarl import URL

from tests.answers import NOT_OF_THE_API
from tests.conftest import Serve
from tests.people import stored
from tests.support import Answer, Api, Served
from tests.web.administrators import administrator
from tests.web.hostile import BAD_IDS, FILE, JSON, file_body, filled, guarded, problem, upload

LISTS = ("/api/posts", "/api/users", "/api/posts/{id}/likes", "/api/sessions", "/api/events", "/api/referrals/invited",
         "/api/referrals/ledger", "/api/people", "/api/people/addresses", "/api/people/cards",
         "/api/admin/users", "/api/admin/posts", "/api/admin/jobs", "/api/admin/audit",
         "/api/admin/schedules", "/api/admin/schedules/{name}/runs",
         "/api/admin/mails", "/api/files", "/api/files/{id}/checks")


@dataclass
class Reader:
    """Somebody who may read every list; some are about their post, or about their file."""

    api: Api
    token: str
    lists: list[str]

    async def read(self, path: str, **params: str) -> Answer:
        return await self.api.get(path, token=self.token, params=params)


@pytest.fixture
async def reader(server: Served) -> Reader:
    token = (await administrator(server))["access_token"]
    post = (await server.api.write_post(token))["id"]
    assert (await upload(server.api, token))["id"] == post
    return Reader(server.api, token, [filled(path, post) for path in LISTS])


async def test_every_list_is_tried_here(server: Served) -> None:
    assert {route.path for route in server.foyer.routes if route.listing} == set(LISTS)


async def test_an_id_that_is_none_is_not_found(server: Served) -> None:
    token = (await administrator(server))["access_token"]
    places = [route for route in server.foyer.routes if "{id}" in route.path]
    assert len(places) >= 8
    for route in places:
        for id_ in (*BAD_IDS, "9007199254740991", "77"):
            url = URL(server.url + route.path.replace("{id}", id_), encoded=True)
            sent = {"data": file_body(), "headers": FILE} if route.uploads else {
                "data": b'{"title": "a"}' if route.method == "PATCH" else None, "headers": JSON}
            async with server.api.session.request(
                    route.method, url, data=sent["data"],
                    headers={**sent["headers"], "Authorization": f"Bearer {token}"}) as response:
                body = await response.json()
                found = (route.key, id_, response.status)
                if id_ not in ("..", "%2e%2e"):
                    assert response.status == 404 and body["code"] == "not_found", found
                else:
                    assert response.status < 500 and response.status != 404 or body["code"] == "not_found", found


@pytest.mark.parametrize("query",
                         ["limit=0", "limit=101", "limit=-1", "limit=abc", "limit=", "limit=9223372036854775808",
                          "limit=%D9%A1", "limit=%00", "limit=1.5", "limit=1" + "0" * 400])
async def test_queries_that_are_wrong(reader: Reader, query: str) -> None:
    for path in reader.lists:
        assert problem(await reader.read(f"{path}?{query}"), 422) == "invalid_fields", path


@pytest.mark.parametrize("query", ["nonsense=1", "limit=20&nonsense=1", "LIMIT=1"])
async def test_queries_that_nobody_knows(reader: Reader, query: str) -> None:
    for path in reader.lists:
        assert problem(await reader.read(f"{path}?{query}"), 422) == "unknown_field", path


@pytest.mark.parametrize("query", ["sort=best", "sort=", "sort=NEW", "unliked=maybe", "unliked=2", "author=",
                                   "author=" + "a" * 31, "author=%00", "sort=new&sort=worst&x=1"])
async def test_feed_queries_that_are_wrong(api: Api, query: str) -> None:
    problem(await api.get(f"/api/posts?{query}"), 422)


@pytest.mark.parametrize("query", ["status=lost", "status=", "status=SENT", "q=", "q=" + "a" * 255, "q=%00", "q=a%0Ab"])
async def test_queries_of_mails_that_are_wrong(reader: Reader, query: str) -> None:
    problem(await reader.read(f"/api/admin/mails?{query}"), 422)


CODES = (
    "0", "a" * 41, "a" * 4000, "%00", "abc%00123", "a%2fb", "%2f", "a%5cb", "%ff", "%ed%a0%80", "%zz", "%", "%25",
    "%D9%A1", "%C3%A9", "%C3%9F", "%E2%84%AA", "%F0%9F%98%80", "%20abc123%20", "%0a", "abc123%0a", "abc123%E2%80%A8",
    "{code}", "%7bcode%7d", "*", "-1", "null", "abc123;a=b", "abc123,abc124", "%3Cscript%3E", "'%20OR%201=1--", "..",
    ".", "%2e%2e", "..%2f..%2fme", "abc123%3f", "abc123%23a", "INVITED", "invited%20")


@pytest.mark.parametrize("code", CODES)
async def test_a_code_that_is_none_is_nobodys(server: Served, code: str) -> None:
    async with server.api.session.get(URL(f"{server.url}/api/referrals/{code}", encoded=True)) as response:
        raw = await response.read()
    if response.status == 200:
        assert json.loads(raw) == {"data": {"valid": False, "inviter": None}}
    else:
        assert response.status in (400, 404) and json.loads(raw)["status"] == response.status


async def test_a_code_is_good_in_any_case_and_with_blanks_around_it(server: Served) -> None:
    code = (await server.api.sign_up("ada"))["user"]["referral_code"]
    for written in (code, code.upper(), f"%20{code}%20"):
        answer = await server.api.call("GET", URL(f"/api/referrals/{written}", encoded=True).raw_path)
        assert answer.data["valid"] and answer.data["inviter"]["username"] == "ada", written


async def test_bytes_that_are_no_text_in_a_query(api: Api, server: Served) -> None:
    for query in ("author=%ff", "author=%ed%a0%80", "cursor=%ff", "author=%zz", "%=%", "&&&=", "author=%F0%9F%98%80"):
        async with api.session.get(URL(f"{server.url}/api/posts?{query}", encoded=True)) as response:
            assert response.status < 500, query


@pytest.mark.parametrize("limit", [1, 100])
async def test_limits_that_are_right(api: Api, limit: int) -> None:
    assert (await api.get(f"/api/posts?limit={limit}")).body == {"data": [], "next": None}


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


GARBAGE = ("x", "null", "0", "=", "%00", "../..", "a" * 200, _cursor("new"), _cursor("new:"), _cursor("new:-1"),
           _cursor("new:1:2:3"), _cursor("new:9007199254740992"), _cursor("new:\u0661"), _cursor("other:1"),
           _cursor("new:1") + "=", _cursor("new: 1"), _cursor("NEW:1"), "\u00e9", _cursor("new:1e3"))


@pytest.mark.parametrize("cursor", GARBAGE)
async def test_cursors_that_are_none(reader: Reader, cursor: str) -> None:
    for path in reader.lists:
        answer = await reader.read(path, cursor=cursor)
        if cursor == _cursor("new:1") + "=" and path == "/api/posts":
            continue
        assert problem(answer, 400) == "bad_cursor", path


async def test_a_cursor_is_too_long(api: Api) -> None:
    problem(await api.get("/api/posts", params={"cursor": "a" * 201}), 422)


async def test_a_cursor_of_another_list_is_refused(serve: Serve) -> None:
    server = await serve({"referrals.inviter_target": "1"})
    api, ada = server.api, await administrator(server)
    bob, eve = [await api.sign_up(referral_code=ada["user"]["referral_code"]) for _ in range(2)]
    posts = [await api.write_post(ada["access_token"]) for _ in range(3)]
    file = [(await upload(api, ada["access_token"]))["id"] for _ in range(2)][0]
    await api.post(f"/api/files/{file}/checks", token=ada["access_token"])
    await stored.some(server)
    for who in (bob, eve):
        await api.call("PUT", f"/api/posts/{posts[0]['id']}/like", token=who["access_token"])
    lists = {"new": "/api/posts?limit=1", "likes": "/api/posts?sort=likes&limit=1",
             "likers": f"/api/posts/{posts[0]['id']}/likes?limit=1", "sessions": "/api/sessions?limit=1",
             "events": "/api/events?after=0&limit=1", "invited": "/api/referrals/invited?limit=1",
             "ledger": "/api/referrals/ledger?limit=1", "people": "/api/people?limit=1",
             "people_named": "/api/people?q=a&limit=1", "addresses": "/api/people/addresses?limit=1",
             "cards": "/api/people/cards?limit=1", "mails": "/api/admin/mails?limit=1",
             "members": "/api/admin/users?limit=1", "any posts": "/api/admin/posts?limit=1",
             "jobs": "/api/admin/jobs?limit=1", "schedules": "/api/admin/schedules?limit=1",
             "files": "/api/files?limit=1", "checks": f"/api/files/{file}/checks?limit=1"}
    cursors = {name: await _next(api, path, ada["access_token"]) for name, path in lists.items()}
    for name, path in lists.items():
        for other, cursor in cursors.items():
            answer = await api.get(path, token=ada["access_token"],
                                   params={"cursor": cursor}) if name != other else None
            assert answer is None or problem(answer, 400) == "bad_cursor", (name, other)


async def _next(api: Api, path: str, token: str) -> str:
    answer = await api.get(path, token=token)
    assert answer.body["next"], path
    return str(answer.body["next"])


@pytest.mark.parametrize("path",
                         ["/api", "/api/", "/api/nothing", "/api/posts/", "/api/posts/1/", "/api//posts", "/API/posts",
                                  "/nothing", "/static/../run.py", "/static/%2e%2e/schema.sql", "/api/posts/1/like/2",
                                  "/static/", "/.git/config", "/docs/", "/api/signup/x", "/favicon.ico"])
async def test_a_path_that_leads_nowhere(api: Api, path: str) -> None:
    async with api.session.get(URL(api.url + path, encoded=True)) as response:
        body = await response.json()
        assert (response.status, body["code"]) == (404, "not_found")
        assert response.headers["Content-Type"] == "application/problem+json"


async def test_another_method_says_which_are_allowed(server: Served) -> None:
    by_path: dict[str, set[str]] = {}
    for route in server.foyer.routes:
        by_path.setdefault(route.path, set()).add(route.method)
    for path, methods in by_path.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - methods:
            answer = await server.api.call(method, filled(path))
            assert problem(answer, 405) == "method_not_allowed"
            allowed = {name.strip() for name in answer.headers["Allow"].split(",")}
            assert allowed == methods | ({"HEAD"} if "GET" in methods else set()), path


async def test_head_is_get_without_a_body(server: Served) -> None:
    token = (await administrator(server, "ada"))["access_token"]
    post = (await server.api.write_post(token))["id"]
    assert (await upload(server.api, token))["id"] == post
    await stored.some(server)
    paths = [filled(route.path, post) for route in server.foyer.routes
             if route.method == "GET" and route.stream is None]
    for path in [*paths, *(NOT_OF_THE_API.keys() - {"/ws"})]:
        head, get = [await server.api.call(method, path, token=token) for method in ("HEAD", "GET")]
        assert head.status == get.status == 200 and head.raw == b"", path
        assert head.headers["Content-Type"] == get.headers["Content-Type"]
        guarded(head)
        guarded(get)


async def test_head_of_a_stream_ends_at_once(server: Served) -> None:
    token = (await server.api.sign_up())["access_token"]
    streams = [route.path for route in server.foyer.routes if route.stream is not None]
    assert streams
    for path in streams:
        head = await server.api.call("HEAD", path, token=token)
        async with server.api.session.get(server.url + path, headers={"Authorization": f"Bearer {token}"}) as get:
            assert (head.status, head.raw) == (get.status, b"") == (200, b"")
            assert head.headers["Content-Type"] == get.headers["Content-Type"]
        guarded(head)


async def test_errors_of_head_have_no_body_either(api: Api) -> None:
    for path, status in (("/api/me", 401), ("/api/posts/9", 404), ("/nothing", 404), ("/api/login", 405)):
        answer = await api.call("HEAD", path)
        assert (answer.status, answer.raw) == (status, b"")


IDS = {"a": True, "A-b_c.d:9": True, "a" * 64: True, "a" * 65: False, "": False, "a b": False, "a\tb": False,
       "<script>": False, "a;b": False, "\u00e9": False, "a,b": False}


@pytest.mark.parametrize("given", IDS)
async def test_the_request_id_is_taken_if_it_is_sane(api: Api, given: str) -> None:
    for path in ("/api/posts", "/api/nothing", "/api/me"):
        answer = await api.get(path, headers={"X-Request-ID": given})
        told = answer.headers["X-Request-ID"]
        assert (told == given) == IDS[given] and 1 <= len(told) <= 64
        assert answer.status == 200 or answer.body["request_id"] == told


async def test_every_answer_has_a_request_id_of_its_own(api: Api) -> None:
    ids: set[Any] = {(await api.get("/api/posts")).headers["X-Request-ID"] for _ in range(20)}
    assert len(ids) == 20
