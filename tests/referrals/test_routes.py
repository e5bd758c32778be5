"""Referrals as a client program sees them, from the link to the ledger."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from server.core.errors import ConfigError
from server.ops import check
from server.referrals.remembered import COOKIE
from server.storage import Tx
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Api, Served

ODD = ("nobody", "0", "123", "x" * 300, "\0", "\0" * 20, "é", "\u212aada", "ada ada", "%00", "%", "..", "😀" * 10,
       "\ud7ff", "' OR '1'='1", "*", "a\r\nb", "a/b", "invited ", "me")


@pytest.fixture
async def server(serve: Serve) -> Served:
    return await serve({"sandbox.mode": "off", "limits.enabled": "no", "server.public_url": "https://foyer.example"})


async def execute(served: Served, sql: str, *args: Any) -> list[tuple[Any, ...]]:
    """Runs a statement of the test's."""
    async def run(tx: Tx) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await tx.all(sql, *args)]
    return await served.foyer.database.write(run)


async def whole(served: Served) -> None:
    """All invariants hold."""
    assert await served.foyer.database.read(check.broken) == []


async def standing(api: Api, session: Any) -> Any:
    """GET /api/referrals."""
    return (await api.get("/api/referrals", token=session["access_token"])).data


def code_of(session: Any) -> str:
    """The member's code."""
    return str(session["user"]["referral_code"])


async def credited(api: Api, session: Any) -> list[Any]:
    """The data of the member's `referral_credited` events."""
    events = (await api.get("/api/events?after=0&limit=100", token=session["access_token"])).data
    return [event["data"] for event in events if event["type"] == "referral_credited"]


async def leave(api: Api, session: Any) -> None:
    """The member leaves."""
    answer = await api.call("DELETE", "/api/me", token=session["access_token"], json={"password": PASSWORD})
    assert answer.status == 204


async def test_from_the_code_to_the_reward(server: Served) -> None:
    api = server.api
    ada = await api.sign_up("ada")
    assert ada["referral"] == {"status": "none"}
    assert await standing(api, ada) == {
        "code": code_of(ada), "link": f"https://foyer.example/signup?ref={code_of(ada)}", "balance": 0,
        "currency": "USD", "invited": 0, "counted": 0, "rewarded": 0, "until_next_reward": 5}
    invitees = [await api.sign_up(f"invitee{number}", referral_code=code_of(ada)) for number in range(6)]
    assert {invitee["referral"]["status"] for invitee in invitees} == {"applied"}
    assert await standing(api, ada) == {
        "code": code_of(ada), "link": f"https://foyer.example/signup?ref={code_of(ada)}", "balance": 1000,
        "currency": "USD", "invited": 6, "counted": 6, "rewarded": 1, "until_next_reward": 4}
    assert {(await standing(api, invitee))["balance"] for invitee in invitees} == {1000}
    for session, reason in ((ada, "inviter_reward"), (invitees[0], "invitee_reward")):
        [entry] = (await api.get("/api/referrals/ledger", token=session["access_token"])).data
        assert (entry["amount"], entry["reason"], entry["balance"]) == (1000, reason, 1000)
        assert await credited(api, session) == [{"entry_id": entry["id"], "amount": 1000, "currency": "USD",
                                                 "reason": reason, "balance": 1000}]
    await whole(server)


@pytest.mark.parametrize("written, status", [
    ("", "none"), ("  ", "none"), (None, "none"), ("nobody", "unknown_code"), ("\x01", "unknown_code"),
    ("é" * 64, "unknown_code"), ("own", "unknown_code")])
async def test_a_code_that_brings_nobody_stops_nothing(api: Api, written: str | None, status: str) -> None:
    session = await api.sign_up(referral_code=written)
    assert session["referral"] == {"status": status}
    assert (await standing(api, session))["balance"] == 0


async def test_one_member_by_one_code_twice_with_one_key(server: Served) -> None:
    ada = await server.api.sign_up()
    body = {"username": "bob", "email": "bob@example.org", "password": PASSWORD, "referral_code": code_of(ada).upper()}
    answers = [await server.api.post("/api/signup", body, headers={"Idempotency-Key": "one"}) for _ in range(3)]
    assert {answer.status for answer in answers} == {201} and len({answer.raw for answer in answers}) == 1
    assert answers[0].data["referral"] == {"status": "applied"}
    assert (await standing(server.api, ada))["invited"] == 1
    again = await server.api.post("/api/signup", {**body, "referral_code": None})
    assert again.code == "username_taken" and (await standing(server.api, ada))["invited"] == 1


