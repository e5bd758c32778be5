"""Linking against a model of its rules in plain Python, over random runs and deletions with colliding uids, places and
numbers."""
from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.people.model import Linked
from tests.events.support import Moment
from tests.people.house import ADDRESSES, CARDS, House, Link, address, card, number, user
from tests.support import ON_POSTGRES, opened

PEOPLE, RECORDS = st.integers(1, 5), st.integers(4, 9)  # some addresses and cards have the uid of a person
CONTENTS = st.sampled_from([1, 2, None])  # places and numbers of cards
User = tuple[int, int | None, int | None]
Record = tuple[int, int | None]
Step = tuple[str, Any]
STEPS = st.lists(st.one_of(
    st.tuples(st.just("users"), st.lists(st.tuples(PEOPLE, CONTENTS, CONTENTS), max_size=4)),
    st.tuples(st.just("addresses"), st.lists(st.tuples(RECORDS, CONTENTS), max_size=4)),
    st.tuples(st.just("cards"), st.lists(st.tuples(RECORDS, st.integers(1, 3)), max_size=4)),
    st.tuples(st.just("delete"), PEOPLE)), max_size=14)
EXACT = {"addresses": "coordinates", "cards": "card"}


@dataclass
class Side:
    """All addresses, or all cards: what each is like, and whose. Dictionaries keep the order in which they came."""

    content: dict[int, int | None] = field(default_factory=dict)
    links: dict[int, Link] = field(default_factory=dict)

    def unlinked(self) -> list[int]:
        """What waits, in the order in which it came."""
        return [each for each in self.content if self.links[each] is None]


class Model:
    """The rules, as they are written down."""

    def __init__(self) -> None:
        self.people: dict[int, dict[Linked, int | None]] = {}  # each with what their own record carries
        self.sides: dict[Linked, Side] = {"addresses": Side(), "cards": Side()}

    def users(self, records: list[User]) -> int:
        """A run of users; how much was linked."""
        came = [each for each, _, _ in records]
        for each, place, digits in records:
            self.people[each] = {"addresses": place, "cards": digits}
        return sum(self._link(what, [waiting for waiting in side.unlinked() if any(
            self._fits(what, waiting, person) for person in came)]) for what, side in self.sides.items())

    def linked(self, what: Linked, records: list[Record]) -> int:
        """A run of addresses or cards."""
        side = self.sides[what]
        for each, content in records:
            side.content[each] = content
            side.links.setdefault(each, None)
        return self._link(what, [each for each in dict(records) if side.links[each] is None])

    def delete(self, person: int) -> None:
        """Somebody goes."""
        del self.people[person]
        for side in self.sides.values():
            side.links = {each: None if link and link[0] == person else link for each, link in side.links.items()}

    def _fits(self, what: Linked, each: int, person: int) -> str | None:
        """By which exact rule, if by any."""
        content = self.sides[what].content[each]
        if each == person:
            return "uid"
        return EXACT[what] if content is not None and content == self.people[person][what] else None

    def _link(self, what: Linked, records: list[int]) -> int:
        side = self.sides[what]
        before = len(side.unlinked())
        for each in records:
            fitting = [(self._fits(what, each, person), person) for person in self.people]
            side.links[each] = next(((person, rule) for wanted in ("uid", EXACT[what]) for rule, person in fitting
                                     if rule == wanted), None)
        has = {link[0] for link in side.links.values() if link}
        waiting = [person for person in self.people if person not in has]
        for each, person in zip(side.unlinked(), waiting):
            side.links[each] = (person, "adopted")
        return before - len(side.unlinked())


async def play(house: House, model: Model, step: Step) -> None:
    """One step on both; they must agree on every link, and on how many were made."""
    kind, given_ = step
    if kind == "delete":
        if given_ in model.people:
            model.delete(given_)
            await house.delete(given_)
    else:
        counts = await house.run(kind, *made(kind, given_))  # type: ignore[arg-type]
        linked = model.users(given_) if kind == "users" else model.linked(kind, given_)  # type: ignore[arg-type]
        assert counts.linked == linked
    assert await house.links(ADDRESSES) == model.sides["addresses"].links
    assert await house.links(CARDS) == model.sides["cards"].links


def made(kind: str, records: list[Any]) -> Iterator[dict[str, Any]]:
    """The records as the source sends them."""
    makers: dict[str, Callable[..., dict[str, Any]]] = {
        "users": lambda each, place, digits: user(each, place, digits and number(digits)),
        "addresses": address, "cards": lambda each, digits: card(each, number(digits))}
    for record in records:
        yield makers[kind](*record)


@settings(max_examples=15 if ON_POSTGRES else 150, deadline=None,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_every_link_is_the_one_that_the_rules_say(steps: list[Step]) -> None:
    async def compare(folder: Path) -> None:
        moment = Moment()
        database = await opened(folder, clock=moment)
        try:
            house, model = House(database, moment), Model()
            for step in steps:
                await play(house, model, step)
        finally:
            await database.close()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder)))
