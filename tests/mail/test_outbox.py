"""The outbox: a letter and its sending are there with what they tell of, or not at all."""
from __future__ import annotations

import re

import pytest

from server.core.clock import DAY
from server.mail import queries
from server.storage import Tx
from tests.events.support import Moment
from tests.mail.support import ADA, Office


async def test_a_letter_and_its_job_are_one_write(office: Office) -> None:
    woken: list[bool] = []
    office.yard.queue.wake = lambda: woken.append(True)

    async def fail(tx: Tx) -> None:
        await office.in_tx(tx)
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        await office.yard.database.write(fail)
    assert await office.rows() == [] == await office.yard.rows() and not woken
    assert await office.rows("SELECT id FROM links") == []
    id_ = await office.write()
    row, = await office.rows()
    assert (row["id"], row["status"], row["reason"], row["sent_at"]) == (id_, "queued", None, None)
    assert [(job["kind"], job["key"], job["state"]) for job in await office.yard.rows()] == [
        ("send_mail", str(id_), "ready")]
    assert woken == [True]


async def test_without_a_mail_server_it_is_kept_and_nothing_is_to_be_done(office: Office) -> None:
    await office.write(configured=False)
    assert [row["status"] for row in await office.rows()] == ["not_configured"] and await office.yard.rows() == []


async def test_each_has_an_id_of_its_own(office: Office) -> None:
    for _ in range(20):
        await office.write()
    ids = [row["message_id"] for row in await office.rows()]
    assert len(set(ids)) == 20
    assert all(re.fullmatch(r"<[0-9a-f]{32}@foyer\.example>", id_, re.ASCII) for id_ in ids)


@pytest.mark.parametrize(("letter", "link"), [("confirm", None), ("password_changed", 1)])
async def test_a_letter_without_its_link_is_a_fault(office: Office, letter: str, link: int | None) -> None:
    await office.write()

    async def send(tx: Tx) -> None:
        await office.outbox().send(tx, 1, letter, ADA, {"username": "ada"}, link)
    with pytest.raises(AssertionError):
        await office.yard.database.write(send)
    assert len(await office.rows()) == 1


async def test_what_has_ended_is_forgotten_after_a_month(office: Office, moment: Moment) -> None:
    for status in ("queued", "sent", "failed", "not_configured"):
        await office.yard.database.write(queries.end, await office.write("password_changed"), status)
    moment.ms += 30 * DAY
    await office.yard.database.write(queries.prune, 100)
    assert len(await office.rows()) == 4
    moment.ms += 1
    await office.yard.database.write(queries.prune, 100)
    assert [row["status"] for row in await office.rows()] == ["queued"]