# -- whose code it is


async def test_whose_code_it_is(server: Served) -> None:
    api = server.api
    ada = await api.sign_up("ada")
    await api.call("PATCH", "/api/me", json={"name": "Ada Lovelace"}, token=ada["access_token"])
    good = {"valid": True, "inviter": {"username": "ada", "name": "Ada Lovelace"}}
    for written in (code_of(ada), code_of(ada).upper(), f"%20{code_of(ada)}%20"):
        assert (await api.get(f"/api/referrals/{written}")).data == good
    await execute(server, "UPDATE users SET suspended_at = 1 WHERE id = $1 RETURNING id", ada["user"]["id"])
    assert (await api.get(f"/api/referrals/{code_of(ada)}")).data == {"valid": False, "inviter": None}
    assert (await api.sign_up(referral_code=code_of(ada)))["referral"] == {"status": "unknown_code"}
    await execute(server, "UPDATE users SET suspended_at = NULL WHERE id = $1 RETURNING id", ada["user"]["id"])
    await leave(api, ada)
    assert (await api.get(f"/api/referrals/{code_of(ada)}")).data == {"valid": False, "inviter": None}
    assert (await api.sign_up(referral_code=code_of(ada)))["referral"] == {"status": "unknown_code"}


async def test_an_odd_code_is_not_valid(api: Api) -> None:
    await api.sign_up()
    for code in ODD:
        url = URL(f"{api.url}/api/referrals/{quote(code, safe='')}", encoded=True)
        async with api.session.get(url) as response:
            assert response.status == 200, (code, await response.text())
            assert (await response.json()) == {"data": {"valid": False, "inviter": None}}


# -- the lists


async def pages(api: Api, path: str, session: Any, limit: int) -> list[Any]:
    """All items of a list, page by page."""
    found: list[Any] = []
    cursor = ""
    while True:
        answer: Answer = await api.get(f"{path}?limit={limit}{cursor}", token=session["access_token"])
        assert len(answer.data) <= limit
        found += answer.data
        if answer.body["next"] is None:
            return found
        cursor = f"&cursor={answer.body['next']}"


async def test_the_lists_page_by_page(serve: Serve) -> None:
    server = await serve({"sandbox.mode": "off", "limits.enabled": "no", "referrals.inviter_target": "1"})
    api = server.api
    ada = await api.sign_up()
    invitees = [await api.sign_up(f"invitee{number}", referral_code=code_of(ada)) for number in range(7)]
    await leave(api, invitees[2])
    for limit in (1, 3, 7, 100):
        found = await pages(api, "/api/referrals/invited", ada, limit)
        assert [one["username"] for one in found] == [
            f"invitee{number}" if number != 2 else None for number in reversed(range(7))]
        assert {one["counted"] for one in found} == {True} and "example.org" not in json.dumps(found)
        entries = await pages(api, "/api/referrals/ledger", ada, limit)
        assert [entry["balance"] for entry in entries] == [1000 * number for number in range(7, 0, -1)]
        assert sum(entry["amount"] for entry in entries) == (await standing(api, ada))["balance"]
    assert await pages(api, "/api/referrals/invited", invitees[0], 5) == []
    await whole(server)


@pytest.mark.parametrize("path", ["/api/referrals", "/api/referrals/invited", "/api/referrals/ledger"])
async def test_they_are_the_members_own(api: Api, path: str) -> None:
    assert (await api.get(path)).code == "not_signed_in"
    session = await api.sign_up()
    await leave(api, session)
    assert (await api.get(path, token=session["access_token"])).code == "not_signed_in"


async def test_a_cursor_of_the_other_list_is_refused(api: Api) -> None:
    ada = await api.sign_up()
    for _ in range(2):
        await api.sign_up(referral_code=code_of(ada))
    first = await api.get("/api/referrals/invited?limit=1", token=ada["access_token"])
    other = await api.get(f"/api/referrals/ledger?cursor={first.body['next']}", token=ada["access_token"])
    assert other.code == "bad_cursor"


# -- the cookie of a link


async def sign_up_with(served: Served, name: str, cookie: str, **fields: Any) -> Answer:
    """A sign-up of a browser that remembers something."""
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, **fields}
    return await served.api.post("/api/signup", body, headers={"Cookie": f"{COOKIE}={cookie}"})


