"""The worker: how many at once, how often, and what happens when it, its work or its database breaks."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.jobs import Failed, Job, Retry, RetryPolicy, queue
from server.ops import check
from tests.jobs.support import Gate, Toy, Yard
from tests.support import until


async def sound(yard: Yard) -> None:
    assert await yard.database.read(check.broken) == []


async def test_it_runs_what_is_put_in_before_and_after_its_start(yard: Yard) -> None:
    toy = Toy()
    await yard.add("a", "b")
    await yard.start(toy)
    await yard.add("c", "gone")
    await yard.ended("done", "done", "done", "done")
    assert sorted(toy.stored) == [("a", 1), ("b", 1), ("c", 1)]
    assert all(row["finished_at"] == yard.moment.ms and row["worker"] is None for row in await yard.rows())
    await sound(yard)


async def test_no_more_at_once_than_the_kind_may(yard: Yard) -> None:
    few, many = Toy("few", concurrency=2), Toy("many", concurrency=5)
    few.work = many.work = gate = Gate()
    await yard.add(*map(str, range(20)), kind="few")
    await yard.add(*map(str, range(20)), kind="many")
    worker = await yard.start(few, many)
    await until(lambda: gate.inside == 7)
    assert worker.running == 7 and (await yard.states()).count("running") == 7
    gate.open.set()
    await yard.ended(*["done"] * 40)
    assert (few.most, many.most) == (2, 5)
    assert len(few.stored) == len(many.stored) == 20


async def test_a_kind_that_is_stuck_does_not_hold_another(yard: Yard) -> None:
    stuck, quick = Toy("stuck", concurrency=1), Toy("quick")
    stuck.work = gate = Gate()
    await yard.add("1", "2", "3", kind="stuck")
    await yard.start(stuck, quick)
    await until(lambda: gate.inside)
    await yard.add("1", kind="quick")
    await until(lambda: quick.stored)
    gate.open.set()


async def test_at_most_one_open_job_of_a_kind_and_key(yard: Yard) -> None:
    toy = Toy()
    toy.work = gate = Gate()
    assert await yard.add("a", "a", "b") == [True, False, True]
    await yard.start(toy)
    await until(lambda: gate.inside == 2)
    assert await yard.add("a", "b", "c") == [False, False, True]
    results = await asyncio.gather(*(yard.add("d") for _ in range(20)))
    assert sorted(sum(results, [])) == [False] * 19 + [True]
    gate.open.set()
    await yard.ended(*["done"] * 4)
    assert await yard.add("a") == [True]


async def test_what_is_not_due_waits(yard: Yard) -> None:
    toy = Toy()
    await yard.start(toy)
    await yard.add("later", run_at=yard.moment.ms + 60_000)
    await yard.add("now")
    await until(lambda: toy.stored)
    yard.later(59)
    await yard.add("again")
    await until(lambda: len(toy.stored) == 2)
    yard.later(1.001)
    await yard.ended("done", "done", "done")
    assert [key for key, _ in toy.stored] == ["now", "again", "later"]


async def test_waits_between_retries_grow_and_the_last_one_gives_up(yard: Yard) -> None:
    toy = Toy(attempts=4)
    toy.decide = lambda job: Retry(toy.policy.wait(job.attempts), "not yet") if job.attempts < 4 else Failed("never")
    await yard.add("a")
    await yard.start(toy)
    waits = []
    for attempt in range(1, 4):
        await until(lambda: len(toy.stored) == attempt)
        await yard.ended("ready")
        row = (await yard.rows())[0]
        assert (row["attempts"], row["last_error"], row["worker"]) == (attempt, "not yet", None)
        waits.append((row["run_at"] - yard.moment.ms) / 1000)
        yard.later(waits[-1])
    await yard.ended("failed")
    assert 7.5 <= waits[0] <= 12.5 and 15 <= waits[1] <= 25 and 30 <= waits[2] <= 50
    assert (await yard.rows())[0]["last_error"] == "never" and toy.given_up == []
    await sound(yard)


@pytest.mark.parametrize("attempt, told, least, most", [
    (1, None, 1.5, 2.5), (2, None, 3, 5), (5, None, 24, 40), (30, None, 750, 1250), (1000, None, 750, 1250),
    (1, 100, 100, 100), (5, 1, 24, 40), (1, 0, 1.5, 2.5)])
def test_policy(attempt: int, told: float | None, least: float, most: float) -> None:
    policy = RetryPolicy(8, 2.0, 1000.0)
    for _ in range(50):
        assert least * 1000 <= policy.wait(attempt, told) <= most * 1000
    assert [policy.exhausted(number) for number in (7, 8, 9)] == [False, True, True]
    assert policy.horizon == 1000 * (2 + 4 + 8 + 16 + 32 + 64 + 128)


async def test_a_retry_that_burns_no_attempt(yard: Yard) -> None:
    toy = Toy()
    toy.decide = lambda job: Retry(1000, "held", burn=False)
    await yard.add("a")
    await yard.start(toy)
    for number in range(1, 8):
        await until(lambda: len(toy.stored) == number)
        await yard.ended("ready")
        assert (await yard.rows())[0]["attempts"] == 0
        yard.later(1)


async def explodes(job: Job) -> Any:
    raise ZeroDivisionError("a secret of ada@example.org")


@pytest.mark.parametrize("where", ["call", "store"])
async def test_an_unexpected_error_is_retried_and_then_given_up(where: str, yard: Yard) -> None:
    toy = Toy(attempts=3)
    if where == "call":
        toy.work = explodes
    else:
        toy.decide = lambda job: 1 // 0  # type: ignore[arg-type, return-value]
    await yard.add("a")
    await yard.start(toy)
    for attempt in (1, 2):
        await until(lambda: len(toy.calls) == attempt)
        await yard.ended("ready")
        yard.later(100)
    await yard.ended("failed")
    assert toy.calls == [("a", 1), ("a", 2), ("a", 3)] and toy.stored == []
    assert [key for key, _ in toy.given_up] == ["a"]
    assert "secret" not in (await yard.rows())[0]["last_error"]
    await sound(yard)


async def test_one_that_breaks_does_not_take_the_others_along(yard: Yard) -> None:
    toy = Toy(attempts=1)

    async def work(job: Job) -> int:
        return 1 // (int(job.key) % 3)
    toy.work = work
    await yard.add(*map(str, range(30)))
    await yard.start(toy)
    await yard.ended(*["failed" if number % 3 == 0 else "done" for number in range(30)])
    assert len(toy.stored) == 20 and len(toy.given_up) == 10


async def test_a_load_that_breaks_does_not_stop_the_worker(yard: Yard) -> None:
    toy, other = Toy(attempts=2), Toy("other")
    load = toy.load

    async def breaks(tx: Any, job: Job) -> Any:
        if job.key == "poison":
            raise ValueError("no such thing")
        return await load(tx, job)
    toy.load = breaks  # type: ignore[method-assign]
    await yard.add("poison", "good")
    await yard.add("good", kind="other")
    await yard.start(toy, other)
    await until(lambda: toy.stored and other.stored)
    await until(lambda: yard.later(100) or toy.given_up)
    await yard.ended("failed", "done", "done")


async def test_another_worker_takes_over_and_the_late_result_of_the_first_is_dropped(yard: Yard) -> None:
    slow, quick = Toy(), Toy()
    slow.work = gate = Gate()
    await yard.add("a")
    await yard.start(slow)
    await until(lambda: gate.inside)
    yard.moment.ms += queue.LEASE_MS + 1
    await yard.database.write(queue.free, False)
    await yard.start(quick, alone=False)
    await yard.ended("done")
    gate.open.set()
    await until(lambda: slow.now == 0)
    await yard.stop()
    assert (slow.stored, quick.stored) == ([], [("a", 2)])
    row = (await yard.rows())[0]
    assert (row["state"], row["attempts"]) == ("done", 2)


async def test_a_late_result_does_not_end_a_run_that_goes_on(yard: Yard) -> None:
    first, second = Toy(), Toy()
    first.work, second.work = early, late = Gate(), Gate()
    await yard.add("a")
    await yard.start(first)
    await until(lambda: early.inside)
    yard.moment.ms += queue.LEASE_MS + 1
    await yard.database.write(queue.free, False)
    await yard.start(second, alone=False)
    await until(lambda: late.inside)
    early.open.set()
    await until(lambda: yard.workers[0].running == 0)
    assert await yard.states() == ["running"] and first.stored == []
    late.open.set()
    await yard.ended("done")
    assert second.stored == [("a", 2)]


async def test_the_heartbeat_keeps_what_takes_long(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.jobs.worker.HEARTBEAT", 0.01)
    toy = Toy()
    toy.work = gate = Gate()
    await yard.add("a")
    await yard.start(toy)
    await until(lambda: gate.inside)
    for _ in range(3):
        yard.moment.ms += queue.LEASE_MS - 1000
        lease = yard.moment.ms + queue.LEASE_MS

        async def extended() -> bool:
            return bool((await yard.rows())[0]["lease_until"] == lease)
        await until(extended)
    gate.open.set()
    await yard.ended("done")
    assert toy.stored == [("a", 1)]


async def test_after_a_crash_it_runs_again_at_once(yard: Yard) -> None:
    async def crashed(tx: Any) -> None:
        await tx.run("UPDATE jobs SET state = 'running', attempts = 1, worker = 'dead', lease_until = $1",
                     tx.now + 50_000)
    toy = Toy()
    await yard.add("a", "b")
    await yard.database.write(crashed)
    await yard.start(toy, alone=True)
    await yard.ended("done", "done")
    assert sorted(toy.calls) == [("a", 2), ("b", 2)]


async def test_beside_another_process_only_what_expired_is_taken(yard: Yard) -> None:
    async def others(tx: Any) -> None:
        await tx.run("UPDATE jobs SET state = 'running', worker = 'other', lease_until = $1 + (id - 1) * 2000 - 1000",
                     tx.now)
    toy = Toy()
    await yard.add("expired", "alive")
    await yard.database.write(others)
    await yard.start(toy, alone=False)
    await yard.ended("done", "running")
    assert toy.calls == [("expired", 1)]


async def test_stop_lets_finish_what_soon_does_and_gives_the_rest_back(
        yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.jobs.worker.GRACE", 0.1)
    toy = Toy()
    never, soon = Gate(), Gate()

    async def work(job: Job) -> int:
        return await (soon if job.key == "soon" else never)(job)
    toy.work = work
    await yard.add("soon", "never")
    await yard.start(toy)
    await until(lambda: soon.inside and never.inside)
    asyncio.get_running_loop().call_later(0.02, soon.open.set)
    await yard.stop()
    rows = await yard.rows()
    assert [(row["state"], row["attempts"], row["worker"]) for row in rows] == [("done", 1, None), ("ready", 0, None)]
    assert toy.stored == [("soon", 1)]
    await sound(yard)


async def test_stop_at_any_moment_leaves_nothing_running(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.jobs.worker.GRACE", 0.0)
    for number in range(30):
        toy = Toy(concurrency=50)
        await yard.start(toy)
        adding = asyncio.create_task(yard.add(*(f"{number}-{key}" for key in range(5))))
        for _ in range(number):
            await asyncio.sleep(0)
        await yard.stop()
        await adding
        assert "running" not in await yard.states(), number


async def test_the_request_that_caused_it_stands_in_the_job_and_around_its_work(yard: Yard) -> None:
    toy, seen = Toy(), []

    async def work(job: Job) -> None:
        seen.append((job.request_id, queue.request_id.get()))
    toy.work = work
    token = queue.request_id.set("r-17")
    await yard.add("a")
    queue.request_id.reset(token)
    await yard.add("b")
    await yard.start(toy)
    await yard.ended("done", "done")
    assert sorted(seen, key=str) == [("r-17", "r-17"), (None, None)]
