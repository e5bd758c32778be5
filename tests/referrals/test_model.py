"""A stateful model of referrals and their ledger, played against the rules on a real database by hypothesis."""
from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from server.core.clock import DAY
from tests.referrals.support import HandClock, Place, rules
from tests.support import ON_POSTGRES, opened

PLAYS = int(os.environ.get("FOYER_TEST_PLAYS") or (20 if ON_POSTGRES else 100))
STEPS_EACH = 60
PEOPLE, DOMAINS, TAGS = ("eve", "mallory"), ("example.org", "example.com"), ("", "+a", "+b", "+")


@dataclass
class Member:
    """What the model knows of a member."""

    id: int
    email: str
    inviter: int | None = None
    outcome: str = "none"
    confirmed: bool = False
    suspended: bool = False
    here: bool = True


@dataclass
class SignUp:
    """A sign-up through a code."""

    inviter: int
    invitee: int
    counted: bool = False


def mailbox(email: str) -> str:
    """The address without its tag."""
    local, domain = email.split("@")
    return local.split("+")[0] + "@" + domain


PAID: Counter[str] = Counter()  # in all plays


class World:
    """The model: plain lists and the rules in few words."""

    def __init__(self) -> None:
        self.members: dict[int, Member] = {}
        self.sign_ups: list[SignUp] = []
        self.ledger: list[tuple[int, str, int, int, int]] = []  # whose, key, amount, target, balance
        self.spent: set[str] = set()
        self.today: Counter[int] = Counter()
        self.rewarded: Counter[int] = Counter()
        self.confirmed_only, self.target, self.rewards, self.per_day = False, 5, (1000, 1000), 1000

    def counted(self, inviter: int) -> int:
        return sum(each.counted for each in self.sign_ups if each.inviter == inviter)

    def balance(self, id_: int) -> int:
        return sum(amount for whose, _, amount, _, _ in self.ledger if whose == id_)

    def is_anothers(self, sign_up: SignUp) -> bool:
        mine = mailbox(self.members[sign_up.invitee].email)
        return any(mailbox(other.email) == mine for other in self.members.values()
                   if other.here and other.id != sign_up.invitee
                   and (other.id == sign_up.inviter or other.confirmed or not self.confirmed_only))

    def count(self, sign_up: SignUp) -> None:
        spent = mailbox(self.members[sign_up.invitee].email)
        full = self.per_day and self.today[sign_up.inviter] >= self.per_day
        if spent in self.spent or full or self.is_anothers(sign_up):
            return
        sign_up.counted = True
        self.spent.add(spent)
        self.today[sign_up.inviter] += 1
        self.pay(sign_up.invitee, f"invitee:{sign_up.invitee}", self.rewards[0])
        while self.rewarded[sign_up.inviter] < self.counted(sign_up.inviter) // self.target:
            self.rewarded[sign_up.inviter] += 1
            self.pay(sign_up.inviter, f"inviter:{sign_up.inviter}:{self.rewarded[sign_up.inviter]}", self.rewards[1])

    def pay(self, whose: int, key: str, amount: int) -> None:
        self.ledger.append((whose, key, amount, self.target, self.balance(whose) + amount))
        PAID[key.partition(":")[0]] += 1