async def test_the_browser_remembers_the_code_of_a_link(server: Served) -> None:
    api = server.api
    ada, bob = await api.sign_up(), await api.sign_up()
    async with api.session.get(f"{server.url}/signup?ref={code_of(ada)}") as page:
        assert page.status == 200
        morsel = page.cookies[COOKIE]
    assert (morsel["max-age"], morsel["httponly"], morsel["secure"]) == (str(30 * 24 * 3600), True, True)
    by_link = await sign_up_with(server, "eve", morsel.value)
    assert by_link.data["referral"] == {"status": "applied"} and (await standing(api, ada))["invited"] == 1
    by_word = await sign_up_with(server, "mallory", morsel.value, referral_code=code_of(bob))
    assert by_word.data["referral"] == {"status": "applied"} and (await standing(api, bob))["invited"] == 1
    assert (await standing(api, ada))["invited"] == 1
    await leave(api, ada)
    assert (await sign_up_with(server, "oscar", morsel.value)).data["referral"] == {"status": "unknown_code"}


async def test_a_cookie_that_we_have_not_signed_is_nothing(server: Served) -> None:
    ada = await server.api.sign_up()
    good = server.foyer.remembered.value(code_of(ada))
    forged = [code_of(ada), code_of(ada) + ".", good[:-1], good.replace(".", ".A"), good.partition(".")[2]]
    for number, cookie in enumerate(forged):
        answer = await sign_up_with(server, f"forger{number}", cookie)
        assert answer.data["referral"] == {"status": "none"}
    assert (await standing(server.api, ada))["invited"] == 0


# -- confirmed addresses


async def confirm(served: Served, session: Any) -> Answer:
    """Takes the link of the newest letter."""
    sql = "SELECT nonce FROM links WHERE user_id = $1 AND purpose = 'confirm' ORDER BY id DESC"
    nonce = (await execute(served, sql, session["user"]["id"]))[0][0]
    token = served.foyer.links.url("confirm", nonce).partition("#token=")[2]
    return await served.api.post("/api/email/confirm", {"token": token})


@pytest.mark.parametrize("needed", ["write", "login"])
async def test_where_addresses_are_confirmed_a_sign_up_counts_from_then_on(serve: Serve, needed: str) -> None:
    server = await serve({"sandbox.mode": "off", "limits.enabled": "no", "auth.require_confirmed_email": needed,
                          "referrals.inviter_target": "1"})
    api = server.api
    ada = await api.sign_up()
    bob = await api.sign_up(referral_code=code_of(ada))
    assert bob["referral"] == {"status": "applied"}
    [one] = (await api.get("/api/referrals/invited", token=ada["access_token"])).data
    assert one["counted"] is False and (await standing(api, ada))["balance"] == 0
    assert (await confirm(server, bob)).status == 204
    assert (await standing(api, ada))["balance"] == (await standing(api, bob))["balance"] == 1000
    assert len(await credited(api, ada)) == len(await credited(api, bob)) == 1
    await whole(server)


async def test_an_address_that_is_confirmed_where_it_need_not_be_changes_nothing(server: Served) -> None:
    ada = await server.api.sign_up()
    bob = await server.api.sign_up(referral_code=code_of(ada))
    assert (await confirm(server, bob)).status == 204
    assert (await standing(server.api, ada))["counted"] == 1
    assert (await standing(server.api, bob))["balance"] == 1000
    await whole(server)


# -- the operator's side


async def test_another_currency_than_the_ledgers_is_refused(serve: Serve, tmp_path: Path) -> None:
    server = await serve({"sandbox.mode": "off", "limits.enabled": "no"})
    await server.api.sign_up(referral_code=code_of(await server.api.sign_up()))
    await server.stop()
    with pytest.raises(ConfigError, match="currency"):
        await serve({"sandbox.mode": "off", "limits.enabled": "no", "referrals.currency": "EUR"})


async def test_what_the_export_says(server: Served) -> None:
    api = server.api
    ada = await api.sign_up("ada")
    bob = await api.sign_up("bob", referral_code=code_of(ada))
    exported = [json.dumps((await api.get("/api/me/export", token=each["access_token"])).data) for each in (ada, bob)]
    assert '"bob"' in exported[0] and "invitee_reward" not in exported[0]
    assert f'"invitee:{bob["user"]["id"]}"' in exported[1] and '"ada"' in exported[1]
