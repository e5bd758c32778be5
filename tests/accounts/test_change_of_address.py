"""Another address: it counts once it is confirmed, and the old one is told."""
from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from server.ops import check
from tests.accounts.letters import (
    confirm, confirmed, count, events, login, me, moved, quiet, resend, reset, reset_token, sent, token, want,
)
from tests.enrichment.support import asked, settled
from tests.support import Served, until
from tests.web.hostile import problem

OLD, NEW, OTHER = "ada@example.org", "lovelace@example.net", "third@example.com"


@pytest.fixture
async def access(server: Served) -> str:
    """Ada's; her first address is confirmed and her enrichment is done."""
    access = str((await server.api.sign_up("ada"))["access_token"])
    await confirmed(server, OLD)
    await settled(server)
    return access


async def _addresses(served: Served, access: str) -> tuple[str, str | None]:
    user = await me(served, access)
    return user["email"], user["email_pending"]


async def test_the_old_one_counts_until_the_new_one_is_confirmed(server: Served, access: str) -> None:
    before = await me(server, access)
    changed = (await want(server, access, NEW)).data
    assert changed == {**before, "email_pending": NEW}
    assert (await login(server, OLD)).status == 200
    problem(await login(server, NEW), 401)
    await confirmed(server, NEW, "confirm_new")
    user = await me(server, access)
    assert (user["email"], user["email_pending"]) == (NEW, None)
    assert user["email_confirmed_at"] > before["email_confirmed_at"]
    assert (await login(server, NEW)).status == 200
    problem(await login(server, OLD), 401)
    assert [event["email"] for event in await events(server, access, "email_confirmed")] == [OLD, NEW]
    assert (await server.api.sign_up("second", email=OLD))["user"]["email"] == OLD


async def test_the_old_one_is_told_without_the_whole_new_one(server: Served, access: str) -> None:
    await want(server, access, NEW)
    letter = await sent(server, OLD, "address_changing")
    assert letter["to"] == [OLD] and "l...@example.net" in letter["text"] and "lovelace" not in str(letter)
    assert [link for link in letter["links"] if "#" in link] == []
    assert await count(server, OLD, "confirm_new") == await count(server, NEW, "address_changing") == 0


async def test_back_to_the_old_one(server: Served, access: str) -> None:
    await want(server, access, NEW)
    given = await token(server, NEW, "confirm_new")
    asked_before = await asked(server, "hunter", "verifier")
    assert (await want(server, access, OLD)).data["email_pending"] is None
    problem(await confirm(server, given), 422)
    assert await _addresses(server, access) == (OLD, None)
    assert problem(await resend(server, access), 409) == "email_confirmed"
    assert await asked(server, "hunter", "verifier") == asked_before


async def test_a_second_one_kills_the_link_to_the_first(server: Served, access: str) -> None:
    await want(server, access, NEW)
    first = await token(server, NEW, "confirm_new")
    assert (await want(server, access, OTHER)).data["email_pending"] == OTHER
    problem(await confirm(server, first), 422)
    await confirmed(server, OTHER, "confirm_new")
    assert await _addresses(server, access) == (OTHER, None)


async def test_the_same_one_again_sends_another_letter(server: Served, access: str) -> None:
    await want(server, access, NEW)
    first = await token(server, NEW, "confirm_new")
    await want(server, access, NEW)
    second = await token(server, NEW, "confirm_new", 2)
    assert (await resend(server, access)).status == 202
    third = await token(server, NEW, "confirm_new", 3)
    problem(await confirm(server, first), 422)
    assert (await confirm(server, third)).status == 204
    problem(await confirm(server, second), 422)


async def test_before_the_first_one_is_confirmed(server: Served) -> None:
    access = (await server.api.sign_up("ada"))["access_token"]
    given = await token(server, OLD, "confirm")
    await want(server, access, NEW)
    problem(await confirm(server, given), 422)  # it would be given up a moment later
    await want(server, access, OLD)
    assert (await resend(server, access)).status == 202
    await confirmed(server, OLD, "confirm", 2)


async def test_in_another_case_it_is_the_same_mailbox_and_is_confirmed_again(server: Served, access: str) -> None:
    assert (await want(server, access, "ADA@example.org")).data["email_pending"] == "ADA@example.org"
    await confirmed(server, "ADA@example.org", "confirm_new")
    assert await _addresses(server, access) == ("ADA@example.org", None)
    assert (await login(server, OLD)).status == 200


# -- somebody else


async def test_taken_by_somebody_else_meanwhile(server: Served, access: str) -> None:
    await want(server, access, NEW)
    given = await token(server, NEW, "confirm_new")
    before = await me(server, access)
    await server.api.sign_up("quick", email=NEW)
    for _ in range(2):
        answer = await confirm(server, given)
        assert problem(answer, 409) == "email_taken" and answer.fields == {"email": "email_taken"}
    assert await me(server, access) == before
    assert len(await events(server, access, "email_confirmed")) == 1
    problem(await want(server, access, NEW), 409)


