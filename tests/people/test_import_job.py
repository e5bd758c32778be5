"""The import's job: what a run leaves behind, however it ends, and that it ends once."""
from __future__ import annotations

from typing import Any

import pytest

from server.core.clock import DAY, HOUR, MINUTE, SECOND, iso
from server.events import log
from server.jobs import Job, Worker, queue
from server.ops import check
from server.people import runs
from server.people.jobs import TOO_MANY
from server.people.model import Counts
from server.providers.outcome import Kind, Outcome, broken, not_asked
from server.storage import Tx
from tests.people.imports import EVERY, Imports, came, record
from tests.support import until

NUMBER = "4111 1111 1111 1111"


async def test_a_run_is_asked_for_when_it_is_due_and_leaves_its_counts(imports: Imports) -> None:
    await imports.administrators(1, 2)
    await imports.schedule(batch=3)
    imports.source.answer = lambda number: came(record(1), record(2), {"uid": 7})
    await imports.start()
    imports.yard.later(60)
    [run] = await imports.ended("done")
    at = iso(imports.yard.moment.ms)
    assert imports.source.asked == [("users", 3)]
    assert (run.started_at, run.finished_at, run.error) == (at, at, None)
    assert (run.new, run.changed, run.unchanged, run.rejected, run.linked) == (2, 0, 0, 1, 0)
    assert sum(run.reasons.values()) == 1
    expected = {"schedule": "users", "status": "done", "started_at": at, "finished_at": at, "new": 2, "changed": 0,
                "unchanged": 0, "rejected": 1, "linked": 0, "error": None}
    assert await imports.told(1) == await imports.told(2) == [expected]
    assert await imports.yard.database.read(check.broken) == []


async def test_the_same_records_again_are_unchanged(imports: Imports) -> None:
    await imports.schedule()
    imports.source.answer = lambda number: came(record(1), record(2, last_name=f"Byron {number}"))
    await imports.start()
    for number in range(1, 4):
        imports.yard.later(60)
        await imports.ended(*["done"] * number)
    assert [(run.new, run.changed, run.unchanged) for run in await imports.runs()] == [(2, 0, 0), (0, 1, 1), (0, 1, 1)]


async def test_only_administrators_in_good_standing_hear_of_it(imports: Imports) -> None:
    await imports.administrators(1, 2)
    await imports.administrators(3, suspended=1)
    await imports.schedule()
    await imports.start()

    async def demote(tx: Tx) -> None:
        await tx.run("UPDATE users SET role = 'member' WHERE id = 2")
    await imports.yard.database.write(demote)
    await imports.run_now()
    await imports.ended("done")
    assert [len(await imports.told(member)) for member in (1, 2, 3)] == [1, 0, 0]


