"""Schedules: when they put something in the queue, and how often."""
from __future__ import annotations

from typing import Any

import pytest

from server.core.clock import HOUR
from server.jobs import queue
from server.storage import Tx
from tests.jobs.support import Gate, Toy, Yard
from tests.support import until


@pytest.fixture
def toy() -> Toy:
    return Toy("sweep", concurrency=1)


async def next_at(yard: Yard) -> int:
    async def read(tx: Tx) -> int:
        return int(await tx.value("SELECT next_at FROM schedules WHERE name = 'sweep'"))
    return await yard.database.read(read)


async def ended(yard: Yard, count: int) -> None:
    await yard.ended(*["done"] * count)


async def test_a_schedule_that_exists_is_left_as_it_is(yard: Yard) -> None:
    await yard.database.write(queue.schedule, "sweep", HOUR)
    first = await next_at(yard)
    yard.moment.ms += 1000
    await yard.database.write(queue.schedule, "sweep", 5)
    assert await next_at(yard) == first == yard.moment.ms - 1000 + HOUR


async def test_when_due_it_enqueues_once_and_moves_on(yard: Yard, toy: Toy) -> None:
    await yard.database.write(queue.schedule, "sweep", HOUR)
    await yard.start(toy)
    assert await yard.rows() == []
    for number in range(1, 4):
        yard.later(3600)
        await until(lambda: len(toy.stored) == number)
        await ended(yard, number)
        assert await next_at(yard) == yard.moment.ms + HOUR
        yard.queue.wake()
    await ended(yard, 3)


async def test_hours_that_were_slept_through_are_one(yard: Yard, toy: Toy) -> None:
    await yard.database.write(queue.schedule, "sweep", HOUR)
    yard.moment.ms += 50 * HOUR
    await yard.start(toy)
    await until(lambda: toy.stored)
    yard.queue.wake()
    await ended(yard, 1)
    assert await next_at(yard) == yard.moment.ms + HOUR


async def test_while_one_runs_the_next_is_not_begun(yard: Yard, toy: Toy) -> None:
    toy.work = gate = Gate()
    await yard.database.write(queue.schedule, "sweep", HOUR)
    yard.moment.ms += HOUR
    await yard.start(toy)
    await until(lambda: gate.inside)
    yard.later(3600)
    last = yard.moment.ms + HOUR

    async def moved_on() -> Any:
        return await next_at(yard) == last
    await until(moved_on)
    gate.open.set()
    await ended(yard, 1)
    assert len(toy.calls) == 1


async def test_two_workers_enqueue_it_once(yard: Yard) -> None:
    toys = [Toy("sweep"), Toy("sweep")]
    await yard.database.write(queue.schedule, "sweep", HOUR)
    for toy in toys:
        await yard.start(toy, alone=False)
    yard.moment.ms += HOUR
    for worker in yard.workers:
        worker._woken.set()
    await ended(yard, 1)
    assert sum(len(toy.stored) for toy in toys) == 1
