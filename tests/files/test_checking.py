"""Which check speaks for which version, in whose turn files are checked, and that every check comes to its end."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.files.jobs import UNTRIED, CheckJob
from server.files.service import KIND
from server.jobs import RetryPolicy
from server.providers.flake8 import CellGone, Options, Report
from server.storage import Tx
from tests.accounts.test_erasure import leave
from tests.conftest import Serve
from tests.files.support import (
    PASSED, WAITING, Cell, add, check_again, checked, count, file, found, history, send, told, whole,
)
from tests.support import Served, until
from tests.web.hostile import FORM, problem

JOBS = "SELECT count(*) FROM jobs WHERE kind = 'check_files' AND state IN ('ready', 'running')"


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that broke down is tried again soon."""
    monkeypatch.setattr(CheckJob, "policy", RetryPolicy(1_000_000, 0.01, 0.02))


async def test_what_flake8_itself_finds(server: Served, ada: str) -> None:
    id_ = await add(server, ada, b"import os\nimport sys  # noqa\nx = 1 \n")
    await checked(server)
    (last,) = await history(server, ada, id_)
    assert (last["status"], last["total"], last["suppressed"], last["counts"]) == (
        "violations", 2, 1, {"F401": 1, "W291": 1})
    assert [(one["line"], one["code"], one["suppressed"], one["source"]) for one in last["findings"]] == [
        (1, "F401", False, "import os"), (2, "F401", True, "import sys  # noqa"), (3, "W291", False, "x = 1 ")]
    assert last["flake8"] and last["python"] and last["reason"] is None
    assert last["requested_at"] <= last["started_at"] <= last["finished_at"]
    assert (await file(server, ada, id_))["status"] == "violations"


async def test_what_is_no_python_is_an_error_with_a_reason(server: Served, ada: str) -> None:
    id_ = await add(server, ada, b"# coding: nothing-like-that\n")
    await checked(server)
    (last,) = await history(server, ada, id_)
    assert (last["status"], last["total"], last["findings"]) == ("error", 0, []) and last["reason"]
    assert (await file(server, ada, id_))["status"] == "error"


# -- versions


async def test_a_late_result_stays_with_the_older_version(server: Served, cell: Cell, ada: str) -> None:
    first, second = cell.hold(b"one"), cell.hold(b"two")
    cell.answer = lambda source: found(3) if source == b"one" else PASSED
    id_ = await add(server, ada, b"one")
    await cell.begun(b"one")
    assert (await file(server, ada, id_))["status"] == "running"
    await send(server, ada, b"two", file=id_)
    first.set()
    await cell.begun(b"two")
    shown, (newer, older) = await file(server, ada, id_), await history(server, ada, id_)
    assert (shown["version"], shown["status"], shown["checked_at"]) == (2, "running", None)
    assert (older["version"], older["status"], older["total"]) == (1, "violations", 3)
    assert (newer["version"], newer["status"], newer["finished_at"]) == (2, "running", None)
    second.set()
    await checked(server)
    assert (await file(server, ada, id_))["status"] == "passed"
    assert [(one["version"], one["total"]) for one in await told(server, ada)] == [(1, 3), (2, 0)]


async def test_the_newest_check_speaks_for_the_file(server: Served, cell: Cell, ada: str) -> None:
    held = cell.hold(b"x")
    id_ = await add(server, ada, b"x")
    await cell.begun(b"x")
    await check_again(server, ada, id_)
    again = cell.hold(b"x")
    held.set()
    await until(lambda: len(cell.asked) == 2)
    newer, older = await history(server, ada, id_)
    shown = await file(server, ada, id_)
    assert (older["status"], newer["status"], shown["status"], shown["checked_at"]) == (
        "passed", "running", "running", None)
    (event,) = await told(server, ada)
    assert event["check_id"] == older["id"]
    again.set()
    await checked(server)


