"""Pages of the log against a brute-force model, under random drops, acknowledgements and prunings."""
from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.clock import DAY
from server.events import EventLog, Nudges
from tests.events.support import Log, Moment
from tests.support import opened

MOST = 6
STEPS = st.lists(st.one_of(
    st.tuples(st.just("append"), st.lists(st.sampled_from(["post_liked", "file_checked"]), min_size=1, max_size=5)),
    st.tuples(st.just("ack"), st.integers(0, 30)),
    st.tuples(st.just("pass_time"), st.sampled_from([DAY // 2, DAY + 1, 31 * DAY])),
    st.tuples(st.just("prune"), st.just(None)),
), max_size=14)


class Model:
    """The log as the contract tells of it."""

    def __init__(self, now: int) -> None:
        self.now, self.acked = now, 0
        self.events: list[tuple[int, str, int]] = [(1, "enriched", now)]
        self.seq = 1
        self.dropped: list[int] = []

    def append(self, types: list[str]) -> None:
        for type_ in types:
            self.seq += 1
            self.events.append((self.seq, type_, self.now))
            waiting = [event for event in self.events if event[0] > self.acked]
            likes = [event for event in waiting if event[1] == "post_liked" and event[0] < self.seq]
            if len(waiting) > MOST and likes:
                self.events.remove(likes[0])
                self.dropped.append(likes[0][0])

    def ack(self, seq: int) -> None:
        if self.acked < seq <= self.seq:
            self.acked = seq
            if self.dropped:  # a log that overflowed forgets at once
                self.forget([event for event in self.events if event[0] > seq], seq)

    def forget(self, left: list[tuple[int, str, int]], upto: int) -> None:
        self.events, self.dropped = left, [seq for seq in self.dropped if seq > upto]

    def pass_time(self, ms: int) -> None:
        self.now += ms

    def prune(self, _: None) -> None:
        left = [(seq, type_, at) for seq, type_, at in self.events
                if at >= self.now - DAY or (seq > self.acked and at >= self.now - 30 * DAY)]
        gone = set(self.events) - set(left)
        if gone:
            self.forget(left, max(seq for seq, _, _ in gone))

    def page(self, after: int, limit: int) -> tuple[list[int], int | None]:
        if after > self.seq:
            return [], self.seq + 1
        there = [seq for seq, _, _ in self.events if seq > after][:limit]
        if not there:
            return [], self.seq + 1 if after < self.seq else None
        gap = there[0] if there[0] != after + 1 else None
        return [seq for at, seq in enumerate(there) if seq == there[0] + at], gap


async def do(log: Log, name: str, argument: Any) -> None:
    match name:
        case "append":
            for type_ in argument:
                await log.append(type_)
        case "ack":
            await log.ack(argument)
        case "pass_time":
            log.moment.ms += argument
        case "prune":
            await log.prune()


async def compare(folder: Path, steps: list[tuple[str, Any]]) -> None:
    moment = Moment()
    database = await opened(folder, clock=moment)
    try:
        log, model = Log(database, EventLog(Nudges()), moment), Model(moment.ms)
        await log.add_member(1)
        for name, argument in steps:
            getattr(model, name)(argument)
            await do(log, name, argument)
            await log.sound()
        for after in range(model.seq + 3):
            for limit in (1, 3, 100):
                page = await log.page(after, limit)
                assert ([event.seq for event in page.events], page.gap) == model.page(after, limit), (after, limit)
                assert page.seq == model.seq
    finally:
        await database.close()


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_pages_are_what_the_model_says(steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder, patch("server.events.log.MOST_WAITING", MOST):
        asyncio.run(compare(Path(folder), steps))
