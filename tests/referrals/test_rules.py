"""What counts, who gets what for it, and what does not, one rule after the other."""
from __future__ import annotations

import asyncio

import pytest

from server.core.clock import DAY
from server.referrals import queries
from server.storage import Tx
from tests.referrals.support import HandClock, Place, rules

NEVER = ("codenobody", "", " ", "x" * 64, "\0", "code\0", "codemember1' OR 1=1", "cödemember1", "%", "ｃodemember1")


async def test_no_code_or_an_empty_one_is_none(place: Place) -> None:
    assert [(await place.member(code))[1] for code in (None, "", "  ", "\t")] == ["none"] * 4
    assert await place.rows("SELECT count(*) FROM referrals") == [(0,)]


@pytest.mark.parametrize("code", [code for code in NEVER if code.strip()])
async def test_an_unknown_code_stops_nothing_and_pays_nobody(place: Place, code: str) -> None:
    ada, _ = await place.inviter()
    newcomer, outcome = await place.member(code)
    assert outcome == "unknown_code"
    assert await place.standing(ada) == await place.standing(newcomer) == (0, 0, 0, 0)
    assert not await place.events(ada) and not await place.events(newcomer)
    await place.whole()


@pytest.mark.parametrize("written", ["{}", "  {}\n", "{upper}"])
async def test_a_code_is_taken_without_regard_to_case_and_blanks(place: Place, written: str) -> None:
    ada, code = await place.inviter()
    assert (await place.member(written.format(code, upper=code.upper())))[1] == "applied"
    assert await place.standing(ada) == (1, 1, 0, 0)


async def test_the_invitee_gets_theirs_at_once(place: Place) -> None:
    ada, code = await place.inviter()
    bob, outcome = await place.member(code)
    assert outcome == "applied" and await place.standing(bob) == (0, 0, 0, 1000)
    [entry] = await place.ledger(bob)
    assert (entry.amount, entry.currency, entry.reason, entry.balance) == (1000, "USD", "invitee_reward", 1000)
    assert await place.events(bob) == [{"entry_id": entry.id, "amount": 1000, "currency": "USD",
                                        "reason": "invitee_reward", "balance": 1000}]
    assert await place.events(ada) == [] and await place.standing(ada) == (1, 1, 0, 0)