async def test_a_version_that_is_not_kept_any_more_is_an_error_of_its_own(server: Served, cell: Cell, ada: str) -> None:
    held = cell.hold(b"first of all")
    await add(server, ada, b"first of all")
    await cell.begun(b"first of all")
    id_ = await add(server, ada, b"0", "b.py")
    for number in range(1, 22):
        await send(server, ada, b"%d" % number, "b.py", file=id_)
    held.set()
    await checked(server)
    *rest, second, first = await history(server, ada, id_)
    assert first["status"] == second["status"] == "error" and "not kept" in first["reason"]
    assert {one["status"] for one in rest} == {"passed"} and (await file(server, ada, id_))["status"] == "passed"
    assert {one["name"] for one in await told(server, ada)} == {"engine.py", "b.py"}


# -- once more


@pytest.mark.parametrize(("options", "shown", "given"), [
    ({}, {}, Options()),
    ({"json": {}}, {}, Options()),
    ({"json": {"max_line_length": 120}}, {"max_line_length": 120}, Options(120)),
    ({"json": {"select": ["E501", "W6", "F"], "ignore": []}}, {"select": ["E501", "W6", "F"], "ignore": []},
     Options(None, ("E501", "W6", "F"))),
    ({"json": {"select": " E501, W6 F,", "ignore": "ABC123"}}, {"select": ["E501", "W6", "F"], "ignore": ["ABC123"]},
     Options(None, ("E501", "W6", "F"), ("ABC123",))),
    ({"data": "max_line_length=40&select=E,W&ignore=W6", "headers": FORM},
     {"max_line_length": 40, "select": ["E", "W"], "ignore": ["W6"]}, Options(40, ("E", "W"), ("W6",))),
    ({"json": {"max_line_length": None, "select": None}}, {}, Options()),
])
async def test_another_check_with_options(server: Served, cell: Cell, ada: str, options: dict[str, Any],
                                          shown: dict[str, Any], given: Options) -> None:
    id_ = await add(server, ada, b"x")
    await checked(server)
    held = cell.hold(b"x")
    answer = await check_again(server, ada, id_, **options)
    assert answer.status == 202 and (answer.data["status"], answer.data["options"]) == ("pending", shown)
    assert (await file(server, ada, id_))["status"] in ("pending", "running")
    held.set()
    await checked(server)
    assert cell.asked == [(b"x", Options()), (b"x", given)]
    assert [one["options"] for one in await history(server, ada, id_)] == [shown, {}]


@pytest.mark.parametrize(("body", "fields"), [
    ({"max_line_length": 39}, {"max_line_length"}), ({"max_line_length": 201}, {"max_line_length"}),
    ({"max_line_length": "x"}, {"max_line_length"}), ({"select": ["e501"]}, {"select"}),
    ({"select": ["E5011"]}, {"select"}),
    ({"ignore": ["ABCD"]}, {"ignore"}), ({"ignore": "E501;W6"}, {"ignore"}), ({"ignore": " " * 399 + "!"}, {"ignore"}),
    ({"select": ["E1"] * 101}, {"select"}), ({"select": ",".join(["E1"] * 101)}, {"select"}),
    ({"select": ["E501\n"]}, {"select"}), ({"select": [1]}, {"select"}), ({"select": {}}, {"select"}),
    ({"other": 1}, {"other"}), ({"ignore": "--config=x"}, {"ignore"}), ({"ignore": ["E1,W6"]}, {"ignore"}),
])
async def test_options_that_are_none(server: Served, cell: Cell, ada: str, body: dict[str, Any],
                                     fields: set[str]) -> None:
    id_ = await add(server, ada)
    answer = await check_again(server, ada, id_, json=body)
    problem(answer, 422)
    assert {field.partition("[")[0] for field in answer.fields} == fields
    await checked(server)
    assert len(await history(server, ada, id_)) == 1


