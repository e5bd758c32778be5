"""Schedules: when they put something in the queue, and how often."""
from __future__ import annotations

from typing import Any

import pytest

from server.core.clock import DAY, HOUR, MINUTE, SECOND
from server.jobs import Done, Retry, schedules
from server.jobs.schedules import Schedule
from server.storage import Tx
from tests.jobs.support import Gate, Toy, Yard
from tests.support import opened, until


@pytest.fixture
def toy() -> Toy:
    return Toy("sweep", concurrency=1)


async def next_at(yard: Yard) -> int:
    async def read(tx: Tx) -> int:
        return int(await tx.value("SELECT next_at FROM schedules WHERE name = 'sweep'"))
    return await yard.database.read(read)


async def stands(yard: Yard, name: str = "sweep") -> Schedule:
    return await yard.database.read(schedules.read, name)


async def change(yard: Yard, every_ms: int = HOUR, enabled: bool = True) -> None:
    async def write(tx: Tx) -> None:
        await schedules.change(tx, yard.queue, await schedules.hold(tx, "sweep"), every_ms, enabled, 1)
    await yard.database.write(write)


async def ended(yard: Yard, count: int) -> None:
    await yard.ended(*["done"] * count)


async def test_a_schedule_that_exists_is_left_as_it_is(yard: Yard) -> None:
    await yard.database.write(schedules.schedule, "sweep", HOUR)
    first = await next_at(yard)
    yard.moment.ms += 1000
    await yard.database.write(schedules.schedule, "sweep", 5)
    assert await next_at(yard) == first == yard.moment.ms - 1000 + HOUR


async def test_when_due_it_enqueues_once_and_moves_on(yard: Yard, toy: Toy) -> None:
    await yard.database.write(schedules.schedule, "sweep", HOUR)
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
    await yard.database.write(schedules.schedule, "sweep", HOUR)
    yard.moment.ms += 50 * HOUR
    await yard.start(toy)
    await until(lambda: toy.stored)
    yard.queue.wake()
    await ended(yard, 1)
    assert await next_at(yard) == yard.moment.ms + HOUR


async def test_while_one_runs_the_next_is_not_begun(yard: Yard, toy: Toy) -> None:
    toy.work = gate = Gate()
    await yard.database.write(schedules.schedule, "sweep", HOUR)
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
    await yard.database.write(schedules.schedule, "sweep", HOUR)
    for toy in toys:
        await yard.start(toy, alone=False)
    yard.moment.ms += HOUR
    for worker in yard.workers:
        worker._woken.set()
    await ended(yard, 1)
    assert sum(len(toy.stored) for toy in toys) == 1


# -- the grid, and clocks that jump


async def test_a_late_run_does_not_push_the_later_ones_back(yard: Yard, toy: Toy) -> None:
    await yard.database.write(schedules.schedule, "sweep", HOUR)
    due = await next_at(yard)
    yard.moment.ms = due + 20 * MINUTE
    await yard.start(toy)
    await ended(yard, 1)
    assert await next_at(yard) == due + HOUR


async def test_a_clock_that_is_put_forward_makes_one_run(yard: Yard, toy: Toy) -> None:
    await yard.database.write(schedules.schedule, "sweep", MINUTE)
    await yard.start(toy)
    yard.later(2 * 3600)
    await ended(yard, 1)
    await yard.looked()
    await ended(yard, 1)
    assert await next_at(yard) == yard.moment.ms + MINUTE


@pytest.mark.parametrize("back", [1, 20 * SECOND, HOUR, 400 * DAY])
async def test_a_clock_that_is_put_back_skips_nothing(yard: Yard, toy: Toy, back: int) -> None:
    await yard.database.write(schedules.schedule, "sweep", MINUTE)
    await yard.start(toy)
    await yard.looked()
    yard.moment.ms -= back
    await yard.looked()
    assert await next_at(yard) == yard.moment.ms + MINUTE and await yard.rows() == []
    for number in (1, 2, 3):
        yard.later(60)
        await ended(yard, number)


