"""Public profiles: who is here, and nothing that is not for everybody."""
from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.conftest import Serve
from tests.support import PASSWORD, Api, Served
from tests.web.hostile import problem

FIELDS = {"id", "username", "name", "title", "company", "location", "bio", "site", "avatar_url", "created_at",
          "post_count"}
NAMES = ["Ada", "ada-l", "ada.l", "ada_l", "adam", "ada1", "bob", "0da", "ADB", "zed"]


@pytest.fixture
async def server(serve: Serve) -> Served:
    return await serve({"sandbox.mode": "off", "limits.enabled": "no"})


@pytest.fixture
async def people(api: Api) -> dict[str, Any]:
    """Everybody's session, by name."""
    return {name: await api.sign_up(name, birth_date="1987-02-28", bio=f"I am {name}") for name in NAMES}


async def pages(api: Api, query: str, limit: int) -> list[str]:
    """The names on all pages."""
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        answer = await api.get(f"/api/users?limit={limit}{query}{cursor and '&cursor=' + cursor}")
        assert len(answer.data) <= limit
        found += [person["username"] for person in answer.data]
        cursor = answer.body["next"]
    return found


async def test_a_profile_is_found_by_its_name_without_case(api: Api, people: dict[str, Any]) -> None:
    await api.write_post(people["Ada"]["access_token"])
    for name in ("Ada", "ada", "ADA"):
        shown = (await api.get(f"/api/users/{name}")).data
        assert set(shown) == FIELDS
        assert (shown["username"], shown["bio"], shown["post_count"]) == ("Ada", "I am Ada", 1)
    for name in NAMES:
        assert (await api.get(f"/api/users/{name}")).data["username"] == name


async def test_nothing_private_is_shown(api: Api, people: dict[str, Any]) -> None:
    for path in ("/api/users", "/api/users?q=a", "/api/users/ada"):
        raw = (await api.get(path)).raw
        assert b"@" not in raw and b"1987" not in raw and b"email" not in raw and b"$2b$" not in raw
        assert people["Ada"]["user"]["referral_code"].encode() not in raw


@pytest.mark.parametrize("name", [
    "nobody", "ad", "a" * 31, "ada%20", "ada%0a", "%C4%B0da", "ad%E2%84%AA", "ada%00", "%ed%a0%80", "1", "123456",
    "..", "%2e%2e%2f", "ada@example.org", "null", "{username}", "a" * 5000, "'%20OR%201=1", "ada%2fx"])
async def test_who_is_not_there(api: Api, people: dict[str, Any], name: str) -> None:
    assert problem(await api.get(f"/api/users/{name}"), 404) == "not_found"


async def test_the_list_is_newest_first_and_has_pages(api: Api, people: dict[str, Any]) -> None:
    for limit in (1, 3, 10, 100):
        assert await pages(api, "", limit) == NAMES[::-1]
    assert all(set(person) == FIELDS for person in (await api.get("/api/users")).data)


@pytest.mark.parametrize("prefix", ["a", "A", "ada", "ADA", "ada-", "ada.l", "adam", "0", "z", "_", "zzz", "b"])
async def test_those_whose_name_begins_with_something(api: Api, people: dict[str, Any], prefix: str) -> None:
    expected = sorted((name for name in NAMES if name.lower().startswith(prefix.lower())), key=str.lower)
    for limit in (1, 2, 100):
        assert await pages(api, f"&q={prefix}", limit) == expected


async def test_a_page_goes_on_behind_somebody_who_has_left(api: Api, people: dict[str, Any]) -> None:
    for query in ("", "&q=ad"):
        first = await api.get(f"/api/users?limit=4{query}")
        last = people[first.data[-1]["username"]]["access_token"]
        body = {"password": PASSWORD}
        assert (await api.call("DELETE", "/api/me", token=last, json=body)).status == 204
        behind = (await api.get(f"/api/users?limit=2{query}&cursor={first.body['next']}")).data
        assert [person["username"] for person in behind] == (await pages(api, query, 100))[3:5]


async def test_what_is_refused(api: Api, people: dict[str, Any]) -> None:
    by_name = (await api.get("/api/users?limit=1&q=a")).body["next"]
    by_id = (await api.get("/api/users?limit=1")).body["next"]
    odd = base64.urlsafe_b64encode(b"names:a\x00").decode()
    for query in (f"cursor={by_name}", f"q=a&cursor={by_id}", "cursor=x", "q=a&cursor=!!", f"q=a&cursor={odd}"):
        assert problem(await api.get(f"/api/users?{query}"), 400) == "bad_cursor"
    for query in ("q=", "q=%25", "q=a%20b", "q=" + "a" * 31, "q=%C3%A9", "q=a%0a", "limit=0", "limit=101", "sort=name"):
        problem(await api.get(f"/api/users?{query}"), 422)
