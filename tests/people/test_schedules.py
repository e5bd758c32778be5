"""The administrators' routes of the schedules."""
from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from server.people import runs
from server.people.jobs import ImportJob
from server.providers.outcome import broken
from server.storage import Tx
from tests.conftest import Serve
from tests.people.imports import Source, came, record
from tests.support import Answer, Served, until
from tests.web.administrators import administrator

PATH = "/api/admin/schedules"
NEVER_RUN = {"every_seconds": 60, "enabled": False, "batch": 10, "next_run_at": None, "last_error": None,
             "last_run": None}
OPEN_JOBS = "SELECT count(*) FROM jobs WHERE kind = 'import' AND state IN ('ready', 'running')"
AUDIT = "SELECT act, actor_id, target, details FROM audit WHERE act IN ('schedule_changed', 'schedule_run') ORDER BY id"


class Office:
    """An administrator at a server whose source is the test's."""

    def __init__(self, served: Served, session: Any) -> None:
        self.served, self.source = served, Source()
        self.token, self.id = session["access_token"], session["user"]["id"]
        job = served.foyer.worker._handlers["import"]
        assert isinstance(job, ImportJob)
        job._source = self.source  # type: ignore[assignment]

    @classmethod
    async def of(cls, serve: Serve, **settings: str) -> Office:
        served = await serve({"sandbox.mode": "off", **{f"randomdata.{name}": each for name, each in settings.items()}})
        return cls(served, await administrator(served))

    async def call(self, method: str, path: str = "", **options: Any) -> Answer:
        return await self.served.api.call(method, PATH + path, token=self.token, **options)

    async def one(self, name: str = "users") -> Any:
        return {each["name"]: each for each in (await self.call("GET")).data}[name]

    async def change(self, name: str = "users", **fields: Any) -> Any:
        return (await self.call("PATCH", f"/{name}", json=fields)).data

    async def run(self, name: str = "users") -> Any:
        answer = await self.call("POST", f"/{name}/run")
        assert answer.status == 202
        return answer.data

    async def runs(self, name: str = "users", **query: str) -> Any:
        return (await self.call("GET", f"/{name}/runs", params=query)).data

    async def ended(self, *statuses: str, name: str = "users") -> Any:
        """Waits until its runs, newest first, have ended so; the runs."""
        async def are_they() -> bool:
            return [run["status"] for run in await self.runs(name)] == list(statuses)
        await until(are_they)
        return await self.runs(name)

    async def open_jobs(self) -> int:
        async def read(tx: Tx) -> int:
            return int(await tx.value(OPEN_JOBS))
        return await self.served.foyer.database.read(read)

    async def idle(self) -> bool:
        return await self.open_jobs() == 0

    async def acts(self) -> list[Any]:
        async def read(tx: Tx) -> list[Any]:
            return [tuple(row) for row in await tx.all(AUDIT)]
        return await self.served.foyer.database.read(read)


@pytest.fixture
async def office(serve: Serve) -> Office:
    return await Office.of(serve)


def milliseconds(time: str) -> float:
    return 1000 * datetime.fromisoformat(time).timestamp()


# -- what there is


async def test_there_are_three_as_the_settings_say(serve: Serve) -> None:
    office = await Office.of(serve, every="2 min", batch="7", enabled="yes")
    answer = await office.call("GET")
    assert [each["name"] for each in answer.data] == ["users", "addresses", "cards"] and answer.body["next"] is None
    for each in answer.data:
        assert (each["every_seconds"], each["batch"], each["enabled"]) == (120, 7, True)
        assert 0 < milliseconds(each["next_run_at"]) - office.served.foyer.started_at < 125_000


async def test_the_settings_fill_them_once(serve: Serve) -> None:
    first = await Office.of(serve)
    changed = await first.change(every_seconds=33, batch=5)
    await first.served.stop()
    second = await serve({"sandbox.mode": "off", "randomdata.every": "5 min", "randomdata.enabled": "yes"})
    answer = await second.api.get(PATH, token=first.token)
    assert answer.data == [changed, {"name": "addresses", **NEVER_RUN}, {"name": "cards", **NEVER_RUN}]


@pytest.mark.parametrize(("every", "seconds"), [("10 ms", 1), ("1500 ms", 2), ("90 d", 2_592_000)])
async def test_the_settings_are_kept_within_what_can_be(serve: Serve, every: str, seconds: int) -> None:
    assert (await (await Office.of(serve, every=every)).one())["every_seconds"] == seconds


