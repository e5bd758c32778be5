"""Sign-ups and sign-ins are counted exactly, over a restart and in all processes."""
from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.core.errors import Problem
from server.core.units import Rate
from server.web import allowances
from server.web.allowances import Allowance
from tests import postgres, support
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Served

ALONE = {"sandbox.mode": "off"}  # then loopback is not exempt
WRONG = "wr0ng-password"


async def passed(served: Served, wanted: Allowance, times: int) -> int:
    """How many of so many at once pass."""
    async def one() -> bool:
        try:
            await served.foyer.allowances.take(wanted)
        except Problem as problem:
            assert problem.status == 429 and int(problem.headers["Retry-After"]) >= 1
            return False
        return True
    return sum(await asyncio.gather(*(one() for _ in range(times))))


@pytest.mark.parametrize("rate", [Rate(1, 3600), Rate(10, 3600), Rate(5, 900), Rate(7, 1300), Rate(120, 6000)])
async def test_exactly_so_many_pass(server: Served, rate: Rate) -> None:
    assert await passed(server, Allowance("x", rate, "a"), rate.count + 5) == rate.count
    assert await passed(server, Allowance("x", rate, "b"), rate.count + 5) == rate.count
    assert await passed(server, Allowance("y", rate, "a"), rate.count + 5) == rate.count


async def test_what_is_given_back_is_there_again(server: Served) -> None:
    wanted = Allowance("x", Rate(3, 3600), "a")
    assert await passed(server, wanted, 5) == 3
    for _ in range(2):
        await server.foyer.allowances.give_back(wanted)
    assert await passed(server, wanted, 5) == 2


async def test_those_that_are_whole_are_forgotten(server: Served) -> None:
    for number in range(5):
        await server.foyer.allowances.take(Allowance("x", Rate(1000, 1), str(number)))
    await server.foyer.allowances.take(Allowance("x", Rate(1, 3600), "kept"))

    async def left() -> int:
        await server.foyer.database.write(allowances.prune, 100)
        found: int = await server.foyer.database.read(
            lambda tx: tx.value("SELECT count(*) FROM allowances WHERE name = 'x'"))
        return found
    await support.until(lambda: _is(left, 1))


async def _is(count: object, expected: int) -> bool:
    return await count() == expected  # type: ignore[operator,no-any-return]


async def _log_in(served: Served, name: str, password: str) -> Answer:
    return await served.api.post("/api/login", {"username": name, "password": password})


async def test_failures_are_remembered_over_a_restart(serve: Serve, tmp_path: Path) -> None:
    given = {**ALONE, "limits.login": "100/minute"}
    first = await serve(given, tmp_path)
    await first.api.sign_up("ada")
    for _ in range(3):
        assert (await _log_in(first, "ada", WRONG)).status == 401
    await first.stop()
    second = await serve(given, tmp_path)
    told = [(await _log_in(second, "ada", WRONG)).status for _ in range(4)]
    assert told == [401, 401, 429, 429]


async def test_signing_in_rightly_costs_nothing_of_them(serve: Serve) -> None:
    server = await serve({**ALONE, "limits.login": "100/minute"})
    await server.api.sign_up("ada")
    for _ in range(4):
        assert (await _log_in(server, "ada", WRONG)).status == 401
    for _ in range(8):
        assert (await _log_in(server, "ada", PASSWORD)).status == 200
    assert [(await _log_in(server, "ada", WRONG)).status for _ in range(2)] == [401, 429]


# -- two servers on one database


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[Served]]:
    """Two servers on one PostgreSQL."""
    given = {**ALONE, "database.url": postgres.database_of(tmp_path / "pair"), "auth.secret": "s" * 40,
             "limits.login": "100/minute", "limits.write": "30/hour"}
    servers = [await support.start(support.settings(tmp_path, given)) for _ in range(2)]
    yield servers
    for server in servers:
        await server.stop()
    postgres.drop_databases()


async def test_two_servers_count_together(pair: list[Served]) -> None:
    wanted = Allowance("x", Rate(20, 3600), "a")
    assert sum(await asyncio.gather(*(passed(server, wanted, 20) for server in pair))) == 20


async def test_guesses_at_both_are_those_of_one(pair: list[Served]) -> None:
    await pair[0].api.sign_up("ada")
    told = await asyncio.gather(*(_log_in(pair[number % 2], "ada", WRONG) for number in range(20)))
    assert Counter(answer.status for answer in told) == {401: 5, 429: 15}


async def test_sign_ups_at_both_are_those_of_one(pair: list[Served]) -> None:
    def sign_up(number: int) -> object:
        body = {"username": f"member-{number}", "email": f"m{number}@example.org", "password": PASSWORD}
        return pair[number % 2].api.post("/api/signup", body)
    told = await asyncio.gather(*(sign_up(number) for number in range(16)))  # type: ignore[call-overload]
    assert Counter(answer.status for answer in told) == {201: 10, 429: 6}


async def test_writes_at_one_are_known_to_the_other(pair: list[Served]) -> None:
    token = (await pair[0].api.sign_up("ada"))["access_token"]

    async def write(server: Served) -> int:
        return (await server.api.post("/api/posts", {"title": "A", "text": "B"}, token=token)).status
    assert {await write(pair[0]) for _ in range(29)} == {201}
    limiter = pair[1].foyer.limiter
    await support.until(lambda: limiter._wait("write", Rate(30, 3600), "member 1") > -60)
    assert [await write(pair[1]) for _ in range(2)] == [201, 429]
