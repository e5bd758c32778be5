"""Sessions: seen, ended, and what is over is over at once."""
from __future__ import annotations

import asyncio
import re

from tests.accounts.conftest import HandClock
from tests.support import PASSWORD, Api
from tests.web.hostile import problem

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NEW = "an0ther-good-one"


async def _login(api: Api, device: str = "a program", password: str = PASSWORD) -> str:
    answer = await api.post("/api/login", {"username": "ada", "password": password}, headers={"User-Agent": device})
    return str(answer.data["access_token"])


async def test_the_list_shows_what_helps_to_recognise_them(api: Api, clock: HandClock) -> None:
    first = (await api.sign_up("ada"))["access_token"]
    clock.wait(5)
    second = await _login(api, "Browser\u00e9 <b>1.0</b>" + "x" * 500)
    sessions = (await api.get("/api/sessions", token=second)).data
    assert [set(session) for session in sessions] == [
        {"id", "device", "address", "created_at", "last_used_at", "expires_at", "current"}] * 2
    assert [session["current"] for session in sessions] == [True, False]
    assert sessions[0]["device"].startswith("Browser <b>1.0") and len(sessions[0]["device"]) == 200
    assert sessions[0]["address"] == "127.0.0.1" and sessions[0]["created_at"] > sessions[1]["created_at"]
    for session in sessions:
        assert all(TIME.fullmatch(session[name]) for name in ("created_at", "last_used_at", "expires_at"))
    assert [session["current"] for session in (await api.get("/api/sessions", token=first)).data] == [False, True]


async def test_the_list_has_pages(api: Api) -> None:
    token = (await api.sign_up("ada"))["access_token"]
    for _ in range(4):
        await _login(api)
    found, cursor = [], ""
    while cursor is not None:
        answer = await api.get(f"/api/sessions?limit=2{cursor and '&cursor=' + cursor}", token=token)
        found += [session["id"] for session in answer.data]
        cursor = answer.body["next"]
    assert len(found) == 5 and found == sorted(found, reverse=True)


async def test_refreshing_shows_as_use(api: Api, clock: HandClock) -> None:
    session = await api.sign_up("ada")
    clock.wait(100)
    await api.post("/api/token/refresh", {"refresh_token": session["refresh_token"]})
    shown = (await api.get("/api/sessions", token=session["access_token"])).data[0]
    assert shown["last_used_at"] > shown["created_at"]


async def test_signing_out_refuses_the_tokens_at_once(api: Api) -> None:
    session = await api.sign_up("ada")
    other = await _login(api)
    answer = await api.post("/api/logout", token=session["access_token"])
    assert (answer.status, answer.raw) == (204, b"")
    assert 'foyer_refresh=""' in answer.headers["Set-Cookie"] and "Path=/api/token" in answer.headers["Set-Cookie"]
    problem(await api.get("/api/me", token=session["access_token"]), 401)
    problem(await api.post("/api/posts", {"title": "a", "text": "b"}, token=session["access_token"]), 401)
    problem(await api.post("/api/token/refresh", {"refresh_token": session["refresh_token"]}), 401)
    problem(await api.post("/api/logout", token=session["access_token"]), 401)
    assert (await api.get("/api/me", token=other)).status == 200
    assert len((await api.get("/api/sessions", token=other)).data) == 1


async def test_ending_another_session_of_ones_own(api: Api) -> None:
    first = (await api.sign_up("ada"))["access_token"]
    second = await _login(api)
    id_ = next(each["id"] for each in (await api.get("/api/sessions", token=first)).data if not each["current"])
    assert (await api.call("DELETE", f"/api/sessions/{id_}", token=first)).status == 204
    problem(await api.get("/api/me", token=second), 401)
    problem(await api.call("DELETE", f"/api/sessions/{id_}", token=first), 404)
    assert (await api.get("/api/me", token=first)).status == 200


async def test_ending_the_session_one_is_in(api: Api) -> None:
    token = (await api.sign_up("ada"))["access_token"]
    id_ = (await api.get("/api/sessions", token=token)).data[0]["id"]
    assert (await api.call("DELETE", f"/api/sessions/{id_}", token=token)).status == 204
    problem(await api.get("/api/me", token=token), 401)


async def test_somebody_elses_session_is_not_there(api: Api) -> None:
    ada, bob = (await api.sign_up("ada"))["access_token"], (await api.sign_up("bob"))["access_token"]
    id_ = (await api.get("/api/sessions", token=ada)).data[0]["id"]
    answer = await api.call("DELETE", f"/api/sessions/{id_}", token=bob)
    assert problem(answer, 404) == "not_found"
    assert (await api.get("/api/me", token=ada)).status == 200


async def test_another_password_ends_all_other_sessions(api: Api) -> None:
    session = await api.sign_up("ada")
    others = [await _login(api) for _ in range(3)]
    answer = await api.post("/api/me/password", {"current": PASSWORD, "new": NEW}, token=others[1])
    assert (answer.status, answer.raw) == (204, b"")
    assert (await api.get("/api/me", token=others[1])).status == 200
    for token in (session["access_token"], others[0], others[2]):
        problem(await api.get("/api/me", token=token), 401)
    problem(await api.post("/api/token/refresh", {"refresh_token": session["refresh_token"]}), 401)
    problem(await api.post("/api/login", {"username": "ada", "password": PASSWORD}), 401)
    assert await _login(api, password=NEW)


async def test_a_password_is_not_changed_without_the_old_one(api: Api) -> None:
    token = (await api.sign_up("ada"))["access_token"]
    for body, status, fields in (
            ({"current": "wr0ng-horse", "new": NEW}, 403, {"current": "wrong_password"}),
            ({"current": PASSWORD, "new": "password"}, 422, {"new": "too_common"}),
            ({"current": PASSWORD, "new": "ada@example.org"}, 422, {"new": "is_the_name"}),
            ({"current": "", "new": "short"}, 422, {"current": "too_short", "new": "too_short"})):
        answer = await api.post("/api/me/password", body, token=token)
        problem(answer, status)
        assert answer.fields == fields
    assert await _login(api)


async def test_a_change_that_comes_in_between_is_looked_at_again(api: Api) -> None:
    """Whoever is overtaken between the proof of the password and the write proves it once more."""
    token = (await api.sign_up("ada"))["access_token"]

    async def change(new: str) -> int:
        return (await api.post("/api/me/password", {"current": PASSWORD, "new": new}, token=token)).status
    assert await asyncio.gather(*(change(PASSWORD) for _ in range(3))) == [204] * 3
    assert sorted(await asyncio.gather(change(NEW), change(NEW))) == [204, 403]
    await _login(api, password=NEW)
