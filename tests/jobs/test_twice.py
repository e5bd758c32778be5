"""Every handler of the server may run twice: its effect alone, and all of it after a crash before the effect."""
from __future__ import annotations

from typing import Any

import pytest

from server.jobs import Job, Worker, queue
from server.ops.housekeeping import KIND
from server.storage import Tx
from tests.conftest import Serve
from tests.enrichment.support import me, settled, told
from tests.support import Served, until

SETTINGS = {"hunter.timeout": "500 ms", "enrichment.first_retry": "10 ms"}


async def started(serve: Serve) -> Served:
    served = await serve(SETTINGS)
    await served.api.switch(served.sandbox, "hunter", verifier=["202-empty", "valid"], find="found")
    return served


async def tidy(served: Served) -> None:
    async def enqueue(tx: Tx) -> None:
        await served.foyer.queue.enqueue(tx, KIND, "")
    await served.foyer.database.write(enqueue)


async def one_of_each(served: Served, session: Any) -> None:
    await settled(served)
    assert [answer["status"] for answer in await told(served, session)] == ["found"]
    assert await told(served, session, "email_verified") == [{"email_status": "valid"}]
    assert (await me(served, session))["email_status"] == "valid"


async def test_an_effect_that_is_written_twice(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded, twice = Worker._store_guarded, []

    async def store_twice(self: Worker, tx: Tx, job: Job, effect: Any, args: Any) -> None:
        if await queue.still_mine(tx, job, self._name):
            await effect(tx, job, *args)
            twice.append(job.kind)
        await guarded(self, tx, job, effect, args)
    monkeypatch.setattr(Worker, "_store_guarded", store_twice)
    served = await started(serve)
    session = await served.api.sign_up("ada")
    await tidy(served)
    await one_of_each(served, session)
    await until(lambda: set(twice) == {"enrich", "verify_email", KIND})


async def test_a_crash_between_the_call_and_its_effect(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    store, lost = Worker._store, []

    async def lose_once(self: Worker, job: Job, effect: Any, *args: Any) -> None:
        if job.kind in lost:
            await store(self, job, effect, *args)
        else:
            lost.append(job.kind)
    monkeypatch.setattr(Worker, "_store", lose_once)
    first = await started(serve)
    session = await first.api.sign_up("ada")
    await tidy(first)
    await until(lambda: len(lost) == 3 and first.foyer.worker.running == 0)
    await first.stop()
    second = await started(serve)
    await one_of_each(second, session)


async def test_a_stop_in_the_middle_of_everything_loses_and_doubles_nothing(serve: Serve) -> None:
    sessions: list[Any] = []
    for _ in range(4):
        served = await started(serve)
        sessions += [await served.api.sign_up() for _ in range(5)]
        await served.stop()
    served = await started(serve)
    for session in sessions:
        await one_of_each(served, session)
