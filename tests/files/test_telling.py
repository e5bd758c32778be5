"""What a member is told of a check: the event, and the mail."""
from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from server.providers.flake8 import Finding
from tests.accounts.letters import confirmed, quiet
from tests.conftest import Serve
from tests.files.support import PASSED, Cell, add, check_again, checked, count, file, found, history, send, told
from tests.support import Served, frame, until
from tests.web.hostile import problem

ADDRESS = "ada@example.org"


async def reports(served: Served) -> list[Any]:
    """The mails of checks that Ada got, newest first."""
    await checked(served)
    await quiet(served)
    return [mail for mail in await served.mails(ADDRESS) if "version" in mail["text"]]


async def opt(served: Served, token: str, mail_checks: Any) -> Any:
    return await served.api.call("PATCH", "/api/me", json={"mail_checks": mail_checks}, token=token)


async def test_the_event_says_how_it_ended(server: Served, cell: Cell, ada: str) -> None:
    cell.answer = lambda source: found(2, suppressed=1)
    id_ = await add(server, ada)
    await checked(server)
    (last,) = await history(server, ada, id_)
    assert await told(server, ada) == [{
        "file_id": id_, "name": "engine.py", "version": 1, "check_id": last["id"], "status": "violations", "total": 2,
        "suppressed": 1, "counts": {"E501": 2}, "reason": None}]


async def test_the_event_comes_on_the_socket(server: Served, cell: Cell, ada: str) -> None:
    await quiet(server)
    socket = await server.socket(ada)
    await frame(socket, "ready")
    id_ = await add(server, ada)
    while (news := await socket.receive_json(timeout=10)).get("event", {}).get("type") != "file_checked" \
            and news.get("type") != "file_checked":
        pass
    assert f'"file_id":{id_}' in str(news).replace("'", '"').replace(" ", "")
    await socket.close()
    await checked(server)


async def test_a_mail_with_the_findings_and_a_link(server: Served, cell: Cell, ada: str) -> None:
    cell.answer = lambda source: found(2, suppressed=1)
    id_ = await add(server, ada)
    (mail,) = await reports(server)
    assert mail["subject"].startswith("engine.py has 2 violations")
    assert "1:1: E501 line 1 is too long\n2:1: E501 line 2 is too long\n" in mail["text"].replace("\r\n", "\n")
    assert "3:1:" not in mail["text"] and "1 more are silenced" in mail["text"]
    assert f"{server.url}/files#{id_}" in mail["text"] and "mail_checks" in mail["text"]
    assert (await history(server, ada, id_))[0]["mail"] == "sent"


@pytest.mark.parametrize(("report", "subject"), [
    (PASSED, "engine.py passed: flake8 found nothing"),
    (found(1), "engine.py has 1 violation"),
    (replace(PASSED, status="error", reason="it ran out of memory"),
     "engine.py could not be checked: it ran out of memory"),
])
async def test_the_subject_says_the_verdict(server: Served, cell: Cell, ada: str, report: Any, subject: str) -> None:
    cell.answer = lambda source: report
    await add(server, ada)
    assert [mail["subject"] for mail in await reports(server)] == [subject]


@pytest.mark.parametrize(("number", "more"), [(50, ""), (51, "... and 1 more"), (1000, "... and 950 more")])
async def test_a_mail_has_fifty_findings_at_most(server: Served, cell: Cell, ada: str, number: int, more: str) -> None:
    cell.answer = lambda source: found(number)
    await add(server, ada)
    (mail,) = await reports(server)
    assert mail["text"].count(": E501 ") == 50 and (more in mail["text"]) and ("more" in mail["text"]) == bool(more)


async def test_what_a_finding_says_is_no_markup_and_no_other_line(server: Served, cell: Cell, ada: str) -> None:
    text = "<img src=x>\r\nBcc: eve@example.org\r\n.\r\n" + "é🎉" * 300
    cell.answer = lambda source: replace(found(1), findings=[Finding(1, 1, "F401", text, "", False)])
    await add(server, ada, name="<b>'\"&.py")
    (mail,) = await reports(server)
    assert "<img" not in mail["html"] and "<b>" not in mail["html"] and "&lt;img" in mail["html"]
    assert "Bcc" not in mail["headers"] and await server.mails("eve@example.org") == []
    assert "<img src=x>" in mail["text"] and mail["text"].count("🎉") < 100
    assert not any(line.startswith("Bcc") for line in mail["text"].splitlines())


async def test_who_wants_no_mail_gets_none(server: Served, cell: Cell, ada: str) -> None:
    assert (await server.api.get("/api/me", token=ada)).data["mail_checks"] is True
    assert (await opt(server, ada, False)).data["mail_checks"] is False
    id_ = await add(server, ada)
    assert await reports(server) == []
    assert (await history(server, ada, id_))[0]["mail"] is None and len(await told(server, ada)) == 1
    await opt(server, ada, True)
    await check_again(server, ada, id_)
    assert len(await reports(server)) == 1
    assert [one["mail"] for one in await history(server, ada, id_)] == ["sent", None]
    for wrong in ("no", 1, None, []):
        problem(await opt(server, ada, wrong), 422)


async def test_an_address_that_nobody_confirmed_gets_twenty_an_hour(server: Served, cell: Cell, ada: str) -> None:
    ids = [await add(server, ada, b"%d" % number) for number in range(23)]
    assert len(await reports(server)) == 20
    mails = [(await history(server, ada, id_))[0]["mail"] for id_ in ids]
    assert mails == ["sent"] * 20 + [None] * 3
    assert len(await told(server, ada)) == 23
    await confirmed(server, ADDRESS)
    for number in range(4):
        await add(server, ada, b"more %d" % number)
    assert len(await reports(server)) == 24


async def test_without_a_mail_server_it_is_said(serve: Serve) -> None:
    server = await serve({"sandbox.mode": "off"})
    Cell.of(server)
    token = (await server.api.sign_up("ada"))["access_token"]
    id_ = await add(server, token)
    await checked(server)
    assert (await history(server, token, id_))[0]["mail"] == "not_configured"


async def test_a_mail_that_waits_is_queued_and_one_that_is_refused_failed(server: Served, cell: Cell, ada: str) -> None:
    await quiet(server)
    await server.api.switch(server.sandbox, "mail", deliver="450")
    id_ = await add(server, ada)
    await checked(server)
    assert (await history(server, ada, id_))[0]["mail"] == "queued"
    await server.api.switch(server.sandbox, "mail", deliver="550")

    async def failed() -> bool:
        return bool((await history(server, ada, id_))[0]["mail"] == "failed")
    await until(failed)


async def test_many_files_and_versions_are_told_once_each(server: Served, cell: Cell, ada: str, bob: str) -> None:
    await opt(server, ada, False)
    ids = await asyncio.gather(*[add(server, token, b"%d" % number) for number in range(8) for token in (ada, bob)])
    for id_ in ids[::2]:
        await send(server, ada, b"again", file=id_)
    await checked(server)
    events = await told(server, ada)
    assert len(events) == len({event["check_id"] for event in events}) == 16
    assert await count(server, "SELECT count(*) FROM checks") == 24
    assert {(await file(server, ada, id_))["status"] for id_ in ids[::2]} == {"passed"}