async def test_the_inviter_gets_theirs_for_every_fifth(place: Place) -> None:
    ada, code = await place.inviter()
    for number in range(1, 18):
        await place.member(code)
        assert await place.standing(ada) == (number, number, number // 5, 1000 * (number // 5))
        assert (await place.summary(ada)).until_next_reward == 5 - number % 5
    assert [entry.balance for entry in await place.ledger(ada)] == [3000, 2000, 1000]
    assert [event["balance"] for event in await place.events(ada)] == [1000, 2000, 3000]
    assert await place.rows("SELECT key, target FROM ledger WHERE reason = 'inviter_reward' ORDER BY id") == [
        (f"inviter:{ada}:{number}", 5) for number in (1, 2, 3)]
    await place.whole()


async def test_who_was_invited_invites(place: Place) -> None:
    place.referrals = rules(inviter_target=1, invitee_reward=7, inviter_reward=30)
    _, code = await place.inviter()
    bob, _ = await place.member(code)
    for _ in range(2):
        await place.member(await place.code(bob))
    assert [(entry.reason, entry.amount, entry.balance) for entry in await place.ledger(bob)] == [
        ("inviter_reward", 30, 67), ("inviter_reward", 30, 37), ("invitee_reward", 7, 7)]
    await place.whole()


async def test_nobody_invites_themselves(place: Place) -> None:
    async def with_own_code(tx: Tx) -> str:
        return await place.referrals.join(tx, ada, "member1@example.org", code)
    ada, code = await place.inviter()
    assert await place.database.write(with_own_code) == "unknown_code"
    assert await place.standing(ada) == (0, 0, 0, 0)


async def test_nobody_has_two_inviters(place: Place) -> None:
    _, first = await place.inviter()
    _, second = await place.inviter()
    bob, _ = await place.member(first)

    async def again(tx: Tx) -> str:
        return await place.referrals.join(tx, bob, "member3@example.org", second)
    with pytest.raises(Exception):
        await place.database.write(again)
    assert len(await place.ledger(bob)) == 1
    await place.whole()


async def test_the_code_of_somebody_who_left_or_is_suspended_is_dead(place: Place) -> None:
    ada, left = await place.inviter()
    bob, suspended = await place.inviter()
    assert (await place.status(left)).valid and (await place.status(suspended)).valid
    await place.leave(ada)
    await place.run("UPDATE users SET suspended_at = 1 WHERE id = $1", bob)
    for code in (left, suspended):
        assert (await place.member(code))[1] == "unknown_code"
        status = await place.status(code)
        assert (status.valid, status.inviter) == (False, None)
    await place.run("UPDATE users SET suspended_at = NULL WHERE id = $1", bob)
    assert (await place.member(suspended))[1] == "applied"


# -- the ceiling


async def test_no_more_than_the_ceiling_count_on_a_day(place: Place, clock: HandClock) -> None:
    place.referrals = rules(per_day=3, inviter_target=2)
    ada, code = await place.inviter()
    late = [(await place.member(code))[0] for _ in range(5)][3:]
    assert await place.standing(ada) == (5, 3, 1, 1000)
    assert [len(await place.ledger(id_)) for id_ in late] == [0, 0]
    other, others = await place.inviter()
    await place.member(others)
    assert await place.standing(other) == (1, 1, 0, 0)
    clock.now += DAY
    for _ in range(4):
        await place.member(code)
    assert await place.standing(ada) == (9, 6, 3, 3000)
    await place.whole()


async def test_a_ceiling_of_0_is_none(place: Place) -> None:
    place.referrals = rules(per_day=0)
    ada, code = await place.inviter()
    for _ in range(10):
        await place.member(code)
    assert await place.standing(ada) == (10, 10, 2, 2000)


# -- settings that change


async def test_a_lower_target_pays_what_is_due_with_the_next_one(place: Place) -> None:
    ada, code = await place.inviter()
    for _ in range(9):
        await place.member(code)
    assert await place.standing(ada) == (9, 9, 1, 1000)
    place.referrals = rules(inviter_target=3, inviter_reward=50)
    assert (await place.summary(ada)).until_next_reward == 1
    await place.member(code)
    assert await place.standing(ada) == (10, 10, 3, 1100)
    assert await place.rows("SELECT amount, target FROM ledger WHERE user_id = $1 ORDER BY id", ada) == [
        (1000, 5), (50, 3), (50, 3)]
    await place.whole()


async def test_a_higher_target_takes_nothing_back(place: Place) -> None:
    place.referrals = rules(inviter_target=1)
    ada, code = await place.inviter()
    for _ in range(3):
        await place.member(code)
    place.referrals = rules(inviter_target=2)
    assert (await place.summary(ada)).until_next_reward == 5
    for number in range(4, 10):
        await place.member(code)
        assert (await place.summary(ada)).rewarded == max(3, number // 2)
    await place.whole()


async def test_a_reward_of_0_is_an_entry_too(place: Place) -> None:
    place.referrals = rules(inviter_target=1, invitee_reward=0, inviter_reward=0)
    ada, code = await place.inviter()
    bob, _ = await place.member(code)
    assert await place.standing(ada) == (1, 1, 1, 0)
    assert [[entry.amount for entry in await place.ledger(id_)] for id_ in (ada, bob)] == [[0], [0]]
    assert [len(await place.events(id_)) for id_ in (ada, bob)] == [1, 1]
    await place.whole()


async def test_the_currency_of_the_newest_entry(place: Place) -> None:
    assert await place.database.read(queries.ledger_currency) is None
    _, code = await place.inviter()
    await place.member(code)
    place.referrals = rules(currency="EUR")
    await place.member(code)
    assert await place.database.read(queries.ledger_currency) == "EUR"


# -- who leaves


async def test_an_invitee_who_left_still_counts_but_has_no_name(place: Place) -> None:
    place.referrals = rules(inviter_target=2)
    ada, code = await place.inviter()
    bob, _ = await place.member(code)
    await place.leave(bob)
    assert await place.standing(ada) == (1, 1, 0, 0)
    await place.member(code)
    assert await place.standing(ada) == (2, 2, 1, 1000)
    assert [one.username for one in await place.invited(ada)] == ["member3", None]
    assert [entry.amount for entry in await place.ledger(bob)] == [1000]
    await place.whole()


async def test_the_entries_of_an_inviter_who_left_stay(place: Place) -> None:
    place.referrals = rules(inviter_target=1)
    ada, code = await place.inviter()
    bob, _ = await place.member(code)
    await place.leave(ada)
    assert [entry.reason for entry in await place.ledger(ada)] == ["inviter_reward"]
    assert await place.standing(bob) == (0, 0, 0, 1000)
    await place.confirm(bob)
    assert len(await place.ledger(bob)) == 1
    await place.whole()


async def test_who_leaves_while_others_come_stops_none_of_them(place: Place) -> None:
    place.referrals = rules(inviter_target=1)
    ada, code = await place.inviter()
    ends = await asyncio.gather(*(place.member(code) for _ in range(6)), place.leave(ada),
                                *(place.member(code) for _ in range(6)))
    outcomes = [end[1] for end in ends if end is not None]
    assert len(outcomes) == 12 and set(outcomes) <= {"applied", "unknown_code"}
    assert await place.rows("SELECT count(*) FROM referrals") == [(0,)]
    assert len(await place.ledger(ada)) == outcomes.count("applied")
    await place.whole()


# -- what is exported


async def test_what_is_exported(place: Place) -> None:
    place.referrals = rules(inviter_target=2)
    ada, code = await place.inviter()
    ids = [(await place.member(code))[0] for _ in range(4)]
    await place.leave(ids[1])
    first = await place.database.read(queries.exported_invited, ada, 0, 3)
    rest = await place.database.read(queries.exported_invited, ada, first[-1].id, 3)
    assert [one.username for one in first + rest] == ["member2", None, "member4", "member5"]
    assert all(one.counted_at and one.counted_at >= one.joined_at for one in first + rest)
    entries = await place.database.read(queries.exported_ledger, ada, 0, 1)
    entries += await place.database.read(queries.exported_ledger, ada, entries[-1].id, 5)
    assert [(entry.key, entry.target, entry.balance) for entry in entries] == [
        (f"inviter:{ada}:1", 2, 1000), (f"inviter:{ada}:2", 2, 2000)]
    assert [await place.database.read(queries.exported_inviter, id_) for id_ in (ids[0], ada)] == ["member1", None]
    await place.leave(ada)
    assert await place.database.read(queries.exported_inviter, ids[0]) is None