class Machine(RuleBasedStateMachine):
    """The rules and the model, side by side."""

    steps: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self.world, self.clock = World(), HandClock()
        self.place = Place(self.run(opened(Path(self._folder.name), clock=self.clock)))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def teardown(self) -> None:
        try:
            self.run(self.place.whole())
        finally:
            self.run(self.place.database.close())
            self._runner.close()
            self._folder.cleanup()

    def anybody(self, data: st.DataObject) -> Member:
        return data.draw(st.sampled_from([each for each in self.world.members.values() if each.here]))

    @property
    def somebody(self) -> bool:
        return any(each.here for each in self.world.members.values())

    def sign_up(self, email: str | None, code: str | None, inviter: Member | None, what: str) -> None:
        if any(each.email == email for each in self.world.members.values() if each.here):
            return  # the address is taken: the sign-up ends before
        Machine.steps[what] += 1
        id_, outcome = self.run(self.place.member(code, email))
        known = self.world.members[id_] = Member(id_, email or f"member{id_}@example.org")
        good = inviter is not None and inviter.here and not inviter.suspended
        assert outcome == ("none" if code is None else "applied" if good else "unknown_code")
        if good and inviter is not None:
            self.world.sign_ups.append(SignUp(inviter.id, known.id))
            if not self.world.confirmed_only:
                self.world.count(self.world.sign_ups[-1])

    @rule(email=st.none() | st.builds("{}{}@{}".format, *map(st.sampled_from, (PEOPLE, TAGS, DOMAINS))))
    def comes_alone(self, email: str | None) -> None:
        self.sign_up(email, None, None, "alone")

    @rule(code=st.sampled_from(["nobody", "own", "\0"]))
    def comes_in_vain(self, code: str) -> None:
        own = f"codemember{len(self.world.members) + 1}"  # ids and names count alike
        self.sign_up(None, own if code == "own" else code, None, "in vain")

    @precondition(lambda self: self.world.members)
    @rule(data=st.data(), times=st.integers(1, 4))
    def come_through_a_code(self, data: st.DataObject, times: int) -> None:
        inviter = data.draw(st.sampled_from(list(self.world.members.values())))
        for _ in range(times):
            self.sign_up(None, f"codemember{inviter.id}", inviter, "through a code" if inviter.here else "dead code")

    @precondition(lambda self: self.somebody)
    @rule(data=st.data(), person=st.sampled_from(PEOPLE), tag=st.sampled_from(TAGS), domain=st.sampled_from(DOMAINS))
    def comes_with_a_variant(self, data: st.DataObject, person: str, tag: str, domain: str) -> None:
        inviter = self.anybody(data)
        self.sign_up(f"{person}{tag}@{domain}", f"CODEmember{inviter.id} ", inviter, "variant")

    @precondition(lambda self: self.somebody)
    @rule(data=st.data(), tag=st.sampled_from(TAGS))
    def comes_with_the_inviters_mailbox(self, data: st.DataObject, tag: str) -> None:
        inviter = self.anybody(data)
        self.sign_up(mailbox(inviter.email).replace("@", f"{tag}@"), f"codemember{inviter.id}", inviter, "self")

    @precondition(lambda self: self.somebody)
    @rule(data=st.data())
    def confirms(self, data: st.DataObject) -> None:
        member = self.anybody(data)
        Machine.steps["confirmed"] += 1
        member.confirmed = True
        self.run(self.place.confirm(member.id))
        for sign_up in self.world.sign_ups:
            if sign_up.invitee == member.id and not sign_up.counted and self.world.members[sign_up.inviter].here:
                self.world.count(sign_up)

    @precondition(lambda self: self.somebody)
    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        member = self.anybody(data)
        Machine.steps["left"] += 1
        self.run(self.place.leave(member.id))
        member.here = False

    @precondition(lambda self: self.somebody)
    @rule(data=st.data())
    def is_suspended_or_restored(self, data: st.DataObject) -> None:
        member = self.anybody(data)
        Machine.steps["suspended"] += 1
        member.suspended = not member.suspended
        since = self.clock.now if member.suspended else None
        self.run(self.place.run("UPDATE users SET suspended_at = $2 WHERE id = $1", member.id, since))

    @rule(confirmed_only=st.booleans(), every=st.integers(1, 6), rewards=st.tuples(*2 * [st.integers(0, 3000)]),
          per_day=st.sampled_from([0, 0, 1, 3, 1000]))
    def starts_with_other_settings(self, confirmed_only: bool, every: int, rewards: tuple[int, int],
                                   per_day: int) -> None:
        Machine.steps["other settings"] += 1
        world = self.world
        world.confirmed_only, world.target, world.rewards, world.per_day = confirmed_only, every, rewards, per_day
        self.place.referrals = rules(confirmed_only, inviter_target=every, invitee_reward=rewards[0],
                                     inviter_reward=rewards[1], per_day=per_day)

    @rule()
    def a_day_passes(self) -> None:
        self.clock.now += DAY
        self.world.today.clear()

    @invariant()
    def the_ledger_is_that_of_the_model(self) -> None:
        rows = self.run(self.place.rows("SELECT user_id, key, amount, target, balance FROM ledger ORDER BY id"))
        assert rows == self.world.ledger

    @invariant()
    def everybody_stands_where_the_model_says(self) -> None:
        for member in [each for each in self.world.members.values() if each.here][-6:]:
            self.run(self.compare(member.id))

    async def compare(self, id_: int) -> None:
        world, through = self.world, [each for each in self.world.sign_ups if each.inviter == id_]
        summary, counted = await self.place.summary(id_), world.counted(id_)
        assert (summary.invited, summary.counted, summary.rewarded, summary.balance) == (
            len(through), counted, world.rewarded[id_], world.balance(id_))
        assert summary.until_next_reward == max(1, (world.rewarded[id_] + 1) * world.target - counted)
        assert [(one.username, one.counted) for one in reversed(await self.place.invited(id_))] == [
            (f"member{each.invitee}" if world.members[each.invitee].here else None, each.counted) for each in through]
        own = [entry[2::2] for entry in world.ledger if entry[0] == id_]
        assert [(event["amount"], event["balance"]) for event in await self.place.events(id_)] == own


@pytest.mark.long
def test_the_model_and_the_rules_agree() -> None:
    number = int(os.environ.get("FOYER_TEST_SEED") or random.SystemRandom().randrange(10**9))
    print(f"seed {number} (FOYER_TEST_SEED)")
    run_state_machine_as_test(seed(number)(Machine), settings=settings(
        max_examples=PLAYS, stateful_step_count=STEPS_EACH, deadline=None, database=None,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck)))
    print(Machine.steps, PAID)
    assert min(PAID["invitee"], PAID["inviter"], *(Machine.steps[what] for what in (
        "alone", "in vain", "through a code", "dead code", "variant", "self", "confirmed", "left", "suspended"))) > 0