async def test_of_many_who_want_the_same_one_gets_it(server: Served) -> None:
    members = [(await server.api.sign_up(f"ada{number}"))["access_token"] for number in range(5)]
    assert {(await want(server, access, NEW)).status for access in members} == {200}
    await sent(server, NEW, "confirm_new", 5)
    tokens = [link.partition("#token=")[2] for mail in await server.mails(NEW) for link in mail["links"] if "#" in link]
    body = {"username": "new", "email": NEW, "password": "corr3ct-horse"}
    *answers, signed_up = await asyncio.gather(*[confirm(server, given) for given in tokens],
                                               server.api.post("/api/signup", body))
    taken = Counter(answer.status for answer in answers)
    assert taken == ({409: 5} if signed_up.status == 201 else {204: 1, 409: 4})
    assert {problem(answer) for answer in answers if answer.status == 409} == {"email_taken"}
    addresses = [await _addresses(server, access) for access in members]
    assert sum(address == (NEW, None) for address in addresses) == taken[204]
    assert await server.foyer.database.read(check.broken) == []


async def test_fifty_at_once_move_once(server: Served, access: str) -> None:
    await want(server, access, NEW)
    given = await token(server, NEW, "confirm_new")
    answers = await asyncio.gather(*[confirm(server, given) for _ in range(50)])
    assert Counter(answer.status for answer in answers) == {204: 1, 422: 49}
    assert await _addresses(server, access) == (NEW, None)
    assert len(await events(server, access, "email_confirmed")) == 2


async def test_wanting_and_confirming_at_once(server: Served, access: str) -> None:
    """Whichever comes first: the member has one address, and a link that is left is good for what is wanted."""
    await want(server, access, NEW)
    given = await token(server, NEW, "confirm_new")
    answer, wanted, back = await asyncio.gather(confirm(server, given), want(server, access, OTHER),
                                                want(server, access, OLD))
    assert answer.status in (204, 422) and wanted.status == 200 and back.status == 200
    email, pending = await _addresses(server, access)
    assert email == (NEW if answer.status == 204 else OLD)
    if pending == OTHER:
        await confirmed(server, OTHER, "confirm_new")
        email = OTHER
    assert (await me(server, access))["email"] == email
    assert (await login(server, email)).status == 200


# -- what the verifier says


async def test_a_bad_one_is_not_wanted(server: Served, access: str) -> None:
    answer = await want(server, access, "ada+disposable@example.org")
    assert problem(answer, 422) == "email_undeliverable"
    assert await _addresses(server, access) == (OLD, None)
    assert await server.mails("ada+disposable@example.org") == []


async def test_without_a_verdict_the_background_asks_from_the_confirmation_on(server: Served, access: str) -> None:
    await server.api.switch(server.sandbox, "hunter", verifier=["202-empty", "accept_all"])
    user = (await want(server, access, NEW)).data
    assert (user["email"], user["email_status"]) == (OLD, "valid")  # that of the address that counts
    await quiet(server)
    await settled(server)
    assert await asked(server, "hunter", "verifier") == 1
    await confirmed(server, NEW, "confirm_new")

    async def judged() -> bool:
        return bool((await me(server, access))["email_status"] == "accept_all")
    await until(judged)
    await settled(server)
    assert await asked(server, "hunter", "verifier", NEW) == 2
    assert await events(server, access, "email_verified") == [{"email_status": "accept_all"}]


async def test_a_late_bad_verdict_on_the_new_one_stops_posting(server: Served, access: str) -> None:
    await server.api.switch(server.sandbox, "hunter", verifier=["202-empty", "invalid"])
    await want(server, access, NEW)
    await settled(server)
    assert await server.api.write_post(access)
    await confirmed(server, NEW, "confirm_new")
    await until(lambda: events(server, access, "email_verified"))
    answer = await server.api.post("/api/posts", {"title": "a", "text": "b"}, token=access)
    assert (answer.status, answer.code) == (403, "email_undeliverable")
    await server.api.switch(server.sandbox, "hunter", verifier="valid")
    await moved(server, access, OLD)
    assert await server.api.write_post(access)


async def test_there_and_back_while_the_first_is_still_being_checked(server: Served) -> None:
    await server.api.switch(server.sandbox, "hunter", verifier=["202-empty"] * 3 + ["valid"])
    access = (await server.api.sign_up("ada"))["access_token"]
    await moved(server, access, NEW)
    await moved(server, access, OLD)
    await settled(server)
    assert (await me(server, access))["email_status"] == "valid"
    told: list[Any] = await events(server, access, "email_verified")
    assert len(told) <= 2 and all(one == {"email_status": "valid"} for one in told)


# -- the old mailbox


async def test_a_reset_link_to_the_old_mailbox_dies_with_the_address(server: Served, access: str,
                                                                     promptly: None) -> None:
    first = await reset_token(server, OLD)
    await want(server, access, NEW)
    second = await reset_token(server, OLD, 2)
    await confirmed(server, NEW, "confirm_new")
    for given in (first, second):
        problem(await reset(server, given), 422)
    assert (await login(server, NEW)).status == 200
    assert (await reset(server, await reset_token(server, NEW))).status == 204


async def test_while_another_is_wanted_a_reset_still_goes_to_the_old_one(server: Served, access: str,
                                                                         promptly: None) -> None:
    await want(server, access, NEW)
    given = await reset_token(server, OLD)
    assert await count(server, NEW, "reset") == 0
    assert (await reset(server, given)).status == 204
    problem(await server.api.get("/api/me", token=access), 401)


async def test_the_wanted_one_is_nobodys_yet(server: Served, access: str, promptly: None) -> None:
    await want(server, access, NEW)
    await server.api.post("/api/password/forgot", {"email": NEW})
    assert await count(server, NEW, "reset") == 0