async def test_they_are_there_without_background_work_too(serve: Serve) -> None:
    served = await serve({"server.jobs": "no", "sandbox.mode": "off"})
    token = (await administrator(served))["access_token"]
    assert len((await served.api.get(PATH, token=token)).data) == 3
    changed = await served.api.call("PATCH", f"{PATH}/cards", json={"enabled": True}, token=token)
    assert changed.data["next_run_at"] is not None


async def test_page_by_page(office: Office) -> None:
    found, place = [], ""
    for _ in range(3):
        answer = await office.call("GET", f"?limit=1{place}")
        found += [each["name"] for each in answer.data]
        place = f"&cursor={answer.body['next']}"
    assert found == ["users", "addresses", "cards"] and answer.body["next"] is None


@pytest.mark.parametrize("name", ["", "user", "USERS", "housekeeping", "import:users", "users%20", "users%00", "1"])
async def test_there_are_no_others(office: Office, name: str) -> None:
    for method, path in (("PATCH", f"/{name}"), ("POST", f"/{name}/run"), ("GET", f"/{name}/runs")):
        answer = await office.call(method, path, json={"enabled": True} if method == "PATCH" else None)
        assert answer.status == 404 and answer.code == "not_found", (method, path)
    assert await office.acts() == []


async def test_for_administrators_only(office: Office) -> None:
    token = (await office.served.api.sign_up("ada"))["access_token"]
    for method, path in (("GET", ""), ("PATCH", "/users"), ("POST", "/users/run"), ("GET", "/users/runs")):
        assert (await office.served.api.call(method, PATH + path)).status == 401
        assert (await office.served.api.call(method, PATH + path, token=token)).status == 403
    assert await office.one() == {"name": "users", **NEVER_RUN}


# -- changing


async def test_any_part_can_be_changed(office: Office) -> None:
    assert await office.change(batch=100) == {"name": "users", **NEVER_RUN, "batch": 100}
    assert (await office.change(every_seconds=3600))["every_seconds"] == 3600
    changed = await office.change(enabled=True)
    assert (changed["batch"], changed["every_seconds"], changed["enabled"]) == (100, 3600, True)
    assert await office.one() == changed and (await office.one("cards")) == {"name": "cards", **NEVER_RUN}
    assert (await office.change(enabled=False))["next_run_at"] is None
    assert [(act, actor, target) for act, actor, target, _ in await office.acts()] == [
        ("schedule_changed", office.id, "schedule users")] * 4
    assert (await office.acts())[2][3] == '{"every_seconds":3600,"enabled":true,"batch":100}'


async def test_nothing_changed_is_nothing_written_down(office: Office) -> None:
    assert await office.change() == await office.change(batch=10, every_seconds=60, enabled=False)
    assert await office.acts() == []


@pytest.mark.parametrize(("body", "field"), [
    ({"every_seconds": 0}, "every_seconds"), ({"every_seconds": 2_592_001}, "every_seconds"),
    ({"every_seconds": 1.5}, "every_seconds"), ({"every_seconds": None}, "every_seconds"), ({"batch": 0}, "batch"),
    ({"batch": 101}, "batch"), ({"batch": "ten"}, "batch"), ({"enabled": 1}, "enabled"), ({"enabled": None}, "enabled"),
    ({"name": "cards"}, "name"), ({"next_run_at": None}, "next_run_at"), ({"failures": 0}, "failures")])
async def test_what_cannot_be(office: Office, body: dict[str, Any], field: str) -> None:
    answer = await office.call("PATCH", "/users", json={"batch": 50, **body})
    assert answer.status == 422 and set(answer.fields) == {field}
    assert await office.one() == {"name": "users", **NEVER_RUN} and await office.acts() == []


async def test_enabled_it_runs_by_itself_and_disabled_no_more(office: Office) -> None:
    await office.change(enabled=True, every_seconds=1, batch=3)
    await until(lambda: len(office.source.asked) >= 2)
    assert set(office.source.asked) == {("users", 3)}
    await office.change(enabled=False)
    await until(office.idle)
    before = len(office.source.asked)

    async def slept_over() -> bool:
        return len(await office.runs("cards")) == 1
    await office.change("cards", enabled=True, every_seconds=1)
    await until(slept_over)  # a second has passed
    assert office.source.asked.count(("users", 3)) == before


# -- running


async def test_it_runs_now_also_when_it_is_disabled(office: Office) -> None:
    office.source.answer = lambda number: came(record(1), record(2), 7)
    assert (await office.run())["name"] == "users"
    [run] = await office.ended("done")
    assert (run["new"], run["rejected"], run["error"]) == (2, 1, None) and sum(run["reasons"].values()) == 1
    found = await office.one()
    assert found["last_run"] == run and not found["enabled"] and found["next_run_at"] is None
    assert [act[:3] for act in await office.acts()] == [("schedule_run", office.id, "schedule users")]


