"""The pace, with time under the test's hand."""
from __future__ import annotations

import asyncio
from typing import Any

from server.providers.pacing import Clocks, Pace


async def test_a_burst_then_the_rate(time: Any) -> None:
    pace = Pace(10, 600, time.clocks)
    assert [await pace.slot(0.5) for _ in range(12)] == [True] * 10 + [False] * 2
    assert 1.0 < pace.free_in() < 1.1
    time.at += 1.06
    assert [await pace.slot(0.0) for _ in range(11)] == [True] * 10 + [False]


async def test_it_waits_if_it_may(time: Any) -> None:
    pace = Pace(2, 100, time.clocks)
    began = time.at
    for _ in range(7):
        assert await pace.slot(2.0)
    assert 3.0 < time.at - began < 3.3


async def test_the_minute_counts_as_well(time: Any) -> None:
    pace = Pace(10, 30, time.clocks)
    calls: list[float] = []
    for _ in range(90):
        assert await pace.slot(1e6)
        calls.append(time.at)
    for first, later in zip(calls, calls[10:]):
        assert later - first > 1.0
    for first, later in zip(calls, calls[30:]):
        assert later - first > 60.0
    assert calls[-1] - calls[0] < 125


async def test_the_window_may_be_another(time: Any) -> None:
    pace = Pace(10, 30, time.clocks, 3600.0)
    calls: list[float] = []
    for _ in range(61):
        assert await pace.slot(1e6)
        calls.append(time.at)
    for first, later in zip(calls, calls[30:]):
        assert later - first >= 3600.0
    assert calls[-1] - calls[0] < 7210


async def test_those_who_wait_have_taken_their_place(time: Any) -> None:
    slept: list[float] = []

    async def doze(seconds: float) -> None:
        slept.append(round(seconds, 2))
    pace = Pace(1, 100, Clocks(steady=lambda: time.at, sleep=doze))
    given = await asyncio.gather(*(pace.slot(2.5) for _ in range(5)))
    assert given == [True, True, True, False, False]
    assert slept == [1.05, 2.1]


async def test_who_would_wait_too_long_takes_no_place(time: Any) -> None:
    pace = Pace(1, 100, time.clocks)
    assert await pace.slot(0)
    for _ in range(50):
        assert not await pace.slot(0.5)
    time.at += 1.06
    assert await pace.slot(0)
