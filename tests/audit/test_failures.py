"""Wrong passwords: counted by the minute, alike for names that are somebody's and names that are nobody's."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from server.storage import Tx
from tests.accounts.conftest import HandClock
from tests.audit.support import WRONG, login, rows
from tests.conftest import Serve
from tests.support import PASSWORD, Served
from tests.web.hostile import problem

PROXY = {"server.trusted_proxies": "127.0.0.1/32"}
NAMES = ("nobody", "nobody@example.org", "no name at all", "a@b@c", "x" * 200)


@pytest.fixture
async def behind(serve: Serve) -> Served:
    """A server to which a proxy says where its clients are, and at which nobody is held back."""
    return await serve({**PROXY, "limits.enabled": "no"})


async def failures(served: Served) -> list[tuple[Any, ...]]:
    """By whom, about whom, from where and how often."""
    return [(row["actor_id"], row["member_id"], row["address"], row["details"]["times"]) for row in await rows(served)
            if row["act"] == "login_failed"]


async def test_there_is_one_row_for_each_address_and_account(behind: Served) -> None:
    ada, bob = [(await behind.api.sign_up(name))["user"]["id"] for name in ("ada", "bob")]
    for _ in range(3):
        for name in ("ada", "bob", "ada@example.org", *NAMES):
            for address in ("203.0.113.1", "203.0.113.2"):
                problem(await login(behind, name, WRONG, **{"X-Forwarded-For": address}), 401)
    assert sorted(await failures(behind), key=repr) == sorted([
        (None, who, address, times) for address in ("203.0.113.1", "203.0.113.2")
        for who, times in ((ada, 6), (bob, 3), (None, 3 * len(NAMES)))], key=repr)


class Told:
    """A transaction that remembers which statements it was told."""

    def __init__(self, tx: Tx, statements: list[str]) -> None:
        self._tx, self._statements = tx, statements

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._tx, name)
        if name not in ("one", "all", "value", "run"):
            return found

        def tell(sql: str, *args: Any) -> Any:
            self._statements.append(sql)
            return found(sql, *args)
        return tell


def _told(served: Served, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with the statements of what is written."""
    statements: list[str] = []
    write = served.foyer.database.write

    async def told(function: Callable[..., Any], *args: Any) -> Any:
        return await write(lambda tx: function(Told(tx, statements), *args))
    monkeypatch.setattr(served.foyer.database, "write", told)
    return statements


@pytest.mark.parametrize("tries", [1, 2, 3, 4])  # a row of its own, one more in it, refused, refused and known
async def test_a_name_that_is_nobodys_costs_the_same_statements(serve: Serve, monkeypatch: pytest.MonkeyPatch,
                                                                tries: int) -> None:
    server = await serve({"sandbox.mode": "off", "limits.login_failures": "2/15 minutes"})
    await server.api.sign_up("ada")
    await server.foyer.worker.stop()
    statements, costs = _told(server, monkeypatch), []
    for name in ("ada", "nobody"):
        for _ in range(tries):
            del statements[:]
            answer = await login(server, name, WRONG)
        assert answer.status == (401 if tries <= 2 else 429)
        costs.append(list(statements))
    assert costs[0] == costs[1] and any("audit" in sql for sql in costs[0]) == (tries <= 3)


async def test_the_name_that_was_typed_stands_nowhere(behind: Served) -> None:
    name = "quintessa-zephyrine"
    for typed in (name, f"{name}@folly.example"):
        problem(await login(behind, typed, WRONG), 401)
    assert await failures(behind) == [(None, None, "127.0.0.1", 2)]
    assert [file for file, content in behind.stored().items() if name.encode() in content.lower()] == []


async def test_the_next_minute_has_a_row_of_its_own(server: Served) -> None:
    clock = HandClock(server)
    await server.api.sign_up("ada")
    for seconds in (0, 30, 29, 2, 1, 59):
        clock.wait(seconds)
        problem(await login(server, "ada", WRONG), 401)
    assert [times for *_, times in await failures(server)] == [3, 2, 1]


async def test_those_at_once_are_all_counted(behind: Served) -> None:
    await behind.api.sign_up("ada")
    answers = await asyncio.gather(*[login(behind, name, WRONG) for name in ("ada", "nobody") for _ in range(15)])
    assert {answer.status for answer in answers} == {401}
    assert sorted(times for *_, times in await failures(behind)) == [15, 15]


async def test_whoever_has_a_token_does_not_try_passwords_unseen(server: Served) -> None:
    session = await server.api.sign_up("ada")
    token, id_ = session["access_token"], session["user"]["id"]
    problem(await server.api.post("/api/me/password", {"current": WRONG, "new": "an0ther-good-one"}, token=token), 403)
    problem(await server.api.call("DELETE", "/api/me", json={"password": WRONG}, token=token), 403)
    problem(await login(server, "ada", WRONG), 401)
    assert await failures(server) == [(id_, id_, "127.0.0.1", 2), (None, id_, "127.0.0.1", 1)]


async def test_a_failed_sign_in_that_is_asked_for_again_is_counted_once(server: Served) -> None:
    for _ in range(3):
        assert (await login(server, "nobody", WRONG, **{"Idempotency-Key": "the-key"})).status == 401
    assert await failures(server) == [(None, None, "127.0.0.1", 1)]


async def blocks(served: Served) -> list[Any]:
    """About whom and from where."""
    return [(row["member_id"], row["address"]) for row in await rows(served) if row["act"] == "login_blocked"]


async def test_too_many_are_told_once_for_each_account(serve: Serve) -> None:
    server = await serve({**PROXY, "sandbox.mode": "off", "limits.login": "1000/minute",
                          "limits.login_failures": "2/15 minutes"})
    clock, id_ = HandClock(server), (await server.api.sign_up("ada"))["user"]["id"]
    for address in ("203.0.113.1", "203.0.113.2"):
        for name in ("ada", "nobody"):
            answers = [await login(server, name, WRONG, **{"X-Forwarded-For": address}) for _ in range(5)]
            assert [answer.status for answer in answers] == [401] * 2 + [429] * 3
    assert await blocks(server) == [(id_, "203.0.113.1"), (None, "203.0.113.1")]
    clock.wait(16 * 60)
    assert [(await login(server, "ada", WRONG)).status for _ in range(3)] == [401, 401, 429]
    assert (await blocks(server))[2:] == [(id_, "127.0.0.1")]


async def test_an_owner_who_is_let_in_all_the_same_is_not_blocked(serve: Serve) -> None:
    server = await serve({**PROXY, "sandbox.mode": "off", "limits.login": "1000/minute",
                          "limits.login_failures": "1000/15 minutes"})
    await server.api.sign_up("ada")
    answers = [await login(server, "ada", WRONG, **{"X-Forwarded-For": "203.0.113.1"}) for _ in range(101)]
    assert [answer.status for answer in answers] == [401] * 100 + [429]
    assert (await login(server, "ada", PASSWORD)).status == 200
    assert [address for _, address in await blocks(server)] == ["203.0.113.1"]
