"""The link of the sign-up's letter, and asking for another one."""
from __future__ import annotations

import asyncio
import base64
import re
from collections import Counter

import pytest

from server.core.clock import iso, now_ms
from tests.accounts.conftest import HandClock
from tests.accounts.letters import (
    confirm, confirmed, count, events, login, me, moved, quiet, resend, sent, token, want, without_id,
)
from tests.conftest import Serve
from tests.support import PASSWORD, Api, Served, frame, until
from tests.web.hostile import problem

ADA = "ada@example.org"


async def test_the_link_confirms(server: Served) -> None:
    session = await server.api.sign_up("ada")
    access = session["access_token"]
    assert session["user"]["email_confirmed_at"] is None and session["user"]["email_pending"] is None
    before = iso(now_ms())
    answer = await confirm(server, await token(server, ADA, "confirm"))
    assert (answer.status, answer.raw) == (204, b"")
    user = await me(server, access)
    assert before <= user["email_confirmed_at"] <= iso(now_ms()) and user["email"] == ADA
    assert await events(server, access, "email_confirmed") == [
        {"email": ADA, "email_status": "valid", "email_confirmed_at": user["email_confirmed_at"]}]


async def test_an_open_socket_hears_of_it(server: Served) -> None:
    socket = await server.socket((await server.api.sign_up("ada"))["access_token"])
    await frame(socket, "ready")
    await frame(socket, "enriched")
    await confirmed(server, ADA)
    assert (await frame(socket, "email_confirmed"))["data"]["email"] == ADA
    await socket.close()


async def test_the_link_starts_with_the_public_url_whatever_the_host_header_says(serve: Serve) -> None:
    server = await serve({"server.public_url": "https://foyer.example", "sandbox.mode": "on"})
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    body = {"username": "ada", "email": ADA, "password": PASSWORD}
    access = (await server.api.post("/api/signup", body, headers=forged)).data["access_token"]
    first = await sent(server, ADA, "confirm")
    await server.api.post("/api/email/resend", token=access, headers=forged)
    await server.api.post("/api/password/forgot", {"email": ADA}, headers=forged)
    for letter in (first, await sent(server, ADA, "confirm", 2), await sent(server, ADA, "reset")):
        page = "reset" if "password" in letter["subject"] else "confirm"
        (link,) = [link for link in letter["links"] if "#" in link]
        assert re.fullmatch(rf"https://foyer\.example/{page}#token=[A-Za-z0-9_-]{{22}}", link)
        assert "evil" not in str(letter)


async def test_the_database_keeps_a_hash_of_the_token_only(server: Served) -> None:
    await server.api.sign_up("ada")
    given = await token(server, ADA, "confirm")
    await quiet(server)
    stored = b"".join(server.stored().values())
    assert ADA.encode() in stored and given.encode() not in stored
    raw = base64.urlsafe_b64decode(given + "==")
    assert raw not in stored and raw.hex().encode() not in stored
    assert (await confirm(server, given)).status == 204
    assert given.encode() not in b"".join(server.stored().values())


async def test_fifty_at_once_confirm_once(server: Served) -> None:
    access = (await server.api.sign_up("ada"))["access_token"]
    given = await token(server, ADA, "confirm")
    answers = await asyncio.gather(*[confirm(server, given) for _ in range(50)])
    assert Counter(answer.status for answer in answers) == {204: 1, 422: 49}
    assert {problem(answer) for answer in answers if answer.status == 422} == {"token_invalid"}
    assert len(await events(server, access, "email_confirmed")) == 1


async def test_over_an_idempotency_key_the_answer_comes_again(server: Served) -> None:
    access = (await server.api.sign_up("ada"))["access_token"]
    given = await token(server, ADA, "confirm")
    answers = await asyncio.gather(*[confirm(server, given, headers={"Idempotency-Key": "k"}) for _ in range(20)])
    answers.append(await confirm(server, given, headers={"Idempotency-Key": "k"}))
    assert {(answer.status, answer.raw) for answer in answers} == {(204, b"")}
    problem(await confirm(server, given, headers={"Idempotency-Key": "another"}), 422)
    assert len(await events(server, access, "email_confirmed")) == 1


async def test_a_link_lives_three_days(server: Served, clock: HandClock) -> None:
    access = (await server.api.sign_up("ada"))["access_token"]
    first = await token(server, ADA, "confirm")
    await resend(server, access)
    clock.wait(3 * 86400 - 60)
    second = await token(server, ADA, "confirm", 2)
    assert (await confirm(server, second)).status == 204
    await server.api.sign_up("bob")
    late = await token(server, "bob@example.org", "confirm")
    clock.wait(3 * 86400 + 1)
    first_again, expired = await confirm(server, first), await confirm(server, late)
    assert problem(expired, 422) == "token_invalid" and without_id(expired) == without_id(first_again)
    session = (await login(server, "bob")).data
    assert session["user"]["email_confirmed_at"] is None


async def test_one_link_uses_up_the_others(server: Served) -> None:
    access = (await server.api.sign_up("ada"))["access_token"]
    first = await token(server, ADA, "confirm")
    await resend(server, access)
    second = await token(server, ADA, "confirm", 2)
    assert first != second and (await confirm(server, first)).status == 204
    problem(await confirm(server, second), 422)
    assert len(await events(server, access, "email_confirmed")) == 1


