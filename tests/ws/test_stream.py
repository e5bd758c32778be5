"""The state machine of a stream against a model: whatever nudges and pages do, nothing is missing or doubled."""
from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ws.protocol import Stream

STEPS = st.lists(st.one_of(
    st.tuples(st.just("commit"), st.sampled_from(["lost", "once", "twice", "late"])),
    st.tuples(st.just("drop"), st.integers(0, 30)),
    st.tuples(st.just("prune"), st.integers(0, 30)),
    st.tuples(st.just("resume"), st.integers(0, 30)),
    st.tuples(st.just("write"), st.integers(1, 5)),
    st.tuples(st.just("read"), st.integers(1, 5)),
), max_size=60)


def text(seq: int) -> str:
    return json.dumps({"seq": seq})


class World:
    """A table, the nudges under way, the stream, and what its client has received."""

    def __init__(self) -> None:
        self.newest, self.gone = 0, set[int]()
        self.late: list[int] = []
        self.stream = Stream(0)
        self.held: tuple[int, Any] | None = None  # a page that was read and not yet given to the stream
        self.expected = 1
        self.stale = 0  # frames that were on their way when the client went back

    def commit(self, how: str) -> None:
        self.newest += 1
        if how == "late":
            self.late.append(self.newest)
        for _ in range({"lost": 0, "late": 0, "once": 1, "twice": 2}[how]):
            self.stream.nudge(self.newest, text(self.newest))

    def drop(self, seq: int) -> None:
        if seq < self.newest:
            self.gone.add(seq)

    def prune(self, seq: int) -> None:
        self.gone |= set(range(min(seq, self.newest) + 1))

    def resume(self, after: int) -> None:
        self.stream.restart(after)
        self.expected = after + 1

    def page(self, after: int, limit: int) -> Any:
        """The rules of the log, told once more: up to the next gap; a gap stands at the head."""
        if after > self.newest:
            return [], self.newest + 1, self.newest
        there = [seq for seq in range(after + 1, self.newest + 1) if seq not in self.gone][:limit]
        if not there:
            return [], self.newest + 1 if after < self.newest else None, self.newest
        whole = [seq for at, seq in enumerate(there) if seq == there[0] + at]
        return [(seq, text(seq)) for seq in whole], there[0] if there[0] != after + 1 else None, self.newest

    def read(self, limit: int) -> None:
        """One half of a look into the table: it is answered at the next one."""
        if self.held is not None:
            last, page = self.held
            self.held = None
            if last == self.stream.last:
                self.receive(self.stream.caught_up(*page))
        elif self.stream.behind:
            self.held = self.stream.last, self.page(self.stream.last, limit)

    def write(self, limit: int) -> None:
        """What the writer does in one go."""
        self.held = None
        if self.stream.behind:
            self.receive(self.stream.caught_up(*self.page(self.stream.last, limit)))
        self.receive(self.stream.take())

    def receive(self, frames: list[str]) -> None:
        for frame in map(json.loads, frames):
            if frame.get("type") == "gap":
                assert frame["from"] != self.expected, "a gap where nothing is missing"
                self.expected = frame["from"]
            else:
                assert frame["seq"] == self.expected, (frame, self.expected)
                self.expected += 1

    def settle(self) -> None:
        for seq in self.late:
            self.stream.nudge(seq, text(seq))
        self.commit("once")  # the next event shows what a lost nudge hid
        for _ in range(200):
            self.write(3)
            if not self.stream.behind and not self.stream.waiting:
                break
        assert self.expected == self.newest + 1


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_every_number_once_in_order_or_a_gap(steps: list[tuple[str, Any]]) -> None:
    world = World()
    for name, argument in steps:
        getattr(world, name)(argument)
    world.settle()


@settings(max_examples=50, deadline=None)
@given(st.permutations(list(range(1, 9))), st.integers(0, 8))
def test_nudges_in_any_order_give_the_numbers_in_order(order: list[int], written: int) -> None:
    world = World()
    world.newest = 8
    for at, seq in enumerate(order):
        world.stream.nudge(seq, text(seq))
        if at == written:
            world.write(3)
    world.settle()


def test_more_nudges_than_it_keeps_are_read_from_the_table() -> None:
    world = World()
    world.write(1)
    for _ in range(Stream.MOST_FRESH * 3):
        world.commit("once")
    assert world.stream.waiting <= Stream.MOST_FRESH
    world.settle()