async def test_the_history_is_newest_first_and_in_pages(server: Served, cell: Cell, ada: str) -> None:
    id_ = await add(server, ada)
    for _ in range(4):
        await check_again(server, ada, id_)
    await checked(server)
    ids, path = [], f"/api/files/{id_}/checks?limit=2"
    while path:
        page = await server.api.get(path, token=ada)
        ids.append([one["id"] for one in page.data])
        path = f"/api/files/{id_}/checks?limit=2&cursor={page.body['next']}" if page.body["next"] else ""
    assert [len(page) for page in ids] == [2, 2, 1]
    assert sum(ids, []) == sorted(sum(ids, []), reverse=True)
    other = (await server.api.get(f"/api/files/{id_}/checks?limit=1", token=ada)).body["next"]
    assert problem(await server.api.get(f"/api/files?cursor={other}", token=ada), 400) == "bad_cursor"


async def test_a_hundred_checks_of_a_file_are_kept(server: Served, cell: Cell, ada: str) -> None:
    id_, other = await add(server, ada), await add(server, ada, name="other.py")
    await checked(server)
    await asyncio.gather(*[check_again(server, ada, id_) for _ in range(105)])
    await checked(server)
    await check_again(server, ada, id_)
    await checked(server)
    assert await count(server, "SELECT count(*) FROM checks WHERE file_id = $1", id_) == 100
    assert len(await history(server, ada, other)) == 1


# -- every check ends


async def test_a_cell_that_breaks_again_and_again_ends_as_an_error(briefly: None, server: Served, cell: Cell,
                                                                   ada: str) -> None:
    def answer(source: bytes) -> Report:
        if source == b"bad":
            raise CellGone("its process ended")
        return PASSED
    cell.answer = answer
    bad = await add(server, ada, b"bad")
    good = await add(server, ada, b"good")
    await checked(server)
    assert [source for source, _ in cell.asked] == [b"bad"] * 5 + [b"good"]
    (last,) = await history(server, ada, bad)
    assert (last["status"], last["reason"]) == ("error", UNTRIED)
    assert (await file(server, ada, good))["status"] == "passed"
    assert [one["status"] for one in await told(server, ada)] == ["error", "passed"]
    assert await count(server, JOBS) == 0


@pytest.mark.parametrize("fault", [CellGone("its process ended"), RuntimeError("a bug")])
async def test_a_cell_that_breaks_once_is_asked_again(briefly: None, server: Served, cell: Cell, ada: str,
                                                      fault: Exception) -> None:
    def answer(source: bytes) -> Report:
        if len(cell.asked) < 3:
            raise fault
        return found(1)
    cell.answer = answer
    id_ = await add(server, ada)
    await checked(server)
    assert len(cell.asked) == 3 and (await history(server, ada, id_))[0]["status"] == "violations"
    assert len(await told(server, ada)) == 1


