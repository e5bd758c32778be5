"""Refreshing: the same old token gives the same pair for 30 seconds, then ends the session."""
from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie
from typing import Any

import pytest

from tests.accounts.conftest import HandClock
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Api
from tests.web.hostile import problem


async def refresh(api: Api, token: str, **options: Any) -> Answer:
    """Asks for a new pair."""
    return await api.post("/api/token/refresh", {"refresh_token": token}, **options)


async def test_a_pair_for_a_token(api: Api, clock: HandClock) -> None:
    session = await api.sign_up()
    clock.wait(60)
    pair = (await refresh(api, session["refresh_token"])).data
    assert set(pair) == {"access_token", "refresh_token", "expires_at"}
    assert pair["access_token"] != session["access_token"] and pair["refresh_token"] != session["refresh_token"]
    for token in (session["access_token"], pair["access_token"]):
        assert (await api.get("/api/me", token=token)).data["id"] == session["user"]["id"]
    assert pair["expires_at"] > session["expires_at"]


async def test_the_same_pair_for_thirty_seconds(api: Api, clock: HandClock) -> None:
    session = await api.sign_up()
    first = await refresh(api, session["refresh_token"])
    for seconds in (0, 10, 19):
        clock.wait(seconds)
        again = await refresh(api, session["refresh_token"])
        assert (again.status, again.raw) == (200, first.raw)
        assert again.headers["Set-Cookie"] == first.headers["Set-Cookie"]


async def test_fifty_at_once_get_one_pair(api: Api) -> None:
    session = await api.sign_up()
    answers = await asyncio.gather(*[refresh(api, session["refresh_token"]) for _ in range(50)])
    assert {answer.status for answer in answers} == {200} and len({answer.raw for answer in answers}) == 1
    assert (await refresh(api, answers[0].data["refresh_token"])).status == 200


async def test_later_it_ends_the_session(api: Api, clock: HandClock) -> None:
    session = await api.sign_up("ada")
    other = (await api.post("/api/login", {"username": "ada", "password": PASSWORD})).data
    pair = (await refresh(api, session["refresh_token"])).data
    clock.wait(31)
    assert problem(await refresh(api, session["refresh_token"]), 401) == "token_reused"
    for token in (session["access_token"], pair["access_token"]):
        problem(await api.get("/api/me", token=token), 401)
    for token in (session["refresh_token"], pair["refresh_token"]):
        assert problem(await refresh(api, token), 401) == "token_invalid"
    assert (await api.get("/api/me", token=other["access_token"])).status == 200
    assert (await refresh(api, other["refresh_token"])).status == 200


async def test_a_much_older_token_ends_it_too(api: Api, clock: HandClock) -> None:
    session = await api.sign_up()
    token = session["refresh_token"]
    for _ in range(3):
        clock.wait(60)
        token = (await refresh(api, token)).data["refresh_token"]
    assert problem(await refresh(api, session["refresh_token"]), 401) == "token_reused"
    problem(await refresh(api, token), 401)


async def test_a_forged_token_ends_nothing(api: Api, clock: HandClock) -> None:
    session = await api.sign_up()
    pair = (await refresh(api, session["refresh_token"])).data
    clock.wait(60)
    number, generation, mac = session["refresh_token"].split(".")
    for forged in (f"{number}.{generation}.{'A' * 43}", f"{number}.0.{mac}", f"{number}.3.{mac}", f"{number}.99.{mac}",
                   f"0{number}.{generation}.{mac}", f"{number}.{generation}.{mac}=", f"{number}.{generation}.{mac} "):
        assert problem(await refresh(api, forged), 401) == "token_invalid"
    assert (await refresh(api, pair["refresh_token"])).status == 200


async def test_an_access_token_is_no_refresh_token(api: Api) -> None:
    session = await api.sign_up()
    problem(await refresh(api, session["access_token"]), 401)


async def test_a_session_that_is_not_used_ends(serve: Serve) -> None:
    server = await serve({"auth.refresh_days": "2"})
    clock = HandClock(server)
    session = await server.api.sign_up()
    clock.wait(2 * 86400 - 60)
    pair = (await refresh(server.api, session["refresh_token"])).data
    clock.wait(2 * 86400 - 60)
    pair = (await refresh(server.api, pair["refresh_token"])).data
    clock.wait(2 * 86400 + 60)
    assert problem(await refresh(server.api, pair["refresh_token"]), 401) == "token_invalid"


def cookie_of(answer: Answer) -> Any:
    """The refresh cookie of an answer."""
    assert len(answer.headers.getall("Set-Cookie")) == 1
    cookies = SimpleCookie(answer.headers["Set-Cookie"])
    assert len(cookies) == 1
    return next(iter(cookies.values()))


async def test_the_cookie_is_for_browsers_only(api: Api) -> None:
    body = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
    for answer in (await api.post("/api/signup", body),
                   await api.post("/api/login", {"username": "ada", "password": PASSWORD})):
        cookie = cookie_of(answer)
        assert cookie.value == answer.data["refresh_token"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/api/token")
        assert int(cookie["max-age"]) == 30 * 86400 and not cookie["domain"] and not cookie["secure"]
        again = await api.post("/api/token/refresh", headers={"Cookie": f"{cookie.key}={cookie.value}"})
        assert again.status == 200 and cookie_of(again).value == again.data["refresh_token"]


async def test_behind_https_the_cookie_is_secure(serve: Serve) -> None:
    server = await serve({"server.public_url": "https://foyer.example.org"})
    answer = await server.api.post("/api/signup", {"username": "ada", "email": "ada@example.org", "password": PASSWORD})
    assert cookie_of(answer)["secure"]


async def test_the_body_goes_before_the_cookie(api: Api) -> None:
    ada, bob = await api.sign_up("ada"), await api.sign_up("bob")
    answer = await refresh(api, ada["refresh_token"], headers={"Cookie": f"foyer_refresh={bob['refresh_token']}"})
    assert (await api.get("/api/me", token=answer.data["access_token"])).data["username"] == "ada"


@pytest.mark.parametrize("body", [None, {}, {"refresh_token": None}])
async def test_without_any_token(api: Api, body: Any) -> None:
    answer = await api.post("/api/token/refresh", body)
    problem(answer, 422)
    assert answer.fields == {"refresh_token": "required"}


async def test_an_odd_cookie_is_none(api: Api) -> None:
    for cookie in ("foyer_refresh=", "foyer_refresh=null", 'foyer_refresh="a;b"', "foyer_refresh=\u00e9",
                   "x=1; foyer_refresh=%00"):
        answer = await api.post("/api/token/refresh", headers={"Cookie": cookie})
        assert problem(answer) in ("token_invalid", "invalid_fields")
