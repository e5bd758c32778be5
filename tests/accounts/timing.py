"""Whether two kinds of request can be told apart by their time."""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter

Ask = Callable[[int], Awaitable[None]]
ROUNDS = 5


async def apart(one: Ask, other: Ask, at_once: int, most: float) -> float:
    """How far the medians of the two lie apart, as a share of the smaller one.

    Asked in turn, so that whatever else the machine does slows both. The first round asks each of them `at_once` times;
    when the difference is more than `most`, another round adds to the samples: chance grows smaller with their number,
    a real difference stays.
    """
    times: tuple[list[float], list[float]] = ([], [])
    share = 0.0
    for number in range(ROUNDS):
        for turn in range(at_once * (number + 1)):
            # Which of them goes first changes, or the one would always find what the other left in the caches.
            for which in ((0, 1) if turn % 2 else (1, 0)):
                begin = perf_counter()
                await (one, other)[which](turn)
                times[which].append(perf_counter() - begin)
        low, high = sorted(map(median, times))
        share = high / low - 1
        if share <= most:
            break
    return share