async def test_a_report_that_cannot_be_stored_is_an_error_in_the_end(
        briefly: None, server: Served, cell: Cell, ada: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.jobs.worker.STORE_FIRST", 0.01)
    cell.answer = lambda source: Report("passed", None, 2**70 if source == b"bad" else 0, 0, {}, [], "7", "3")
    bad, good = await add(server, ada, b"bad"), await add(server, ada, b"good")
    await checked(server)
    assert (await file(server, ada, bad))["status"] == "error"
    assert (await file(server, ada, good))["status"] == "passed"


async def test_a_run_that_was_done_twice_counts_once(server: Served, cell: Cell, ada: str) -> None:
    held = cell.hold(b"x")
    id_ = await add(server, ada, b"x")
    await cell.begun(b"x")
    files, member = server.foyer.files, await count(server, "SELECT user_id FROM files")
    again = await server.foyer.database.write(files.begin, member)
    assert again is not None and again.tries == 1
    for _ in range(2):
        assert not await server.foyer.database.write(files.end, member, again, found(2))
    held.set()
    await until(lambda: _none(server, JOBS))
    await whole(server)
    assert [one["total"] for one in await told(server, ada)] == [2]
    assert [one["total"] for one in await history(server, ada, id_)] == [2]


async def _none(served: Served, sql: str) -> bool:
    return await count(served, sql) == 0


@pytest.mark.parametrize("leaves", [False, True])
async def test_what_is_deleted_while_it_is_checked(server: Served, cell: Cell, ada: str, leaves: bool) -> None:
    held = cell.hold(b"x")
    id_ = await add(server, ada, b"x")
    await cell.begun(b"x")
    waits = await add(server, ada, b"waits")
    if leaves:
        assert (await leave(server, ada)).status == 204
    else:
        assert (await server.api.call("DELETE", f"/api/files/{id_}", token=ada)).status == 204
        problem(await server.api.get(f"/api/files/{id_}", token=ada), 404)
    held.set()
    await until(lambda: _none(server, JOBS))
    await checked(server)
    assert await count(server, "SELECT count(*) FROM contents") == (0 if leaves else 1)
    if not leaves:
        assert [one["file_id"] for one in await told(server, ada)] == [waits]


async def test_files_that_come_while_others_end_are_never_forgotten(server: Served, cell: Cell, ada: str,
                                                                    dice: Any) -> None:
    for number in range(40):  # each comes about when the check of the one before ends
        await add(server, ada, b"%d" % number)
    await asyncio.gather(*[add(server, ada, b"x%d" % number) for number in range(40)])
    await checked(server)
    assert len(cell.asked) == 80 and await count(server, JOBS) == 0
    assert not dice.thrown, "an upload and a check waited for each other"


async def test_a_lost_job_would_be_seen(server: Served, cell: Cell, ada: str) -> None:
    cell.hold(b"x")
    await add(server, ada, b"x")
    await cell.begun(b"x")

    async def forget(tx: Tx) -> list[str]:
        from server.ops import check
        await tx.run("DELETE FROM jobs WHERE kind = $1", KIND)
        return await check.broken(tx)
    assert any("without a job" in line for line in await server.foyer.database.write(forget))


# -- in turn; two of members for each of `checks.concurrency`, so that none waits for a transaction


async def test_others_many_files_do_not_hold_up_somebodys_one(serve: Serve) -> None:
    server = await serve({"checks.concurrency": "1"})
    cell = Cell.of(server)
    bob, *others = [(await server.api.sign_up(name))["access_token"] for name in ("bob", "ada", "eve")]
    held = []
    for who, token in enumerate(others):
        held.append(cell.hold(b"%d 0" % who))
        for number in range(40):
            await add(server, token, b"%d %d" % (who, number))
        await cell.begun(b"%d 0" % who)
    await add(server, bob, b"bob's")
    await add(server, bob, b"bob's second")
    for each in held:
        each.set()
    await checked(server)
    order = [source for source, _ in cell.asked]
    assert order.index(b"bob's") <= 3 and order.index(b"bob's second") <= 8
    assert len(order) == 82 and cell.most == 2
    for who in range(2):
        assert [source for source in order if source.startswith(b"%d " % who)] == [
            b"%d %d" % (who, number) for number in range(40)]


async def test_one_of_each_member_at_a_time(serve: Serve) -> None:
    server = await serve({"checks.concurrency": "1"})
    cell = Cell.of(server)
    names = [[b"%d %d" % (member, number) for number in range(3)] for member in range(3)]
    gates = [cell.hold(name) for each in names for name in each]
    for each in names:
        token = (await server.api.sign_up())["access_token"]
        for name in each:
            await add(server, token, name)
    await until(lambda: cell.now == 2)
    assert {source for source, _ in cell.asked} == {b"0 0", b"1 0"}
    for gate in gates:
        gate.set()
    await checked(server)
    assert cell.most == 2 and len(cell.asked) == 9 and await count(server, WAITING) == 0
