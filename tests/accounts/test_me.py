"""Oneself: read and changed."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.accounts.letters import confirmed, moved
from tests.support import PASSWORD, Answer, Api, Served, until
from tests.web.hostile import problem

PROFILE = {"name": "Ada", "title": "Countess", "company": "Engines", "bio": "A\nbio", "location": "London",
           "site": "https://example.org/ada?x=1#y", "avatar_url": "http://example.org:8080/a.png",
           "birth_date": "1999-12-10"}


async def _patch(api: Api, token: str, **fields: Any) -> Answer:
    return await api.call("PATCH", "/api/me", json=fields, token=token)


@pytest.fixture
async def token(api: Api) -> str:
    """Ada's; her enrichment is done, so that it fills nothing in meanwhile."""
    token = (await api.sign_up("ada"))["access_token"]

    async def done() -> bool:
        return (await api.get("/api/me/enrichment", token=token)).data["status"] == "found"
    await until(done)
    return str(token)


async def test_what_is_given_is_written_and_the_rest_is_left(api: Api, token: str) -> None:
    changed = (await _patch(api, token, **PROFILE)).data
    assert {name: changed[name] for name in PROFILE} == PROFILE
    changed = (await _patch(api, token, name="Augusta")).data
    assert {name: changed[name] for name in PROFILE} == {**PROFILE, "name": "Augusta"}
    assert (await api.get("/api/me", token=token)).data == changed


async def test_null_empties_each_field(api: Api, token: str) -> None:
    await _patch(api, token, **PROFILE)
    for name in PROFILE:
        assert (await _patch(api, token, **{name: None})).data[name] is None
    assert (await _patch(api, token)).status == 200


async def test_what_cannot_be_changed_is_unknown(api: Api, token: str) -> None:
    before = (await api.get("/api/me", token=token)).data
    for name in ("id", "username", "role", "password", "password_hash", "email_status", "created_at", "post_count",
                 "referral_code", "email_confirmed_at", "email_pending", "email_wanted", "enrichment", "user_id"):
        answer = await _patch(api, token, **{name: before.get(name, "x"), "bio": "changed"})
        problem(answer, 422)
        assert answer.fields == {name: "unknown_field"}
    assert (await api.get("/api/me", token=token)).data == before


TODAY = datetime.now(UTC).date()
BAD: list[tuple[str, Any]] = [
    *[(field, value) for field in ("site", "avatar_url") for value in (
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "ftp://example.org", "//example.org",
        "example.org",
        "http://", "https:///path", "http://user:secret@example.org", "http://@example.org", "https://exa mple.org",
        "https://example.org/\"onload=x", "https://example.org/<b>", "http://[::1", "http://example.org:99999",
        "http://example.org:0", "https://example.org\\@evil.test", "\thttps://example.org", "vbscript:x://y.z", "",
        "https://example.org/" + "x" * 500)],
    *[("birth_date", value) for value in (
        "", "1999-13-01", "1999-02-29", "1899-12-31", "99-01-01", "19991210", "1999-12-10T00:00:00Z", "1999-12-10\n",
        "0000-00-00",
        "\u0661\u0669\u0669\u0669-12-10", str(TODAY + timedelta(days=2)), "9999-12-31", 19991210, {"year": 1999})],
    ("name", ""), ("name", "x" * 121), ("bio", "x" * 1001), ("bio", ""), ("title", "x" * 121), ("company", 7),
    ("location", ["London"]), ("email", None), ("email", "ada"), ("email", ""),
]


async def test_values_that_are_refused(api: Api, token: str) -> None:
    before = (await api.get("/api/me", token=token)).data
    for field, value in BAD:
        answer = await _patch(api, token, **{field: value})
        assert answer.status == 422 and set(answer.fields) == {field}, (field, value, answer.raw)
        problem(answer)
    assert (await api.get("/api/me", token=token)).data == before


async def test_lengths_are_counted_in_characters(api: Api, token: str) -> None:
    fields = {"name": "\U0001f600" * 120, "bio": "\u00e9" * 1000, "birth_date": str(TODAY)}
    changed = (await _patch(api, token, **fields)).data
    assert {name: changed[name] for name in fields} == fields


