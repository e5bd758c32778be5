"""What stays of the audit when somebody leaves, what they may see of it before, and what goes with time."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.audit import log, queries
from server.audit.log import Actor
from server.storage import Tx
from tests.accounts import test_erasure
from tests.accounts.test_erasure import leave, whole
from tests.audit.support import WRONG, login, rows
from tests.audit.test_failures import PROXY
from tests.conftest import Serve
from tests.support import Served, until
from tests.web.administrators import administrator
from tests.web.hostile import problem

HERE, THERE = "203.0.113.77", "203.0.113.88"
REQUESTS = ("quintessa-request", "zephyrine-request")


@pytest.fixture
async def behind(serve: Serve) -> Served:
    """A server to which a proxy says where its clients are."""
    return await serve({**PROXY, "limits.enabled": "no"})


async def _live(served: Served, name: str) -> Any:
    """A member with something in the audit, by them and about them; their session."""
    session = await served.api.sign_up(name)
    for number, address in enumerate((HERE, THERE)):
        headers = {"X-Forwarded-For": address, "X-Request-ID": REQUESTS[number]}
        problem(await login(served, name, WRONG, **headers), 401)
        given = {"current": WRONG, "new": "an0ther-good-one"}
        problem(await served.api.post("/api/me/password", given, token=session["access_token"], headers=headers), 403)
    return session


async def test_nothing_personal_is_left_when_they_leave(behind: Served) -> None:
    session = await _live(behind, "leaver")
    markers = {HERE, THERE, *REQUESTS}
    assert test_erasure._found(behind, markers).keys() == markers
    assert (await leave(behind, session["access_token"])).status == 204
    await until(lambda: not test_erasure._found(behind, markers))
    kept = await rows(behind)
    assert [row["act"] for row in kept] == ["login_failed"] * 4 + ["member_left"]
    assert {row["member_id"] for row in kept} == {session["user"]["id"]}
    assert {(row["address"], row["request_id"], str(row["details"])) for row in kept} == {(None, None, "{}")}
    assert await whole(behind)


async def test_what_they_did_to_others_stays_without_them(behind: Served) -> None:
    root = await administrator(behind)
    ada = await behind.api.sign_up("ada")
    suspend = f"/api/admin/users/{ada['user']['id']}/suspend"
    assert (await behind.api.post(suspend, token=root["access_token"])).status == 200
    problem(await login(behind, "ada", WRONG), 401)
    assert (await leave(behind, root["access_token"])).status == 204
    (suspended,) = [row for row in await rows(behind) if row["act"] == "member_suspended"]
    assert (suspended["actor_id"], suspended["member_id"]) == (root["user"]["id"], ada["user"]["id"])
    assert (suspended["address"], suspended["request_id"]) == (None, None)
    (failed,) = [row for row in await rows(behind) if row["act"] == "login_failed"]
    assert (failed["address"], failed["details"]) == ("127.0.0.1", {"times": 1})
    assert await whole(behind)


async def test_somebody_who_has_left_is_not_written_down(server: Served) -> None:
    session = await server.api.sign_up("leaver")
    assert (await leave(server, session["access_token"])).status == 204
    id_, before = session["user"]["id"], len(await rows(server))

    async def late(tx: Tx) -> None:
        await log.record(tx, "job_retried", Actor(id_, HERE), target="job 1")
        await log.record(tx, "post_deleted", Actor(None, THERE), id_)
        await log.count(tx, "login_failed", Actor(None, THERE), id_)
    await server.foyer.database.write(late)
    assert [(row["actor_id"], row["member_id"], row["address"]) for row in (await rows(server))[before:]] == [
        (None, None, None), (None, None, THERE), (None, None, THERE)]
    assert await whole(server)


async def test_leaving_beside_failures(behind: Served) -> None:
    for _ in range(8):
        session = await behind.api.sign_up("leaver")
        answers = await asyncio.gather(*[login(behind, "leaver", WRONG) for _ in range(6)],
                                       leave(behind, session["access_token"]),
                                       *[login(behind, "leaver", WRONG) for _ in range(6)])
        assert [answer.status for answer in answers] == [401] * 6 + [204] + [401] * 6
        about = [row for row in await rows(behind) if row["member_id"] == session["user"]["id"]]
        assert {(row["address"], row["request_id"], str(row["details"])) for row in about} == {(None, None, "{}")}
    assert await whole(behind)


async def test_the_check_finds_what_should_have_been_forgotten(server: Served) -> None:
    async def leftover(tx: Tx) -> None:
        await tx.run("INSERT INTO audit (at, act, member_id, address) VALUES (1, 'login_failed', 4711, '::1')")
    await server.foyer.database.write(leftover)
    with pytest.raises(AssertionError, match="the audit holds something personal"):
        await whole(server)


# -- the export


async def test_the_export_has_what_one_did_and_what_concerns_one(behind: Served) -> None:
    root = await administrator(behind)
    ada = await behind.api.sign_up("ada")
    id_ = ada["user"]["id"]
    for turn in ("suspend", "restore"):
        headers = {"X-Forwarded-For": HERE, "X-Request-ID": REQUESTS[0]}
        await behind.api.post(f"/api/admin/users/{id_}/{turn}", token=root["access_token"], headers=headers)
    problem(await login(behind, "ada", WRONG, **{"X-Forwarded-For": THERE}), 401)
    signed_in = (await login(behind, "ada")).data
    problem(await behind.api.call("DELETE", "/api/me", json={"password": WRONG}, token=signed_in["access_token"]), 403)
    told, once = await behind.api.get("/api/me/export", token=signed_in["access_token"]), {"times": 1}
    assert all(one["about_you"] for one in told.data["audit"])
    assert [(one["act"], one["by"], one["address"], one["details"]) for one in told.data["audit"]] == [
        ("member_suspended", "administrator", None, {}), ("member_restored", "administrator", None, {}),
        ("login_failed", "unknown", THERE, once), ("login_failed", "you", "127.0.0.1", once)]
    assert not [secret for secret in (HERE, REQUESTS[0], '"root"') if secret.encode() in told.raw]
    assert all(one["request_id"] for one in told.data["audit"][2:])


async def test_the_export_of_an_administrator_names_nobody_else(behind: Served) -> None:
    root = await administrator(behind)
    ada = await behind.api.sign_up("quintessa")
    for turn in ("suspend", "restore"):
        await behind.api.post(f"/api/admin/users/{ada['user']['id']}/{turn}", token=root["access_token"])
    told = await behind.api.get("/api/me/export", token=root["access_token"])
    assert [(one["act"], one["by"], one["about_you"]) for one in told.data["audit"]] == [
        ("signed_in", "you", True), ("member_suspended", "you", False), ("member_restored", "you", False)]
    assert b"quintessa" not in told.raw and set(told.data["audit"][1]) == {
        "id", "at", "act", "by", "about_you", "target", "address", "request_id", "details"}


async def test_a_long_export_leaves_nothing_out_and_says_nothing_twice(server: Served) -> None:
    session = await server.api.sign_up("ada")
    id_ = session["user"]["id"]

    async def write(tx: Tx) -> None:
        for number in range(700):
            actor, member = ((id_, id_), (None, id_), (id_, None))[number % 3]
            await log.record(tx, "job_retried", Actor(actor), member, target=f"job {number}")
    await server.foyer.database.write(write)
    told = (await server.api.get("/api/me/export", token=session["access_token"])).data["audit"]
    assert [one["target"] for one in told] == [f"job {number}" for number in range(700)]


# -- time


async def test_what_is_old_goes_in_steps(server: Served) -> None:
    async def write(tx: Tx) -> None:
        for at in range(10):
            await tx.run("INSERT INTO audit (at, act) VALUES ($1, 'signed_in')", (at * 7) % 10)
    await server.foyer.database.write(write)
    taken = [await server.foyer.database.write(queries.prune, 6, 4) for _ in range(3)]
    assert taken == [4, 2, 0] and sorted(row["at"] for row in await rows(server)) == [6, 7, 8, 9]