async def test_one_that_was_put_back_while_nobody_was_there_is_noticed_at_the_start(yard: Yard, toy: Toy) -> None:
    await yard.database.write(schedules.schedule, "sweep", MINUTE)
    yard.moment.ms -= DAY
    await yard.start(toy)
    await yard.looked()
    assert await next_at(yard) == yard.moment.ms + MINUTE


async def test_a_job_that_waits_for_the_time_before_the_jump_comes_with_the_next_run(yard: Yard, toy: Toy) -> None:
    yard.chance = 1.0
    await yard.database.write(schedules.schedule, "sweep", HOUR)
    yard.moment.ms += HOUR
    await yard.start(toy)
    await until(yard.rows)
    yard.moment.ms -= DAY
    await yard.looked()
    yard.later(3600)
    await yard.looked()
    assert [row["run_at"] for row in await yard.rows()] == [yard.moment.ms + 10 * SECOND]
    yard.later(10)
    await ended(yard, 1)


async def test_the_clock_of_another_process_that_goes_ahead_is_none_that_was_put_back(yard: Yard, toy: Toy) -> None:
    await yard.start(toy)
    await yard.looked()
    yard.moment.ms += 30 * SECOND
    await yard.database.write(schedules.schedule, "sweep", SECOND)
    ahead = await next_at(yard)
    yard.moment.ms -= 29 * SECOND  # the worker has not seen the other one's time, so for it the clock goes on
    await yard.looked()
    assert await next_at(yard) == ahead and await yard.rows() == []


# -- what is enqueued, and when


async def test_a_name_is_a_kind_or_a_kind_and_a_key(yard: Yard, toy: Toy) -> None:
    for name in ("sweep:under the bed", "sweep:a:b", "sweep"):
        await yard.database.write(schedules.schedule, name, MINUTE)
    yard.moment.ms += MINUTE
    await yard.start(toy)
    await ended(yard, 3)
    assert {(row["kind"], row["key"]) for row in await yard.rows()} == {
        ("sweep", "under the bed"), ("sweep", "a:b"), ("sweep", "")}


async def test_a_disabled_one_rests(yard: Yard, toy: Toy) -> None:
    await yard.database.write(schedules.schedule, "sweep", MINUTE, False)
    await yard.start(toy)
    yard.later(3600)
    await yard.looked()
    assert await yard.rows() == []
    await change(yard, MINUTE, True)
    assert await next_at(yard) == yard.moment.ms + MINUTE
    yard.later(60)
    await ended(yard, 1)


@pytest.mark.parametrize(("every", "most"), [(SECOND, 50), (MINUTE, 3 * SECOND), (HOUR, 10 * SECOND)])
async def test_a_run_is_put_off_by_chance_and_not_by_much(yard: Yard, toy: Toy, every: int, most: int) -> None:
    yard.chance = 1.0
    await yard.database.write(schedules.schedule, "sweep", every)
    yard.moment.ms += every
    await yard.start(toy)
    await until(yard.rows)
    assert [row["run_at"] for row in await yard.rows()] == [yard.moment.ms + most]
    assert await next_at(yard) == yard.moment.ms + every
    yard.later(most / 1000)
    await ended(yard, 1)


async def test_a_short_interval_is_kept_though_nobody_wakes_the_worker(tmp_path: Any) -> None:
    yard, toy = Yard(await opened(tmp_path), None), Toy("sweep")  # type: ignore[arg-type]
    await yard.database.write(schedules.schedule, "sweep", 100)
    await yard.start(toy)
    await until(lambda: len(toy.stored) >= 5, 3.0)  # as often as it looks by itself would be once in five seconds
    await yard.stop()
    await yard.database.close()


async def test_another_interval_wakes_who_sleeps_for_the_old_one(tmp_path: Any) -> None:
    yard, toy = Yard(await opened(tmp_path), None), Toy("sweep")  # type: ignore[arg-type]
    await yard.database.write(schedules.schedule, "sweep", HOUR)
    await yard.start(toy)
    await yard.looked()
    await change(yard, 100)
    await until(lambda: toy.stored, 3.0)
    await yard.stop()
    await yard.database.close()