async def test_another_address_is_judged_anew(server: Served, token: str) -> None:
    api = server.api
    changed = (await _patch(api, token, email="Ada+webmail@Example.ORG")).data
    assert (changed["email"], changed["email_status"]) == ("ada@example.org", "valid")
    assert changed["email_pending"] == "Ada+webmail@example.org"
    await confirmed(server, "Ada+webmail@example.org", "confirm_new")
    changed = (await api.get("/api/me", token=token)).data
    assert (changed["email"], changed["email_status"]) == ("Ada+webmail@example.org", "webmail")
    answer = await _patch(api, token, email="ada+disposable@example.org", name="Not written")
    assert problem(answer, 422) == "email_undeliverable" and answer.fields == {"email": "email_undeliverable"}
    me = (await api.get("/api/me", token=token)).data
    assert (me["email"], me["name"] == "Not written") == ("Ada+webmail@example.org", False)
    assert (await api.post("/api/login", {"username": "ADA+webmail@example.org", "password": PASSWORD})).status == 200
    problem(await api.post("/api/login", {"username": "ada@example.org", "password": PASSWORD}), 401)


async def test_a_verdict_that_comes_late(server: Served, token: str) -> None:
    await moved(server, token, "ada+later@example.org")

    async def valid() -> bool:
        return bool((await server.api.get("/api/me", token=token)).data["email_status"] == "valid")
    await until(valid)
    events = (await server.api.get("/api/events?after=0", token=token)).data
    assert [event["type"] for event in events].count("email_verified") == 1


async def test_the_same_address_again_asks_nobody(server: Served, token: str) -> None:
    before = await server.api.calls(server.sandbox, "hunter")
    assert (await _patch(server.api, token, email="ada@example.org")).status == 200
    assert await server.api.calls(server.sandbox, "hunter") == before


async def test_another_members_address_is_taken(api: Api, token: str) -> None:
    await api.sign_up("bob")
    for email in ("bob@example.org", "BOB@EXAMPLE.ORG", "\uff42ob@example.org"):
        answer = await _patch(api, token, email=email)
        assert problem(answer, 409) == "email_taken" and answer.fields == {"email": "email_taken"}
    assert (await _patch(api, token, email="ADA@example.org")).data["email_pending"] == "ADA@example.org"


async def test_what_was_given_up_is_free_again(server: Served, token: str) -> None:
    api = server.api
    await moved(server, token, "other@example.org")
    assert (await api.sign_up("second", email="ada@example.org"))["user"]["email"] == "ada@example.org"


async def test_the_hash_is_never_shown(api: Api, token: str) -> None:
    for path in ("/api/me", "/api/sessions", "/api/events?after=0", "/api/posts"):
        raw = (await api.get(path, token=token)).raw
        assert b"$2b$" not in raw and b"password" not in raw and b"nonce" not in raw


async def test_enrichment_is_shown_as_its_own_route_shows_it(api: Api, token: str) -> None:
    shown = (await api.get("/api/me/enrichment", token=token)).data
    assert set(shown) == {"status", "provider", "attempts", "updated_at", "next_attempt_at", "fields"}
    assert (await api.get("/api/me", token=token)).data["enrichment"] == shown
    assert all(set(field) == {"value", "source", "at"} for field in shown["fields"].values())


async def test_the_authors_name_changes_in_the_feed(api: Api, token: str) -> None:
    post = await api.write_post(token)
    reader = (await api.sign_up("bob"))["access_token"]
    for number in range(5):
        name, picture = f"Name {number}", f"https://example.org/{number}.png"
        for who in (None, reader, token):
            await api.get("/api/posts", token=who)
            await api.get(f"/api/posts/{post['id']}", token=who)
        await _patch(api, token, name=name, avatar_url=picture)
        for who in (None, reader, token):
            for shown in ((await api.get("/api/posts", token=who)).data[0],
                          (await api.get(f"/api/posts/{post['id']}", token=who)).data):
                assert (shown["author"]["name"], shown["author"]["avatar_url"]) == (name, picture)
