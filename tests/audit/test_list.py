"""GET /api/admin/audit: newest first, about whom, by whom, with a part of a word."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from server.audit import log, queries
from server.audit.log import Actor
from server.audit.model import AuditEntry
from server.storage import Tx
from server.web import windows
from tests.accounts.test_erasure import leave
from tests.audit.support import WRONG, login
from tests.support import Answer, Served
from tests.web.administrators import administrator
from tests.web.hostile import problem

FIELDS = {"id", "at", "act", "actor", "member", "target", "address", "request_id", "details"}


@pytest.fixture
async def root(server: Served) -> Any:
    """An administrator, whose sign-in is the first entry."""
    return await administrator(server)


Ask = Callable[..., Any]


@pytest.fixture
def ask(server: Served, root: Any) -> Ask:
    """Asks for a page of the list."""
    async def ask(**query: Any) -> Answer:
        return await server.api.get("/api/admin/audit", params=query, token=root["access_token"])
    return ask


async def _write(served: Served, *entries: tuple[str, int | None, int | None, str | None]) -> None:
    """Acts, each with its actor, member and target."""
    async def write(tx: Tx) -> None:
        for act, actor, member, target in entries:
            await log.record(tx, act, Actor(actor, "::1"), member, target)  # type: ignore[arg-type]
    await served.foyer.database.write(write)


async def _all(ask: Ask, **query: Any) -> list[Any]:
    """Every page, one after the other."""
    found: list[Any] = []
    while True:
        answer = await ask(**query)
        found += answer.data
        if answer.body["next"] is None:
            return found
        query["cursor"] = answer.body["next"]


async def test_an_entry_says_who_did_what_to_whom(server: Served, root: Any, ask: Ask) -> None:
    ada = (await server.api.sign_up("ada"))["user"]
    await server.api.post(f"/api/admin/users/{ada['id']}/suspend", token=root["access_token"])
    problem(await login(server, "ada", WRONG), 401)
    failed, suspended, signed_in = (await ask()).data
    assert [msgspec.convert(entry, AuditEntry).act for entry in (failed, suspended, signed_in)] == [
        "login_failed", "member_suspended", "signed_in"]
    assert {frozenset(entry) for entry in (failed, suspended, signed_in)} == {frozenset(FIELDS)}
    boss = {"id": root["user"]["id"], "username": "root"}
    assert (suspended["actor"], suspended["member"]) == (boss, {"id": ada["id"], "username": "ada"})
    assert (failed["actor"], failed["address"], failed["details"]) == (None, "127.0.0.1", {"times": 1})
    assert suspended["at"] <= failed["at"] and suspended["request_id"] not in (None, failed["request_id"])


async def test_whoever_has_left_is_a_number(server: Served, ask: Ask) -> None:
    session = await server.api.sign_up("ada")
    assert (await leave(server, session["access_token"])).status == 204
    (left, _) = (await ask()).data
    nobody = {"id": session["user"]["id"], "username": None}
    assert (left["act"], left["actor"], left["member"], left["address"]) == ("member_left", nobody, nobody, None)


async def test_it_goes_page_by_page(server: Served, ask: Ask) -> None:
    await _write(server, *[("job_retried", None, None, f"job {number}") for number in range(25)])
    pages = [await ask(limit=10)]
    while pages[-1].body["next"]:
        await _write(server, ("job_dropped", None, None, "job 99"))  # what comes meanwhile moves nothing
        pages.append(await ask(limit=10, cursor=pages[-1].body["next"]))
    assert [len(page.data) for page in pages] == [10, 10, 6]
    found = [entry["target"] for page in pages for entry in page.data]
    assert found == [f"job {number}" for number in range(24, -1, -1)] + [found[-1]]


async def test_about_somebody_or_by_somebody(server: Served, root: Any, ask: Ask) -> None:
    ada, bob = [(await server.api.sign_up(name))["user"]["id"] for name in ("ada", "bob")]
    boss = root["user"]["id"]
    await _write(server, ("member_suspended", boss, ada, None), ("post_deleted", boss, bob, "post 1"),
                 ("password_changed", ada, ada, None), ("job_dropped", boss, None, "job 7"))
    for query, expected in (({"member_id": ada}, ["password_changed", "member_suspended"]),
                            ({"member_id": bob}, ["post_deleted"]), ({"member_id": 4711}, []),
                            ({"actor_id": boss}, ["job_dropped", "post_deleted", "member_suspended", "signed_in"]),
                            ({"actor_id": ada}, ["password_changed"]), ({"actor_id": 4711}, []),
                            ({"actor_id": boss, "q": "post"}, ["post_deleted"]), ({"member_id": bob, "q": "job"}, [])):
        for limit in (1, 20):
            assert [entry["act"] for entry in await _all(ask, limit=limit, **query)] == expected, query


@pytest.mark.parametrize(("q", "expected"), [
    ("job", ["job_retried", "job_dropped"]), ("JOB 1", ["job_retried", "job_dropped"]), ("job 12", ["job_retried"]),
    ("retried", ["job_retried"]), ("_", ["schedule_run", "job_retried", "job_dropped", "signed_in"]), ("%", []),
    ("users", ["schedule_run"]), ("!", []), ("\\", []), ("x y", []), ("\u0130", []), ("root", [])])
async def test_a_part_of_the_act_or_its_target(server: Served, ask: Ask, q: str, expected: list[str]) -> None:
    await _write(server, ("job_dropped", None, None, "job 1"), ("job_retried", None, None, "job 12"),
                 ("schedule_run", None, None, "schedule users"))
    assert [entry["act"] for entry in (await ask(q=q)).data] == expected


async def test_a_search_looks_through_one_window_at_a_time(
        server: Served, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (windows, queries):
        monkeypatch.setattr(module, "SIZE", 10)
    await _write(server, ("schedule_run", None, None, "schedule cards"),
                 *[("job_retried", None, None, f"job {number}") for number in range(30)])
    sizes, page = [], await ask(q="cards")
    while page.body["next"]:
        sizes.append(len(page.data))
        page = await ask(q="cards", cursor=page.body["next"])
    assert sizes == [0, 0, 0] and [entry["target"] for entry in page.data] == ["schedule cards"]
    assert [entry["target"] for entry in await _all(ask, limit=3, q="job")] == [
        f"job {number}" for number in range(29, -1, -1)]


async def test_what_cannot_be_asked_for(server: Served, ask: Ask) -> None:
    both = await ask(member_id=1, actor_id=1)
    assert (problem(both, 422), both.fields) == ("invalid_fields", {"actor_id": "not_both"})
    for query in ({"member_id": "0"}, {"actor_id": "x"}, {"member_id": str(2**53)}, {"q": ""}, {"q": "a\n"},
                  {"limit": 0}, {"who": "1"}):
        problem(await ask(**query), 422)
    assert problem(await ask(cursor="x"), 400) == "bad_cursor"
    assert (await ask(member_id=2**53 - 1, q="a")).data == []


async def test_it_is_for_administrators(server: Served) -> None:
    token = (await server.api.sign_up("ada"))["access_token"]
    assert problem(await server.api.get("/api/admin/audit", token=token), 403) == "forbidden"
    assert problem(await server.api.get("/api/admin/audit"), 401) == "not_signed_in"