async def test_why_it_failed_can_be_read_until_it_does_not(office: Office) -> None:
    office.source.answer = lambda number: broken("status 503")
    await office.run()
    [run] = await office.ended("failed")
    found = await office.one()
    assert found["last_error"] == run["error"] == "broken: status 503" and found["last_run"] == run
    office.source.answer = lambda number: came()
    await office.run()
    await office.ended("done", "failed")
    assert (await office.one())["last_error"] is None


async def test_while_it_runs_it_is_seen_to_and_run_now_is_that_run(office: Office) -> None:
    office.source.hold()
    await office.run()
    await until(lambda: office.source.asked)
    again = await office.run()
    assert (again["last_run"]["status"], again["last_run"]["finished_at"]) == ("running", None)
    office.source.free.set()
    await office.ended("done")


async def test_what_is_put_off_by_chance_is_brought_forward(office: Office) -> None:
    worker = office.served.foyer.worker
    worker._chance = lambda: 1.0
    await office.change(every_seconds=1000, enabled=True)

    async def due(tx: Tx) -> None:
        await tx.run("UPDATE schedules SET next_at = $1 WHERE name = 'import:users'", tx.now)
    await office.served.foyer.database.write(due)
    office.served.foyer.queue.wake()
    await until(office.open_jobs)
    assert office.source.asked == []
    await office.run()
    await until(lambda: office.source.asked, 5.0)  # it had been put off for ten seconds
    await office.ended("done")


async def test_twenty_who_ask_at_once_get_runs_one_after_the_other(office: Office) -> None:
    office.source.hold()
    await asyncio.gather(*(office.run() for _ in range(20)))
    await until(lambda: office.source.asked)
    office.source.free.set()
    await asyncio.gather(*(office.run() for _ in range(20)))
    await until(office.idle)
    found = await office.runs()
    assert office.source.most == 1 and 1 <= len(found) == len(office.source.asked) <= 21
    assert {run["status"] for run in found} == {"done"}


async def test_the_same_key_is_the_same_request(office: Office) -> None:
    headers = {"Idempotency-Key": "run-the-import-once"}
    first, second = [await office.call("POST", "/users/run", headers=headers) for _ in range(2)]
    assert first.raw == second.raw and len(await office.acts()) == 1
    await office.call("POST", "/cards/run", headers=headers)
    assert [act[2] for act in await office.acts()] == ["schedule users", "schedule cards"]
    await office.ended("done", name="cards")


# -- the history and the news


async def test_the_history_page_by_page(office: Office) -> None:
    for number in range(1, 4):
        await office.run()
        await office.ended(*["done"] * number)
    await office.run("cards")
    await office.ended("done", name="cards")
    whole = await office.runs()
    assert [run["id"] for run in whole] == sorted((run["id"] for run in whole), reverse=True)
    answer = await office.call("GET", "/users/runs?limit=2")
    rest = await office.call("GET", f"/users/runs?limit=2&cursor={answer.body['next']}")
    assert answer.data + rest.data == whole and rest.body["next"] is None
    assert (await office.call("GET", "/users/runs?cursor=bm90aGluZw")).code == "bad_cursor"
    assert await office.runs("addresses") == []


async def test_administrators_hear_of_it_at_once(office: Office) -> None:
    ada = (await office.served.api.sign_up("ada"))["access_token"]
    socket = await office.served.socket(office.token)
    await office.run()
    while (news := await socket.receive_json(timeout=10))["type"] != "import_finished":
        pass
    [run] = await office.ended("done")
    assert news["data"] == {"schedule": "users", **{name: run[name] for name in (
        "status", "started_at", "finished_at", "new", "changed", "unchanged", "rejected", "linked", "error")}}
    await socket.close()
    page = (await office.served.api.get("/api/events?after=0&limit=100", token=ada)).data
    assert "import_finished" not in {event["type"] for event in page}


async def test_a_run_that_was_interrupted_by_the_end_of_the_server_is_ended_by_the_next(serve: Serve) -> None:
    office = await Office.of(serve)
    office.source.hold()
    await office.run()
    await until(lambda: office.source.asked)
    [before] = await office.runs()
    await office.served.stop()
    served = await serve({"sandbox.mode": "off", "server.jobs": "no"})
    assert [run.status for run in await served.foyer.database.read(runs.history, "users", 2**53, 9)] == ["running"]
    again = Office(served, {"access_token": office.token, "user": {"id": office.id}})
    await served.foyer.worker.start(alone=False)
    try:
        [run] = await again.ended("done")
        assert (run["id"], run["started_at"]) == (before["id"], before["started_at"])
    finally:
        await served.foyer.worker.stop()
