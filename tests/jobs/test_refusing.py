"""The worker over a database that refuses to write for a while: nothing is lost."""
from __future__ import annotations

from typing import Any

import pytest

from server.core.errors import StorageUnavailable
from server.jobs import Job, queue
from server.ops import check
from tests.jobs.support import Gate, Toy, Yard
from tests.support import until


class Refusing:
    """Makes the database refuse writes, so many of them or until told otherwise."""

    def __init__(self, yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self._write = 0, yard.database.write
        monkeypatch.setattr(yard.database, "write", self._maybe)

    async def _maybe(self, function: Any, *args: Any) -> Any:
        if self.left > 0:
            self.left -= 1
            raise StorageUnavailable
        return await self._write(function, *args)


async def test_a_database_that_refuses_for_a_while_loses_nothing(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.jobs.worker.POLL", 0.01)
    toy = Toy(concurrency=4)
    toy.work = gate = Gate()
    await yard.add(*map(str, range(12)))
    refusing = Refusing(yard, monkeypatch)
    await yard.start(toy)
    await until(lambda: gate.inside == 4)
    refusing.left = 6
    gate.open.set()
    await yard.ended(*["done"] * 12)
    assert sorted(toy.stored) == sorted((str(number), 1) for number in range(12))
    assert refusing.left == 0
    assert await yard.database.read(check.broken) == []


async def test_a_refusal_after_a_store_that_broke_does_not_lose_the_job(
        yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy(attempts=1)
    refusing = Refusing(yard, monkeypatch)

    def decide(job: Job) -> Any:
        refusing.left = 1
        raise ValueError
    toy.decide = decide
    await yard.add("a")
    await yard.start(toy)
    await yard.ended("failed")
    assert [key for key, _ in toy.given_up] == ["a"]


async def test_a_result_is_offered_until_it_is_taken(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: the lease has ended meanwhile, and nobody is asked a second time."""
    monkeypatch.setattr("server.jobs.worker.STORE_FIRST", 0.001)
    monkeypatch.setattr("server.jobs.worker.STORE_LONGEST", 0.001)
    monkeypatch.setattr("server.jobs.worker.POLL", 0.01)
    toy = Toy()
    toy.work = gate = Gate()
    await yard.add("a")
    refusing = Refusing(yard, monkeypatch)
    worker = await yard.start(toy)
    await until(lambda: gate.inside)
    refusing.left = 10**6
    gate.open.set()
    await until(lambda: refusing.left < 10**6 - 50)
    assert worker.running == 1
    yard.later(queue.LEASE_MS / 1000 + 1)
    refusing.left = 0
    await yard.ended("done")
    assert toy.calls == [("a", 1)] and toy.stored == [("a", 1)]


async def test_a_result_that_comes_after_somebody_else_took_the_job_is_dropped(
        yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.jobs.worker.POLL", 0.01)
    toy = Toy()
    toy.work = gate = Gate()
    await yard.add("a")
    worker = await yard.start(toy)
    await until(lambda: gate.inside)
    yard.later(queue.LEASE_MS / 1000 + 1)
    await yard.database.write(queue.free, False)
    yard.queue.wake()
    gate.open.set()
    await yard.ended("done")
    await until(lambda: worker.running == 0)
    assert len(toy.stored) == 1 and toy.stored == [("a", 2)]


async def test_stop_bears_a_database_that_refuses(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.jobs.worker.GRACE", 0.0)
    toy = Toy()
    toy.work = gate = Gate()
    await yard.add("a")
    refusing = Refusing(yard, monkeypatch)
    await yard.start(toy)
    await until(lambda: gate.inside)
    refusing.left = 1000
    await yard.stop()
    refusing.left = 0
    assert await yard.states() == ["running"]
    quick = Toy()
    await yard.start(quick)
    await yard.ended("done")
