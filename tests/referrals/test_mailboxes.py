"""Whose mailbox it is, and what counts only when the address is confirmed."""
from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.referrals.support import Place, rules


# -- mailboxes


@pytest.mark.parametrize("email", ["ada+x@example.org", "ada+@example.org", "ada+x+y@example.org"])
async def test_a_variant_of_the_inviters_own_mailbox_does_not_count(place: Place, email: str) -> None:
    ada, code = await place.inviter("ada@example.org")
    newcomer, outcome = await place.member(code, email)
    assert outcome == "applied"
    assert await place.standing(ada) == (1, 0, 0, 0) and await place.standing(newcomer) == (0, 0, 0, 0)
    assert [(one.username, one.counted) for one in await place.invited(ada)] == [("member2", False)]
    await place.whole()


@pytest.mark.parametrize("other, email, counts", [
    ("eve@example.org", "eve+1@example.org", False), ("eve+1@example.org", "eve@example.org", False),
    ("eve+1@example.org", "eve+2@example.org", False), ("eve+z@example.org", "eve+a@example.org", False),
    ("eve@example.org", "eve+1@example.com", True), ("eve+1@example.com", "eve+2@example.org", True),
    ("eve@example.org", "eve.1@example.org", True), ("eve-1@example.org", "eve@example.org", True),
    ("evelyn@example.org", "eve@example.org", True), ("eve@xample.org", "eve+1@example.org", True),
    ("eve!1@example.org", "eve@example.org", True), ("eve*1@example.org", "eve+1@example.org", True),
    ("+eve@example.org", "+eva@example.org", True), ("eve_1@example.org", "eve+1@example.org", True)])
async def test_a_mailbox_of_another_member_does_not_count(place: Place, other: str, email: str, counts: bool) -> None:
    await place.member(email=other)
    ada, code = await place.inviter()
    newcomer, _ = await place.member(code, email)
    assert await place.standing(ada) == (1, int(counts), 0, 0)
    assert await place.standing(newcomer) == (0, 0, 0, 1000 * counts)
    await place.whole()


async def test_a_mailbox_counts_once_also_when_its_owner_comes_again(place: Place) -> None:
    ada, code = await place.inviter()
    for email in ("eve@example.org", "eve+1@example.org", "eve@example.org"):
        newcomer, _ = await place.member(code, email)
        await place.leave(newcomer)
    assert await place.standing(ada) == (3, 1, 0, 0)
    assert [(one.username, one.counted) for one in await place.invited(ada)] == [
        (None, False), (None, False), (None, True)]
    await place.whole()


async def test_a_mailbox_that_has_counted_stays_known_when_the_inviter_leaves_too(place: Place) -> None:
    ada, code = await place.inviter()
    eve, _ = await place.member(code, "eve@example.org")
    for member in (eve, ada):
        await place.leave(member)
    bob, code = await place.inviter()
    await place.member(code, "eve@example.org")
    assert await place.standing(bob) == (1, 0, 0, 0)
    await place.whole()


async def test_two_codes_and_two_variants_at_once_count_one(place: Place) -> None:
    codes = [(await place.inviter())[1] for _ in range(8)]
    ends = await asyncio.gather(*(place.member(code, f"eve+{number}@example.org")
                                  for number, code in enumerate(codes)))
    assert {outcome for _, outcome in ends} == {"applied"}
    assert await place.rows("SELECT count(*), count(counted_at) FROM referrals") == [(8, 1)]
    assert await place.rows("SELECT count(*) FROM ledger") == [(1,)]
    await place.whole()


# -- confirmed addresses


async def test_a_sign_up_counts_for_both_when_it_is_confirmed_and_once(place: Place) -> None:
    place.referrals = rules(confirmed_only=True, inviter_target=1)
    ada, code = await place.inviter()
    bob, outcome = await place.member(code)
    assert outcome == "applied" and await place.standing(ada) == (1, 0, 0, 0)
    for _ in range(2):
        await place.confirm(bob)
        assert await place.standing(ada) == (1, 1, 1, 1000) and await place.standing(bob) == (0, 0, 0, 1000)
    await place.whole()


async def test_who_confirms_without_an_inviter_changes_nothing(place: Place) -> None:
    place.referrals = rules(confirmed_only=True)
    ada, code = await place.inviter()
    await place.confirm(ada)
    bob, _ = await place.member(code)
    await place.leave(ada)
    await place.confirm(bob)
    assert await place.rows("SELECT count(*) FROM ledger") == [(0,)]
    await place.whole()


