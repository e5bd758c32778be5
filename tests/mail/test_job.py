"""The job that sends a mail: every end of a try, time, and what changes between writing and sending."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.core.clock import DAY, HOUR
from server.jobs import RetryPolicy
from server.mail import letters, links, queries
from server.mail.jobs import USELESS
from tests.events.support import Moment
from tests.mail.support import ADA, LATER, REFUSED, SENT, Office, token_of
from tests.support import until


async def test_it_is_sent(office: Office, moment: Moment) -> None:
    await office.start()
    await office.write()
    await office.ended("sent")
    row, = await office.rows()
    (recipient, message), = office.server.taken
    assert recipient == ADA and row["message_id"].encode() in message and row["sent_at"] == moment.ms
    found = await office.yard.database.read(
        office.links.find, "confirm", token_of(message.decode().replace("=\r\n", "").replace("=3D", "=")))
    assert found is not None and found.user_id == 1
    await office.yard.ended("done")


async def test_refused_for_good_is_the_end(office: Office) -> None:
    office.server.plays = [REFUSED, SENT]
    await office.start()
    await office.write()
    await office.ended("failed", REFUSED.reason)
    await office.yard.ended("failed")
    office.yard.later(DAY)
    await office.write("password_changed")
    await office.ended("sent")
    assert len(office.server.taken) == 2


async def tried(office: Office, times: int) -> dict[str, Any]:
    """The job's row once it waits again after so many tries."""
    async def does_it_wait() -> Any:
        row = (await office.yard.rows())[0]
        return row if (row["state"], row["attempts"]) == ("ready", times) else None
    return dict(await until(does_it_wait))


async def test_a_later_try_comes_later_and_later(office: Office, moment: Moment) -> None:
    office.server.plays = [LATER]
    await office.start()
    await office.write()
    for times, seconds in enumerate((10, 20, 40, 80, 80, 80), 1):
        wait = (await tried(office, times))["run_at"] - moment.ms
        assert 750 * seconds <= wait <= 1250 * seconds
        await office.ended("queued", LATER.reason)
        office.yard.later((wait + 1) / 1000)  # a rounded millisecond would not be reached
    office.server.plays = [SENT]
    await office.ended("sent")
    assert len({message for _, message in office.server.taken}) == 1, "each try has the same bytes"


async def test_it_is_given_up_after_three_days(office: Office, moment: Moment) -> None:
    office.server.plays = [LATER]
    await office.start()
    began = moment.ms
    await office.write("password_changed")
    await tried(office, 1)
    moment.ms = began + 3 * DAY
    office.yard.queue.wake()
    await tried(office, 2)
    await office.ended("queued", LATER.reason)
    moment.ms = began + 3 * DAY + 100_000
    office.yard.queue.wake()
    await office.ended("failed", LATER.reason)
    await office.yard.ended("failed")


async def test_a_mail_server_that_is_back_after_a_week_gets_it(office: Office) -> None:
    await office.write("password_changed")
    office.yard.later(7 * 86400)
    await office.start()
    await office.ended("sent")


@pytest.mark.parametrize("what", ["used", "forgotten", "expired"])
async def test_a_link_that_is_no_longer_good_is_not_sent(office: Office, moment: Moment, what: str) -> None:
    await office.write()
    if what == "used":
        await office.yard.database.write(links.use, links.Link(1, 1, ADA))
    elif what == "forgotten":
        await office.yard.database.write(links.forget, 1, "confirm")
    else:
        moment.ms += 3 * DAY
    await office.start()
    await office.ended("failed", USELESS)
    await office.yard.ended("done")
    assert office.server.taken == []


async def test_a_link_that_is_used_while_the_server_waits(office: Office) -> None:
    office.server.plays = [LATER, SENT]
    await office.start()
    await office.write()
    await tried(office, 1)
    await office.yard.database.write(links.use, links.Link(1, 1, ADA))
    office.yard.later(20)
    await office.ended("failed", USELESS)
    assert len(office.server.taken) == 1


async def test_a_mail_server_that_was_taken_away(office: Office) -> None:
    await office.write()
    await office.start(configured=False)
    await office.ended("not_configured")
    await office.yard.ended("done")
    assert office.server.taken == []


async def test_a_job_that_comes_again_sends_nothing_again(office: Office) -> None:
    await office.start()
    await office.write()
    await office.yard.ended("done")
    await office.yard.add("1", kind="send_mail")
    await office.yard.ended("done", "done")
    assert len(office.server.taken) == 1 and (await office.mail()).status == "sent"


async def test_a_job_without_a_mail_has_nothing_to_do(office: Office) -> None:
    await office.yard.add("77", kind="send_mail")
    await office.start()
    await office.yard.ended("done")


async def test_who_leaves_while_a_letter_is_on_its_way(office: Office) -> None:
    inside, go = asyncio.Event(), asyncio.Event()

    async def deliver(recipient: str, message: bytes) -> Any:
        inside.set()
        await go.wait()
        return SENT
    office.server.deliver = deliver  # type: ignore[method-assign]
    await office.start()
    await office.write()
    await inside.wait()
    await office.write("password_changed", configured=False)
    await office.yard.add("2", kind="send_mail", run_at=2**50)
    await office.yard.database.write(queries.delete_jobs, 1)
    await office.run("DELETE FROM users WHERE id = 1")
    go.set()
    await office.yard.ended("done")
    assert await office.rows() == []


async def test_a_fault_of_ours_is_tried_again_and_then_given_up(office: Office, monkeypatch: pytest.MonkeyPatch,
                                                                caplog: Any) -> None:
    def broken(*_: Any) -> bytes:
        raise ZeroDivisionError
    monkeypatch.setattr(letters, "message", broken)
    job = office.job()
    assert job.policy.horizon >= 20 * HOUR and job.policy.attempts >= 864  # three days at five minutes
    job.policy = RetryPolicy(2, 10.0, 80.0)
    await office.yard.start(job)  # type: ignore[arg-type]
    await office.write("password_changed")
    await tried(office, 1)
    await office.ended("queued")
    office.yard.later(20)
    await office.ended("failed", "unexpected ZeroDivisionError")
    await office.yard.ended("failed")
    assert "failed unexpectedly" in caplog.text


async def test_a_crash_before_sent_was_written_sends_the_same_again(office: Office,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: Any) -> None:
        return None
    worker = await office.start()
    monkeypatch.setattr(worker, "_store", lost)
    await office.write()
    await until(lambda: office.server.taken and worker.running == 0)
    assert (await office.mail()).status == "queued"
    await office.yard.stop()
    await office.start()
    await office.ended("sent")
    first, second = office.server.taken
    assert first == second