# -- changing


async def test_it_is_due_an_interval_after_the_interval_was_changed(yard: Yard) -> None:
    await yard.database.write(schedules.schedule, "sweep", HOUR)
    yard.moment.ms += MINUTE
    await change(yard, HOUR)
    assert await next_at(yard) == yard.moment.ms - MINUTE + HOUR  # nothing was changed
    await change(yard, 2 * MINUTE)
    assert await next_at(yard) == yard.moment.ms + 2 * MINUTE
    yard.moment.ms += MINUTE
    await change(yard, 2 * MINUTE, False)
    assert (await stands(yard)) == Schedule("sweep", 2 * MINUTE, yard.moment.ms + MINUTE, False, 1, 0, None)


async def test_disabled_it_takes_back_what_it_has_put_off_and_nothing_that_was_asked_for(yard: Yard, toy: Toy) -> None:
    yard.chance = 1.0
    await yard.database.write(schedules.schedule, "sweep", HOUR)
    await yard.start()  # a worker of nothing: what is enqueued stays
    yard.later(3600)
    await until(yard.rows)
    await change(yard, HOUR, False)
    assert await yard.rows() == []
    await change(yard, HOUR, True)
    await yard.add("", kind="sweep")
    await change(yard, HOUR, False)
    assert await yard.states() == ["ready"]


# -- failing


async def fail(yard: Yard, told_ms: int = 0) -> int:
    """One more failure; how far away the next run is then."""
    await yard.database.write(schedules.failed, "sweep", "it was down", told_ms)
    return await next_at(yard) - yard.moment.ms


async def test_the_pause_doubles_with_each_failure_up_to_an_hour_and_a_success_ends_it(yard: Yard) -> None:
    await yard.database.write(schedules.schedule, "sweep", MINUTE)
    assert [await fail(yard) // MINUTE for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    found = await stands(yard)
    assert (found.failures, found.last_error) == (9, "it was down")
    await yard.database.write(schedules.succeeded, "sweep")
    assert await stands(yard) == Schedule("sweep", MINUTE, yard.moment.ms + MINUTE, True, 1, 0, None)


async def test_a_wait_that_was_told_is_kept_to_for_up_to_an_hour(yard: Yard) -> None:
    await yard.database.write(schedules.schedule, "sweep", MINUTE)
    assert await fail(yard, 10 * MINUTE) == 10 * MINUTE
    assert await fail(yard, 3 * DAY) == HOUR


async def test_what_comes_seldom_comes_no_sooner_for_a_failure(yard: Yard) -> None:
    await yard.database.write(schedules.schedule, "sweep", DAY)
    assert await fail(yard) == await fail(yard, HOUR) == DAY


async def test_a_pause_outlives_a_small_jump_of_the_clock_and_not_a_large_one(yard: Yard, toy: Toy) -> None:
    await yard.database.write(schedules.schedule, "sweep", MINUTE)
    await yard.start(toy)
    for _ in range(6):
        pause = await fail(yard)
    assert pause == 32 * MINUTE
    due = await next_at(yard)
    await yard.looked()
    yard.moment.ms -= 5 * MINUTE
    await yard.looked()
    assert await next_at(yard) == due
    yard.moment.ms -= HOUR
    await yard.looked()
    assert await next_at(yard) == yard.moment.ms + MINUTE


async def test_a_job_that_is_to_be_tried_again_is_no_second_one(yard: Yard, toy: Toy) -> None:
    toy.decide = lambda job: Retry(30 * MINUTE, "later") if job.attempts == 1 else Done()
    await yard.database.write(schedules.schedule, "sweep", MINUTE)
    yard.moment.ms += MINUTE
    await yard.start(toy)
    await until(lambda: toy.stored)
    yard.later(60)
    await ended(yard, 1)  # it was due before its time had come, and came then
    assert len(toy.stored) == 2