async def test_the_mailbox_is_that_of_the_address_that_was_confirmed(place: Place) -> None:
    place.referrals = rules(confirmed_only=True)
    ada, code = await place.inviter("ada@example.org")
    bob, eve = (await place.member(code, "bob@example.org"))[0], (await place.member(code, "eve@example.org"))[0]
    await place.run("UPDATE users SET email_key = 'ada+x@example.org' WHERE id = $1", bob)
    await place.run("UPDATE users SET email_key = 'bob@example.org' WHERE id = $1", eve)
    for id_ in (bob, eve):
        await place.confirm(id_)
    assert [one.counted for one in await place.invited(ada)] == [True, False]
    await place.leave(eve)
    back, _ = await place.member(code, "bob+1@example.org")
    await place.confirm(back)
    assert await place.standing(ada) == (3, 1, 0, 0)


async def test_of_two_variants_the_one_that_is_confirmed_first_counts(place: Place) -> None:
    place.referrals = rules(confirmed_only=True)
    ada, code = await place.inviter()
    variants = [(await place.member(code, f"eve+{number}@example.org"))[0] for number in range(3)]
    for id_ in (variants[1], variants[0]):
        await place.confirm(id_)
    assert [one.counted for one in await place.invited(ada)] == [False, True, False]
    await place.whole()


async def test_variants_that_are_confirmed_at_once_count_one(place: Place) -> None:
    place.referrals = rules(confirmed_only=True, inviter_target=1)
    codes = [(await place.inviter())[1] for _ in range(6)]
    variants = [(await place.member(code, f"eve+{number}@example.org"))[0] for number, code in enumerate(codes)]
    await asyncio.gather(*(place.confirm(id_) for id_ in variants for _ in range(2)))
    assert await place.rows("SELECT count(counted_at) FROM referrals") == [(1,)]
    assert await place.rows("SELECT reason FROM ledger ORDER BY id") == [("invitee_reward",), ("inviter_reward",)]
    await place.whole()


async def test_the_inviters_own_mailbox_need_not_be_confirmed_to_be_theirs(place: Place) -> None:
    place.referrals = rules(confirmed_only=True)
    ada, code = await place.inviter("ada@example.org")
    newcomer, _ = await place.member(code, "ada+1@example.org")
    await place.confirm(newcomer)
    assert await place.standing(ada) == (1, 0, 0, 0)


async def test_a_change_of_the_setting_loses_nobody(place: Place) -> None:
    ada, code = await place.inviter()
    at_once, _ = await place.member(code)
    place.referrals = rules(confirmed_only=True)
    later, _ = await place.member(code)
    place.referrals = rules()
    for id_ in (at_once, later):
        await place.confirm(id_)
    assert await place.standing(ada) == (2, 2, 0, 0)
    await place.whole()


async def test_a_chain_of_members_confirms_at_once(place: Place) -> None:
    place.referrals = rules(confirmed_only=True, inviter_target=1)
    chain = [(await place.inviter())[0]]
    for _ in range(10):
        chain.append((await place.member(await place.code(chain[-1])))[0])
    await asyncio.gather(*(place.confirm(id_) for id_ in chain for _ in range(2)))
    for id_ in chain[1:-1]:
        assert await place.standing(id_) == (1, 1, 1, 2000)
    await place.whole()


async def test_who_counts_at_last_while_others_come_through_their_code(place: Place) -> None:
    place.referrals = rules(confirmed_only=True)
    _, code = await place.inviter()
    late = [(await place.member(code))[0] for _ in range(8)]
    place.referrals = rules(inviter_target=1)
    codes = [await place.code(id_) for id_ in late]
    await asyncio.gather(*(work for id_, code in zip(late, codes)
                           for work in (place.member(code), place.confirm(id_), place.member(code))))
    assert [await place.standing(id_) for id_ in late] == 8 * [(2, 2, 2, 3000)]
    await place.whole()


async def test_members_come_confirm_and_leave_at_once(place: Place) -> None:
    place.referrals, dice = rules(confirmed_only=True, inviter_target=1), random.Random(9)
    codes = dict([await place.inviter() for _ in range(4)])
    for number in range(30):
        email = f"eve+{number}@example.org" if number % 3 == 0 else None
        id_, _ = await place.member(codes[dice.choice(list(codes))], email)
        codes[id_] = await place.code(id_)
    work: list[Any] = [place.leave(id_) for id_ in dice.sample(list(codes), 12)]
    for id_, code in codes.items():
        work += [place.confirm(id_), place.member(code)]
    dice.shuffle(work)
    await asyncio.gather(*work)
    await place.whole()
