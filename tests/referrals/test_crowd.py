"""Two hundred sign-ups through one code, all at once: exactly as many rewards as are due."""
from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from server.core.clock import DAY
from server.ops import check
from tests.conftest import Serve
from tests.referrals.test_routes import code_of, credited, execute, leave, standing
from tests.support import PASSWORD, Answer, Api, Served

MANY = 200


def newcomer(number: int, code: str, email: str | None = None) -> dict[str, Any]:
    """The body of a sign-up."""
    return {"username": f"crowd{number}", "email": email or f"crowd{number}@example.org", "password": PASSWORD,
            "referral_code": code}


async def come(api: Api, number: int, code: str, email: str | None = None) -> Answer:
    """A sign-up that comes again when too many others are hashing."""
    while True:
        answer = await api.post("/api/signup", newcomer(number, code, email))
        if answer.status != 503:
            return answer


@pytest.fixture
async def server(serve: Serve) -> Served:
    return await serve({"sandbox.mode": "off", "limits.enabled": "no"})


async def test_two_hundred_at_once_give_forty_rewards(server: Served) -> None:
    api = server.api
    ada = await api.sign_up()
    answers = await asyncio.gather(*(come(api, number, code_of(ada)) for number in range(MANY)))
    assert {(answer.status, answer.data["referral"]["status"]) for answer in answers} == {(201, "applied")}
    found = await standing(api, ada)
    assert [found[name] for name in ("invited", "counted", "rewarded", "balance", "until_next_reward")] == [
        MANY, MANY, MANY // 5, 1000 * MANY // 5, 5]
    paid = "SELECT reason, count(*), count(DISTINCT key) FROM ledger GROUP BY reason ORDER BY reason"
    assert await execute(server, paid) == [
        ("invitee_reward", MANY, MANY), ("inviter_reward", MANY // 5, MANY // 5)]
    assert [news["balance"] for news in await credited(api, ada)] == [1000 * n for n in range(1, MANY // 5 + 1)]
    for answer in answers[::10]:
        assert [news["reason"] for news in await credited(api, answer.data)] == ["invitee_reward"]
    numbers = await execute(server, """
        SELECT count(*), count(DISTINCT user_id) FROM events WHERE type = 'referral_credited' AND user_id <> $1""",
                            ada["user"]["id"])
    assert numbers == [(MANY, MANY)]
    assert await server.foyer.database.read(check.broken) == []


async def test_variants_of_one_mailbox_at_once_through_many_codes_count_once(server: Served) -> None:
    api = server.api
    codes = [code_of(await api.sign_up()) for _ in range(5)]
    answers = await asyncio.gather(*(
        come(api, number, codes[number % 5], f"eve+{number}@example.org") for number in range(30)))
    assert {(answer.status, answer.data["referral"]["status"]) for answer in answers} == {(201, "applied")}
    assert await execute(server, "SELECT count(*), count(counted_at) FROM referrals") == [(30, 1)]
    assert await execute(server, "SELECT count(*) FROM ledger") == [(1,)]
    assert await server.foyer.database.read(check.broken) == []


async def test_the_ceiling_holds_when_all_come_at_once(serve: Serve) -> None:
    server = await serve({"sandbox.mode": "off", "limits.enabled": "no", "referrals.per_day": "7",
                          "referrals.inviter_target": "2"})
    noon = DAY * 20_000 + DAY // 2
    server.foyer.database._clock = lambda: noon  # type: ignore[attr-defined]
    ada = await server.api.sign_up()
    await asyncio.gather(*(come(server.api, number, code_of(ada)) for number in range(30)))
    assert await execute(server, "SELECT invited, counted, rewarded FROM inviters") == [(30, 7, 3)]
    assert await server.foyer.database.read(check.broken) == []


async def test_members_leave_while_others_come_through_their_codes(server: Served) -> None:
    api = server.api
    inviters = [await api.sign_up() for _ in range(4)]
    work: list[Any] = [come(api, number, code_of(inviters[number % 4])) for number in range(60)]
    work[20:20] = [leave(api, inviters[0])]
    work[40:40] = [leave(api, inviters[1])]
    answers = [answer for answer in await asyncio.gather(*work) if answer is not None]
    assert Counter(answer.status for answer in answers) == {201: 60}
    applied = [number for number, answer in enumerate(answers) if answer.data["referral"]["status"] == "applied"]
    assert {number % 4 for number in range(60) if number not in applied} <= {0, 1}
    balances = [(await standing(api, answers[number].data))["balance"] for number in range(60)]
    assert [number for number, balance in enumerate(balances) if balance == 1000] == applied
    assert await server.foyer.database.read(check.broken) == []
