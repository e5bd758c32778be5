"""Who leaves takes their letters, links and wanted addresses along, also those that are just being sent."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.ops import check
from server.storage import Tx
from tests.accounts.letters import (
    NEW, confirm, confirmed, count, forgot, moved, quiet, reset, reset_token, sent, token, want,
)
from tests.accounts.test_erasure import leave
from tests.conftest import Serve
from tests.enrichment.support import Held, settled
from tests.files.support import Cell, add, checked
from tests.support import PASSWORD, Served, close_code, frame, until
from tests.web.hostile import problem

NAME, FULL_NAME = "Quintessa-Zephyrine", "Quintessa Zephyrine Ondine"
FIRST, SECOND, WANTED = ("quintessa@nightingale.example", "zephyrine@kaleidoscope.example",
                         "ondine@hurdygurdy.example")
pytestmark = pytest.mark.usefixtures("promptly")


async def _secrets(tx: Tx, member_id: int) -> set[str]:
    """What stands in the tables about letters and is never shown."""
    links = await tx.all("SELECT nonce, hash FROM links WHERE user_id = $1", member_id)
    mails = await tx.all("SELECT message_id, recipient FROM mails WHERE user_id = $1", member_id)
    assert len(links) == 3 and {mail["recipient"] for mail in mails} == {FIRST, SECOND, WANTED}
    return {value for row in (*links, *mails) for value in row}


async def _a_life_of_letters(served: Served, code: str) -> tuple[Any, list[str], set[str]]:
    """A member with letters of every kind: the session, links that are still open, and what must not stay."""
    api = served.api
    session = (await api.post("/api/signup", {"username": NAME, "email": FIRST, "password": PASSWORD, "name": FULL_NAME,
                                              "referral_code": code})).data
    access = session["access_token"]
    await confirmed(served, FIRST)
    await moved(served, access, SECOND)
    body = {"current": PASSWORD, "new": NEW}
    await api.post("/api/me/password", body, token=access, headers={"Idempotency-Key": "k"})
    await want(served, access, WANTED, headers={"Idempotency-Key": "k"})
    tokens = [await token(served, WANTED, "confirm_new"), await reset_token(served, SECOND),
              await reset_token(served, SECOND, 2)]
    await sent(served, SECOND, "password_changed")
    await settled(served)
    kept = await served.foyer.database.read(_secrets, session["user"]["id"])
    return session, tokens, kept | {NAME, FULL_NAME, "nightingale.example", "kaleidoscope.example",
                                    "hurdygurdy.example", session["user"]["referral_code"]}


def _found(served: Served, words: set[str]) -> set[str]:
    stored = b"\0".join(served.stored().values()).lower()
    return {word for word in words if word.lower().encode() in stored}


async def test_nothing_is_left_of_letters_and_addresses(server: Served) -> None:
    inviter = await server.api.sign_up("ada")
    session, tokens, words = await _a_life_of_letters(server, inviter["user"]["referral_code"])
    assert _found(server, words) == words and len(words) > 15 and not _found(server, set(tokens))
    socket = await server.socket(session["access_token"])
    await frame(socket, "ready")
    assert (await leave(server, session["access_token"], NEW)).status == 204
    assert await close_code(socket) == 4401
    await until(lambda: not _found(server, words))  # with SQLite, when the log has been emptied
    for use, given in zip((confirm, reset, reset), tokens, strict=True):
        assert problem(await use(server, given), 422) == "token_invalid"
    await quiet(server)
    await until(lambda: not _found(server, words | set(tokens)))
    assert await server.foyer.database.read(check.broken) == []
    invited = (await server.api.get("/api/referrals/invited", token=inviter["access_token"])).data
    assert [one["username"] for one in invited] == [None]
    await server.stop()
    assert _found(server, words | set(tokens)) == set()


async def _jobs(tx: Tx) -> int:
    return int(await tx.value("SELECT count(*) FROM jobs WHERE kind = 'send_mail' AND state <> 'done'"))


async def _tried(tx: Tx) -> int:
    return int(await tx.value(
        "SELECT count(*) FROM jobs WHERE kind = 'send_mail' AND state = 'ready' AND attempts > 0"))


async def test_letters_that_wait_are_not_sent(serve: Serve) -> None:
    server = await serve({"mail.first_retry": "1 h", "mail.longest_retry": "1 h"})
    await server.api.switch(server.sandbox, "mail", deliver="450")
    session = await server.api.sign_up("ada")
    await forgot(server, "ada@example.org")

    async def waiting() -> bool:  # both were tried once
        return await server.foyer.database.read(_tried) == 2
    await until(waiting)
    assert (await leave(server, session["access_token"])).status == 204
    await server.api.switch(server.sandbox, "mail", deliver="250")
    assert await until(lambda: _none(server)) and await server.mails("ada@example.org") == []


async def _none(served: Served) -> bool:
    return await served.foyer.database.read(_jobs) == 0


async def test_a_letter_that_is_just_being_sent_ends_harmlessly(server: Served,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    client = server.foyer.outside.mail
    assert client is not None
    held = Held(client, "deliver", monkeypatch)
    session = await server.api.sign_up("ada")
    await held.begun()
    assert (await leave(server, session["access_token"])).status == 204
    held.release()
    await quiet(server)
    await until(lambda: _none(server))
    await server.api.sign_up("ada")  # name and address are free
    await confirmed(server, "ada@example.org", number=2)


async def test_a_letter_that_was_asked_for_a_moment_before_is_not_written(server: Served,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # it is written a moment later
    session = await server.api.sign_up("ada")
    await quiet(server)
    await forgot(server, "ada@example.org")
    assert (await leave(server, session["access_token"])).status == 204
    await server.api.sign_up("ada")
    assert await count(server, "ada@example.org", "reset") == 0


async def test_leaving_beside_the_use_of_a_link(server: Served) -> None:
    for number in range(6):
        name, email = f"ada{number}", f"ada{number}@example.org"
        access = (await server.api.sign_up(name))["access_token"]
        confirming, resetting = await token(server, email, "confirm"), await reset_token(server, email)
        left, *answers = await asyncio.gather(leave(server, access), confirm(server, confirming),
                                              reset(server, resetting), want(server, access, f"x{email}"))
        assert left.status in (204, 401, 403) and [answer.status for answer in answers if answer.status >= 500] == []
        for answer in answers[:2]:
            assert answer.status in (204, 422)
        if left.status == 204:
            assert (await server.api.get(f"/api/users/{name}")).status == 404
    await quiet(server)
    assert await server.foyer.database.read(check.broken) == []


async def test_a_report_that_waits_is_not_sent_and_one_that_comes_is_not_written(serve: Serve) -> None:
    server = await serve({"mail.first_retry": "1 h", "mail.longest_retry": "1 h"})
    cell, access = Cell.of(server), (await server.api.sign_up("ada"))["access_token"]
    await quiet(server)
    await server.api.switch(server.sandbox, "mail", deliver="450")
    await add(server, access, b"waits")
    await until(lambda: _all_tried(server, 1))
    held = cell.hold(b"late")
    await add(server, access, b"late")
    await cell.begun(b"late")
    assert (await leave(server, access)).status == 204
    await server.api.switch(server.sandbox, "mail", deliver="250")
    held.set()
    await quiet(server)
    await checked(server)
    assert [mail["subject"] for mail in await server.mails("ada@example.org")] == ["Confirm your e-mail address"]


async def _all_tried(served: Served, number: int) -> bool:
    return await served.foyer.database.read(_tried) == number