# -- another letter


async def test_another_letter(server: Served) -> None:
    access = (await server.api.sign_up("ada"))["access_token"]
    answer = await resend(server, access)
    assert (answer.status, answer.body) == (202, {"data": {"accepted": True}})
    await confirmed(server, ADA, "confirm", 2)
    assert problem(await resend(server, access), 409) == "email_confirmed"
    assert await count(server, ADA, "confirm") == 2
    problem(await server.api.post("/api/email/resend"), 401)


async def _five_then_refused(server: Served, access: str) -> None:
    answers = await asyncio.gather(*[resend(server, access) for _ in range(9)])
    assert Counter(answer.status for answer in answers) == {202: 5, 429: 4}
    for answer in answers:
        if answer.status == 429:
            assert problem(answer) == "rate_limited" and 1 <= int(answer.headers["Retry-After"]) <= 3600


async def test_a_member_gets_so_many_letters(server: Served, clock: HandClock) -> None:
    access = (await server.api.sign_up("ada"))["access_token"]
    await _five_then_refused(server, access)
    assert await count(server, ADA, "confirm") == 1 + 5
    clock.wait(721)
    assert (await resend(server, access)).status == 202
    problem(await resend(server, access), 429)
    assert (await want(server, access, "elsewhere@example.net")).status == 429  # whichever mailbox it would go to
    assert await count(server, "elsewhere@example.net", "confirm_new") == 0
    assert (await me(server, access))["email_pending"] is None


async def test_a_mailbox_gets_so_many_letters_whoever_asks(server: Served) -> None:
    forms = ["ada@example.org", "ada+one@example.org", "ADA+two@Example.org", "ada+@example.org", "Ada+x+y@example.org",
             "\uff41da+z@example.org", "ada+7@example.org"]
    members = [(await server.api.sign_up(f"ada{number}", email=form))["access_token"]
               for number, form in enumerate(forms)]
    answers = [await resend(server, access) for access in members]
    assert [answer.status for answer in answers] == [202] * 5 + [429] * 2
    other = (await server.api.sign_up("bob"))["access_token"]
    answer = await want(server, other, "ada+bob@example.org")
    assert problem(answer, 429) == "rate_limited"
    assert (await resend(server, other)).status == 202


async def test_the_limit_holds_over_a_restart(serve: Serve) -> None:
    server = await serve()
    access = (await server.api.sign_up("ada"))["access_token"]
    await _five_then_refused(server, access)
    await server.stop()
    server = await serve()
    problem(await resend(server, access), 429)


async def test_without_limits_nobody_is_held_back(serve: Serve) -> None:
    server = await serve({"limits.enabled": "no"})
    access = (await server.api.sign_up("ada"))["access_token"]
    assert {(await resend(server, access)).status for _ in range(8)} == {202}


# -- letters that do not arrive


@pytest.mark.parametrize("how", ["550", "554_data"])
async def test_a_letter_that_is_refused_locks_nobody_out(server: Served, how: str) -> None:
    api: Api = server.api
    await api.switch(server.sandbox, "mail", deliver=how)
    access = (await api.sign_up("ada"))["access_token"]

    async def failed() -> bool:
        mails = (await api.get("/api/me/export", token=access)).body["data"]["mails"]
        return [mail["status"] for mail in mails] == ["failed"]
    await until(failed)
    await api.switch(server.sandbox, "mail", deliver="250")
    assert (await resend(server, access)).status == 202
    await confirmed(server, ADA)
    assert (await me(server, access))["email_confirmed_at"]


async def test_an_address_that_takes_nothing_is_left_for_another(server: Served) -> None:
    access = (await server.api.sign_up("ada", email="ada+bounce@example.org"))["access_token"]
    await quiet(server)
    assert await server.mails("ada+bounce@example.org") == []
    await moved(server, access, "ada@example.net")
    user = await me(server, access)
    assert user["email"] == "ada@example.net" and user["email_confirmed_at"]


async def test_a_letter_waits_for_a_mail_server_that_is_busy(serve: Serve) -> None:
    server = await serve({"mail.first_retry": "10 ms", "mail.longest_retry": "20 ms"})
    await server.api.sign_up("ada", email="ada+greylist@example.org")
    await confirmed(server, "ada+greylist@example.org")


async def test_without_a_mail_server_an_administrator_hands_the_link_over(serve: Serve) -> None:
    server = await serve({"sandbox.mode": "off"})
    access = (await server.api.sign_up("ada"))["access_token"]

    async def promote(tx: object) -> None:
        await tx.run("UPDATE users SET role = 'admin'")  # type: ignore[attr-defined]
    await server.foyer.database.write(promote)
    admin = (await login(server)).data["access_token"]
    (mail,) = (await server.api.get("/api/admin/mails", token=admin)).data
    assert (mail["letter"], mail["recipient"], mail["status"]) == ("confirm", ADA, "not_configured")
    text = (await server.api.get(f"/api/admin/mails/{mail['id']}", token=admin)).data["text"]
    (given,) = re.findall(r"/confirm#token=(\S+)", text)
    assert (await confirm(server, given)).status == 204
    assert (await me(server, access))["email_confirmed_at"]
