"""Signing in: by name and by address, and nothing is given away to those who cannot."""
from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from server.accounts.passwords import Hasher
from server.core.errors import Problem
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Api, Served
from tests.web.hostile import problem


async def login(api: Api, username: str, password: str = PASSWORD) -> Answer:
    """Tries to sign in."""
    return await api.post("/api/login", {"username": username, "password": password})


@pytest.mark.parametrize("name", ["Ada", "ada", "ADA", "ada@example.org", "Ada@EXAMPLE.org", "\uff21da@example.org"])
async def test_by_name_and_by_address(api: Api, name: str) -> None:
    await api.sign_up("Ada", email="Ada@example.org")
    answer = await login(api, name)
    assert set(answer.data) == {"user", "access_token", "refresh_token", "expires_at"}
    assert answer.data["user"]["username"] == "Ada" and b"$2b$" not in answer.raw
    assert (await api.get("/api/me", token=answer.data["access_token"])).data["id"] == answer.data["user"]["id"]


async def test_the_same_answer_for_an_unknown_name_and_a_wrong_password(api: Api) -> None:
    await api.sign_up("ada")
    bodies = set()
    for name in ("ada", "nobody", "ada@example.org", "nobody@example.org", "\u212a\u0130", "a\u0301da", "@", "x" * 254,
                 " ada"):
        answer = await login(api, name, "wr0ng-horse")
        assert problem(answer, 401) == "bad_credentials"
        bodies.add(answer.raw.replace(answer.body["request_id"].encode(), b"-"))
        assert "Set-Cookie" not in answer.headers
    assert len(bodies) == 1


async def test_the_same_time_for_an_unknown_name_and_a_wrong_password(serve: Serve) -> None:
    server = await serve({"auth.bcrypt_cost": "7"})
    await server.api.sign_up("ada")
    seconds: dict[str, list[float]] = {"ada": [], "nobody": []}
    for _ in range(25):
        for name, taken in seconds.items():
            begin = time.perf_counter()
            await login(server.api, name, "wr0ng-horse")
            taken.append(time.perf_counter() - begin)
    known, unknown = [statistics.median(taken) for taken in seconds.values()]
    assert 0.6 < known / unknown < 1.6


async def test_a_hash_of_another_cost_is_renewed_and_still_lets_in(serve: Serve, tmp_path: Path) -> None:
    server = await serve({"auth.bcrypt_cost": "4"})
    await server.api.sign_up("ada")
    await server.stop()
    server = await serve({"auth.bcrypt_cost": "5"})
    assert (await login(server.api, "ada")).status == 200
    row = await server.foyer.database.read(_hash_of, "ada")
    assert row.startswith("$2b$05$")
    assert (await login(server.api, "ada")).status == 200


async def _hash_of(tx: object, name: str) -> str:
    return str(await tx.value("SELECT password_hash FROM users WHERE username_key = $1",
                              name))  # type: ignore[attr-defined]


async def test_a_suspended_member_is_not_let_in(server: Served) -> None:
    session = await server.api.sign_up("ada")
    await server.foyer.database.write(_suspend)
    assert problem(await login(server.api, "ada"), 403) == "suspended"
    assert problem(await login(server.api, "ada", "wr0ng-horse"), 401) == "bad_credentials"
    refreshed = await server.api.post("/api/token/refresh", {"refresh_token": session["refresh_token"]})
    assert problem(refreshed, 401) == "token_invalid"


async def _suspend(tx: object) -> None:
    await tx.run("UPDATE users SET suspended_at = 1")  # type: ignore[attr-defined]


async def test_a_damaged_hash_is_nobodys() -> None:
    hasher = Hasher(4)
    try:
        for stored in ("", "x", "$2b$04$", "$2b$99$" + "a" * 53, "\0"):
            assert not await hasher.verify(PASSWORD, stored)
        assert not await hasher.verify(PASSWORD, None)
        assert await hasher.verify(PASSWORD, await hasher.hash(PASSWORD))
        assert await hasher.hash(PASSWORD) != await hasher.hash(PASSWORD)
    finally:
        hasher.close()


async def test_too_many_waiting_are_told_to_come_again() -> None:
    hasher = Hasher(4)
    hasher._seconds, hasher._waiting = 1.0, 1000
    try:
        with pytest.raises(Problem) as caught:
            await hasher.verify(PASSWORD, None)
        assert caught.value.code == "busy" and caught.value.headers["Retry-After"]
    finally:
        hasher.close()
