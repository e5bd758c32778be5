"""Numbers without a gap, acknowledgements, the bound, and what is forgotten."""
from __future__ import annotations

import asyncio

import pytest

from server.core.clock import DAY
from server.events import log as events
from server.storage import Tx
from tests.events.support import Log

LIKED, TOLD = "post_liked", "file_checked"


async def test_each_member_has_numbers_of_their_own_without_a_gap(log: Log) -> None:
    await asyncio.gather(*(log.append(TOLD, TOLD, member=1 + number % 3) for number in range(60)))
    for member in (1, 2, 3):
        assert await log.kept(member) == list(range(1, 42))
    await log.sound()


async def test_what_is_rolled_back_takes_no_number_and_nudges_nobody(log: Log) -> None:
    told: list[int] = []

    class Ear:
        def nudge(self, seq: int, frame: str) -> None:
            told.append(seq)
    log.log._nudges.listen(1, Ear())

    async def fails(tx: Tx) -> None:
        await log.log.append(tx, 1, TOLD, "{}")
        raise LookupError

    writes = (log.append(TOLD), log.database.write(fails), log.append(TOLD), log.database.write(fails))
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [list, LookupError, list, LookupError]
    assert await log.kept() == [1, 2, 3] and told == [2, 3]
    await log.sound()


async def test_nobody_is_told_for_a_member_who_is_gone(log: Log) -> None:
    assert await log.append(TOLD, member=99) == [0]
    assert await log.kept(99) == []


@pytest.mark.parametrize("acks, expected", [
    ([2], 2), ([3, 1], 3), ([5, 6], 5), ([6], 0), ([0], 0), ([2**53 - 1, 4], 4)])
async def test_an_acknowledgement_moves_forward_only_and_not_beyond_the_newest(
        acks: list[int], expected: int, log: Log) -> None:
    await log.append(*[TOLD] * 4)
    for seq in acks:
        await log.ack(seq)
    assert (await log.database.read(events.position, 1)).acked == expected
    assert (await log.database.read(events.position, 2)).acked == 0
    await log.sound()


async def test_above_a_thousand_only_likes_are_dropped_and_the_oldest_first(log: Log) -> None:
    await log.append(*[TOLD, LIKED] * 500)  # 1001 with the first one
    assert await log.kept() == [1, 2, *range(4, 1002)]
    await log.append(*[TOLD] * 3)
    assert await log.kept() == [1, 2, 4, 6, 8, *range(10, 1005)]
    await log.sound()
    page = await log.page(0)
    assert ([event.seq for event in page.events], page.gap, page.seq) == ([1, 2], None, 1004)
    page = await log.page(2)
    assert ([event.seq for event in page.events], page.gap) == ([4], 4)
    page = await log.page(8)
    assert [event.seq for event in page.events] == list(range(10, 110)) and page.gap == 10


async def test_what_is_no_like_is_kept_however_many(log: Log) -> None:
    await log.append(*[TOLD] * 1500)
    await log.append(LIKED, LIKED)
    kept = await log.kept()
    assert kept[:1500] == list(range(1, 1501)) and kept[-1] == 1503 and len(kept) <= 1503
    await log.sound()


async def test_the_bound_counts_what_waits_and_not_what_was_acknowledged(log: Log) -> None:
    await log.append(*[LIKED] * 1499)  # 1500 in all, 500 dropped
    assert len(await log.kept()) == 1000
    await log.ack(1500)
    await log.append(*[LIKED] * 1200)
    waiting = [seq for seq in await log.kept() if seq > 1500]
    assert waiting == list(range(1701, 2701))
    await log.sound()


async def test_an_acknowledged_event_goes_after_a_day_and_others_after_thirty(log: Log) -> None:
    await log.append(*[TOLD] * 9)
    await log.ack(4)
    assert await log.prune() == 0
    log.moment.ms += DAY + 1
    assert await log.prune() == 1
    assert await log.kept() == [5, 6, 7, 8, 9, 10]
    page = await log.page(0)
    assert (page.gap, page.events[0].seq, page.seq) == (5, 5, 10)
    await log.append(TOLD)
    log.moment.ms += 29 * DAY
    await log.prune()
    assert await log.kept() == [11]
    log.moment.ms += 2 * DAY
    await log.prune()
    assert await log.kept() == [] and (await log.page(3)).gap == 12
    assert (await log.page(11)).gap is None
    assert await log.append(TOLD) == [12]
    await log.sound()


async def test_pruning_after_dropping_keeps_the_counts(log: Log) -> None:
    await log.append(*[LIKED, TOLD] * 600)
    for acked in (100, 350, 900):
        await log.ack(acked)
        log.moment.ms += DAY + 1
        await log.prune()
        await log.sound()
        await log.append(*[LIKED] * 300)
        await log.sound()


async def test_only_so_many_members_are_pruned_at_once(log: Log) -> None:
    log.moment.ms += 31 * DAY
    assert [await log.prune(2), await log.prune(2), await log.prune(2)] == [2, 1, 0]
    await log.sound()
