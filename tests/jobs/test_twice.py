"""Every handler of the server may run twice: its effect alone, and all of it after a crash before the effect."""
from __future__ import annotations

from typing import Any

import pytest

from server.jobs import Job, Worker, queue
from server.ops.housekeeping import KIND
from server.storage import Tx
from tests.conftest import Serve
from tests.enrichment.support import me, settled, told
from tests.mailbox import token
from tests.support import Served, until

KINDS = {"enrich", "verify_email", "send_mail", KIND}  # of the jobs that have an effect behind a call
UNSENT = "SELECT count(*) FROM mails WHERE status <> 'sent'"
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
    await until(lambda: _all_sent(served))


async def _all_sent(served: Served) -> bool:
    return not await served.foyer.database.read(_unsent)


async def _unsent(tx: Tx) -> int:
    return int(await tx.value(UNSENT))


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
    assert (await served.api.post("/api/password/forgot", {"email": "ada@example.org"})).status == 202
    await tidy(served)
    await until(lambda: set(twice) == KINDS)
    await token(served.api, served.sandbox, "ada@example.org", "reset")
    found = await served.api.letters(served.sandbox)
    assert [letter["subject"] for letter in found] == ["Set a new password", "Confirm your e-mail address"]
    await one_of_each(served, session)


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
    await until(lambda: set(lost) == KINDS and first.foyer.worker.running == 0)
    sent = await first.api.letters(first.sandbox)
    await first.stop()
    second = await started(serve)
    await one_of_each(second, session)
    # The mail server has taken the letter twice, and can tell that it is one.
    assert [each["message_id"] for each in await second.api.letters(second.sandbox)] == [sent[0]["message_id"]]


async def test_a_stop_in_the_middle_of_everything_loses_and_doubles_nothing(serve: Serve) -> None:
    sessions: list[Any] = []
    for _ in range(4):
        served = await started(serve)
        sessions += [await served.api.sign_up() for _ in range(5)]
        await served.stop()
    served = await started(serve)
    for session in sessions:
        await one_of_each(served, session)