async def test_of_an_administrator_who_reads_nothing_the_oldest_are_dropped(imports: Imports,
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_WAITING", 3)  # one event of another type waits from the beginning
    await imports.administrators(1)
    await imports.schedule()
    await imports.start()
    for number in range(1, 6):
        await imports.run_now()
        await imports.ended(*["done"] * number)
    page = await imports.yard.database.read(log.page, 1, 0, 100)
    assert [(event.seq, event.type) for event in page.events] == [(1, "enriched")]
    assert [event.seq for event in (await imports.yard.database.read(log.page, 1, 1, 100)).events] == [5, 6]


@pytest.mark.parametrize(("outcome", "error", "away"), [
    (broken("status 503"), "broken: status 503", EVERY),
    (broken("status 503", 600.0), "broken: status 503", 10 * MINUTE),
    (Outcome(Kind.LIMITED, wait=7200.0, reason="status 429"), "limited: status 429", HOUR),
    (broken("status 503", 3000.0), "broken: status 503", 3000 * SECOND)])
async def test_without_records_it_has_failed_and_comes_later(imports: Imports, outcome: Outcome, error: str,
                                                             away: int) -> None:
    await imports.administrators(1)
    await imports.schedule()
    imports.source.answer = lambda number: outcome
    await imports.start()
    imports.yard.later(60)
    [run] = await imports.ended("failed")
    assert (run.error, run.new, run.reasons, run.finished_at) == (error, 0, {}, iso(imports.yard.moment.ms))
    found = await imports.stands()
    assert (found.failures, found.last_error, found.next_at) == (1, error, imports.yard.moment.ms + away)
    [told] = await imports.told(1)
    assert (told["status"], told["error"]) == ("failed", error)
    assert await imports.yard.states() == ["done"]  # the schedule tries again, not the job


async def test_what_could_not_be_asked_for_is_no_failure_and_comes_when_it_can_be(imports: Imports) -> None:
    await imports.schedule()
    imports.source.answer = lambda number: broken("status 503") if number == 1 else not_asked(
        Kind.LIMITED, "breaker open", 20.0)
    await imports.start()
    for number in range(1, 5):
        await imports.run_now()
        await imports.ended(*["failed"] * number)
    found = await imports.stands()
    assert (found.failures, found.last_error) == (1, "broken: status 503")
    assert found.next_at == imports.yard.moment.ms + 20 * SECOND


async def test_a_source_that_is_down_is_asked_less_and_less_and_when_it_is_up_as_before(imports: Imports) -> None:
    await imports.schedule()
    imports.source.answer = lambda number: broken("refused")
    await imports.start()
    pauses = []
    for number in range(1, 9):
        imports.yard.moment.ms = (await imports.stands()).next_at
        imports.yard.queue.wake()
        await imports.ended(*["failed"] * number)
        pauses.append((await imports.stands()).next_at - imports.yard.moment.ms)
    assert [pause // MINUTE for pause in pauses] == [1, 2, 4, 8, 16, 32, 60, 60]
    imports.source.answer = lambda number: came(record(number))
    await imports.run_now()
    await imports.ended(*["failed"] * 8, "done")
    found = await imports.stands()
    assert (found.failures, found.last_error, found.next_at) == (0, None, imports.yard.moment.ms + EVERY)


async def test_no_record_is_a_good_answer(imports: Imports) -> None:
    await imports.schedule()
    imports.source.answer = lambda number: came()
    await imports.start()
    await imports.run_now()
    [run] = await imports.ended("done")
    assert (run.new, run.rejected) == (0, 0)


async def test_more_than_was_asked_for_is_not_taken(imports: Imports) -> None:
    await imports.schedule(batch=2)
    imports.source.answer = lambda number: came(*(record(each) for each in range(7)))
    await imports.start()
    await imports.run_now()
    [run] = await imports.ended("done")
    assert (run.new, run.rejected, run.reasons) == (2, 5, {TOO_MANY: 5})


async def test_a_disabled_one_runs_when_it_is_told_to(imports: Imports) -> None:
    await imports.schedule(enabled=False)
    await imports.start()
    await imports.run_now()
    await imports.ended("done")
    imports.source.answer = lambda number: broken("refused")
    await imports.run_now()
    await imports.ended("done", "failed")
    imports.yard.later(7200)
    await until(lambda: imports.yard.workers[0].running == 0)
    assert len(imports.source.asked) == 2 and not (await imports.stands()).enabled


async def test_the_three_do_not_wait_for_each_other(imports: Imports) -> None:
    await imports.schedule("users", "addresses", "cards")
    imports.source.hold()
    await imports.start()
    imports.yard.later(60)
    await until(lambda: sorted(imports.source.asked) == [("addresses", 10), ("cards", 10), ("users", 10)])
    imports.source.free.set()
    for what in ("users", "addresses", "cards"):
        await imports.ended("done", what=what)


async def test_told_to_twenty_times_it_runs_one_after_the_other(imports: Imports) -> None:
    await imports.schedule()
    imports.source.hold()
    await imports.start()
    await imports.start(alone=False)
    for _ in range(20):
        await imports.run_now()
    await until(lambda: imports.source.asked)
    for _ in range(20):
        await imports.run_now()
    imports.source.free.set()
    await imports.ended("done")
    await imports.run_now()
    await imports.ended("done", "done")
    assert imports.source.most == 1 and len(imports.source.asked) == 2


# -- what goes wrong on our side


async def crashed(imports: Imports, error: str) -> None:
    """The run has failed for this, is over, and the next one is like any other."""
    [run] = await imports.ended("failed")
    found = await imports.stands()
    assert (run.error, found.last_error, found.failures) == (error, error, 1)
    assert await imports.yard.states() == ["failed"]
    assert await imports.yard.database.read(check.broken) == []


async def test_records_that_cannot_even_be_judged_are_in_no_log(
        imports: Imports, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def stumble(*_: object) -> Any:
        return int(NUMBER)
    monkeypatch.setattr(imports.importing, "take", stumble)
    await imports.schedule()
    await imports.start()
    await imports.run_now()
    await crashed(imports, "unexpected Unreadable")
    assert "Unreadable: ValueError" in caplog.text and NUMBER not in caplog.text


async def test_records_that_cannot_be_stored(imports: Imports, monkeypatch: pytest.MonkeyPatch,
                                             caplog: pytest.LogCaptureFixture) -> None:
    store = imports.importing.store

    async def store_half(tx: Tx, *args: Any) -> Counts:
        await store(tx, *args)
        raise ZeroDivisionError
    monkeypatch.setattr(imports.importing, "store", store_half)
    await imports.schedule()
    await imports.start()
    await imports.run_now()
    await crashed(imports, "its result cannot be stored")

    async def people(tx: Tx) -> int:
        return int(await tx.value("SELECT count(*) FROM people"))
    assert await imports.yard.database.read(people) == 0
    monkeypatch.setattr(imports.importing, "store", store)
    await imports.run_now()
    await imports.ended("failed", "done")


async def test_a_run_that_cannot_begin(imports: Imports, monkeypatch: pytest.MonkeyPatch,
                                       caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(*_: object) -> Any:
        raise ZeroDivisionError
    await imports.schedule()
    with monkeypatch.context() as patched:
        patched.setattr("server.jobs.schedules.read", refuse)
        await imports.start()
        await imports.run_now()
        await imports.ended("failed")
    await crashed(imports, "cannot be loaded")


async def test_a_crash_before_the_effect_is_one_run_all_the_same(imports: Imports,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    store, lost = Worker._store, []

    async def lose_once(self: Worker, job: Job, effect: Any, *args: Any) -> None:
        if lost:
            await store(self, job, effect, *args)
        lost.append(job.id)
    monkeypatch.setattr(Worker, "_store", lose_once)
    await imports.administrators(1)
    await imports.schedule()
    await imports.start()
    await imports.run_now()
    await until(lambda: lost and imports.yard.workers[0].running == 0)
    [before] = await imports.runs()
    assert before.status == "running"
    await imports.yard.stop()
    imports.yard.moment.ms += queue.LEASE_MS + 1
    await imports.start(alone=False)
    [run] = await imports.ended("done")
    assert (run.id, run.started_at, run.new) == (before.id, before.started_at, 1)
    assert len(imports.source.asked) == 2 and len(await imports.told(1)) == 1


async def test_an_effect_that_is_written_twice_is_one(imports: Imports, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = Worker._store_guarded

    async def store_twice(self: Worker, tx: Tx, job: Job, effect: Any, args: Any) -> None:
        await effect(tx, job, *args)
        await guarded(self, tx, job, effect, args)
    monkeypatch.setattr(Worker, "_store_guarded", store_twice)
    await imports.administrators(1)
    await imports.schedule()
    imports.source.answer = lambda number: came(record(1)) if number == 1 else broken("refused")
    await imports.start()
    await imports.run_now()
    [run] = await imports.ended("done")
    assert (run.new, run.unchanged) == (1, 0) and len(await imports.told(1)) == 1
    await imports.run_now()
    await imports.ended("done", "failed")
    assert (await imports.stands()).failures == 1 and len(await imports.told(1)) == 2


async def test_the_end_of_the_server_in_the_middle_leaves_a_run_that_the_next_one_ends(imports: Imports) -> None:
    await imports.schedule()
    imports.source.hold()
    await imports.start()
    await imports.run_now()
    await until(lambda: imports.source.asked)
    await imports.yard.stop()
    assert [run.status for run in await imports.runs()] == ["running"]
    imports.source.free.set()
    await imports.start()
    await imports.ended("done")


# -- the history


async def test_old_runs_are_forgotten_but_for_the_last_one_and_what_is_under_way(imports: Imports) -> None:
    await imports.schedule("users", "addresses", enabled=False)
    await imports.start()
    for number in (1, 2, 3):
        for what in ("users", "addresses"):
            await imports.run_now(what)
            await imports.ended(*["done"] * number, what=what)
        imports.yard.later(DAY / SECOND)
    before = await imports.runs("addresses")
    imports.source.hold()
    await imports.run_now()
    await until(lambda: imports.source.now["users"])
    assert await imports.yard.database.write(runs.prune, imports.yard.moment.ms + DAY, 2) == 2
    assert await imports.yard.database.write(runs.prune, imports.yard.moment.ms + DAY, 100) == 3
    assert [run.status for run in await imports.runs()] == ["running"]
    assert await imports.runs("addresses") == before[-1:]
    imports.source.free.set()


async def test_what_is_not_old_yet_stays(imports: Imports) -> None:
    await imports.schedule()
    await imports.start()
    for number in range(1, 5):
        imports.yard.later(60)
        await imports.ended(*["done"] * number)
    found = await imports.runs()
    await imports.yard.database.write(runs.prune, imports.yard.moment.ms - 2 * EVERY, 100)
    assert await imports.runs() == found[1:]
