"""Two processes and one schedule: each interval has exactly one run, whoever of them begins it, and a run that was
killed ends once."""
from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.core.clock import HOUR, SECOND
from server.ops import check
from server.storage import Tx
from tests import postgres
from tests.events.support import Moment
from tests.jobs.support import Yard
from tests.people.imports import EVERY, Imports, Source, came, record, uid
from tests.proofs.processes import READY, Process, chance, pause, ready, spawn, staged
from tests.support import PASSWORD, Api, Served, opened, settings, start, until, variables
from tests.web.administrators import PROMOTE

INTERVALS = 60
MOST_JITTER = EVERY // 20
JOBS = "SELECT count(*) FROM jobs WHERE kind = 'import'"
RUNS = "SELECT status, count(*) FROM import_runs GROUP BY status"


class Behind:
    """A clock that is so many milliseconds behind another one."""

    def __init__(self, other: Moment, ms: int) -> None:
        self.other, self.ms = other, ms

    def __call__(self) -> int:
        return self.other() - self.ms


@asynccontextmanager
async def pair(folder: Path, behind: int, rng: random.Random) -> AsyncIterator[list[Imports]]:
    """Two who import from one source, with nothing in common but the database; the clock of the second is behind."""
    moment, source = Moment(), Source()
    source.answer = lambda number: came(record(number), record(number // 2))
    async with AsyncExitStack() as stack:
        both = []
        for clock in (moment, Behind(moment, behind)):
            database = await opened(folder, clock=clock)
            stack.push_async_callback(database.close)
            yard = Yard(database, moment)
            stack.push_async_callback(yard.stop)
            both.append(Imports(yard, source))
        await both[0].administrators(1)
        await both[0].schedule()
        for each in both:
            await each.start(alone=False)
            each.yard.workers[0]._chance = rng.random
        await looked(both)
        yield both


async def looked(both: list[Imports]) -> None:
    """Both have looked for work once more."""
    await asyncio.gather(*(each.yard.looked() for each in both))


async def jobs(imports: Imports) -> int:
    async def read(tx: Tx) -> int:
        return int(await tx.value(JOBS))
    return await imports.yard.database.read(read)


async def run_off(both: list[Imports], number: int) -> None:
    """What was put off by chance comes, and that makes so many in all."""
    both[0].yard.moment.ms += MOST_JITTER
    await looked(both)
    await both[0].ended(*["done"] * number)
    assert await jobs(both[0]) == number


@pytest.mark.long
@pytest.mark.parametrize("behind", [0, 700, 40 * SECOND])
async def test_each_interval_has_one_run(tmp_path: Path, behind: int) -> None:
    rng = chance()
    async with pair(tmp_path, behind, rng) as both:
        first = both[0]
        due = (await first.stands()).next_at
        for number in range(1, INTERVALS + 1):
            first.yard.moment.ms = due + rng.randrange(10 * SECOND)
            await looked(both)
            first.yard.moment.ms += behind + MOST_JITTER  # for the one whose clock is behind it is due then, too
            await looked(both)
            await first.ended(*["done"] * number)
            await looked(both)
            assert await jobs(first) == number
            due += EVERY
            assert (await first.stands()).next_at == due
        assert first.source.most == 1 and len(first.source.asked) == INTERVALS
        assert len(await first.told(1)) == INTERVALS
        began = [run.started_at for run in await first.runs()]
        assert began == sorted(set(began)) and len(began) == INTERVALS
        assert await first.yard.database.read(check.broken) == []


@pytest.mark.long
async def test_clocks_that_jump_make_no_more_runs_and_skip_none(tmp_path: Path) -> None:
    rng, number = chance(), 0
    async with pair(tmp_path, 0, rng) as both:
        first = both[0]
        for _ in range(INTERVALS):
            first.yard.moment.ms += rng.choice((-400, -1, 1, 400)) * rng.randrange(HOUR)
            number += (await first.stands()).next_at <= first.yard.moment.ms  # one, however many were passed
            await looked(both)
            assert 0 < (await first.stands()).next_at - first.yard.moment.ms <= EVERY
            await run_off(both, number)
            first.yard.moment.ms = (await first.stands()).next_at
            await looked(both)
            number += 1
            await run_off(both, number)


# -- whole servers


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[list[Served]]:
    """Two servers on one PostgreSQL and one source."""
    url = postgres.database_of(tmp_path)
    given = {"database.url": url, "auth.secret": "the secret that both of them have", "limits.enabled": "no",
             "sandbox.mode": "off"}
    async with AsyncExitStack() as stack:
        both = []
        for _ in range(2):
            both.append(await start(settings(tmp_path, given)))
            stack.push_async_callback(both[-1].stop)
        source = Source()
        for served in both:
            served.foyer.worker._handlers["import"]._source = source  # type: ignore[attr-defined]
        yield both


async def root(served: Served) -> str:
    """An administrator's token."""
    await served.api.sign_up("root")

    async def promote(tx: Tx) -> None:
        assert await tx.run(PROMOTE, "root") == 1
    await served.foyer.database.write(promote)
    return str((await served.api.post("/api/login", {"username": "root", "password": PASSWORD})).data["access_token"])


async def idle(served: Served) -> bool:
    async def read(tx: Tx) -> bool:
        return await tx.value("SELECT 1 FROM jobs WHERE kind = 'import' AND state IN ('ready', 'running')") is None
    return await served.foyer.database.read(read)


@pytest.mark.long
async def test_run_now_at_both_from_forty_clients_is_never_two_at_once(two: list[Served]) -> None:
    source: Any = two[0].foyer.worker._handlers["import"]._source  # type: ignore[attr-defined]
    token, rounds = await root(two[0]), 5
    for _ in range(rounds):
        answers = await asyncio.gather(*(
            two[number % 2].api.post("/api/admin/schedules/users/run", token=token) for number in range(40)))
        assert {answer.status for answer in answers} == {202}
        await until(lambda: idle(two[0]))
    runs = (await two[1].api.get("/api/admin/schedules/users/runs?limit=100", token=token)).data
    assert source.most == 1 and rounds <= len(runs) == len(source.asked)
    assert {run["status"] for run in runs} == {"done"}
    assert await two[0].foyer.database.read(check.broken) == []


class Web:
    """A source in the network; it knows when it was asked, and how many asked at once."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.now = self.most = 0
        self.free = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(time.monotonic())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.free.wait()
            return web.json_response([{**record(number), "uid": uid(number)} for number in range(10)])
        finally:
            self.now -= 1


@asynccontextmanager
async def serving(source: Web) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/api/v2/users", source.answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()


def environ(url: str, **more: str) -> dict[str, str]:
    return {"FOYER_SANDBOX_MODE": "off", "FOYER_RANDOMDATA_URL": url, "FOYER_AUTH_BCRYPT_COST": "4", **more}


@pytest.mark.long
async def test_two_real_processes_ask_once_a_second(tmp_path: Path) -> None:
    source = Web()
    source.free.set()
    url = postgres.database_of(tmp_path)
    given = variables({"database.url": url, "auth.secret": "a secret of all processes, 32 or more"})
    async with serving(source) as where:
        processes: list[Process] = []
        try:
            for _ in range(2):
                process = await spawn("serve", "--port", "0", environ={**environ(where), **given}, log=tmp_path / "log")
                processes.append(await ready(process, READY, time.monotonic()))
            connection = await asyncpg.connect(url)
            # In the past, so that both find it due in the moment they look.
            await connection.execute("UPDATE schedules SET every_ms = 1000, next_at = 1, enabled = 1, batch = 10 "
                                     "WHERE name = 'import:users'")
            await until(lambda: len(source.asked) >= 12, 30.0)
            await connection.execute("UPDATE schedules SET enabled = 0")
            runs = await connection.fetch("SELECT status, unchanged FROM import_runs ORDER BY id")
            await connection.close()
        finally:
            assert [await process.terminate() for process in processes] == [0] * len(processes)
    gaps = [after - before for before, after in zip(source.asked, source.asked[1:])]
    print(f"{len(gaps)} gaps, {min(gaps):.3f} to {max(gaps):.3f} s")
    # The interval, and what chance and a busy machine add to one end of it and take from the next.
    assert source.most == 1 and min(gaps) > 0.5 and sum(gaps) / len(gaps) > 0.9
    assert {run["status"] for run in runs[:-1]} == {"done"} and {run["unchanged"] for run in runs[1:-1]} == {10}


@pytest.mark.long
async def test_a_run_that_was_killed_ends_once(tmp_path: Path) -> None:
    source = Web()
    async with serving(source) as where, staged(tmp_path, environ(where)) as stage:
        ids = []
        for number in range(1, 4):
            server = await stage.start()
            async with aiohttp.ClientSession() as session:
                api = Api(session, server.url)
                if number == 1:
                    token = await administrator(stage.environ, api)
                    assert (await api.post("/api/admin/schedules/users/run", token=token)).status == 202
                await until(lambda: len(source.asked) == number, 60.0)  # after the lease, on PostgreSQL
                await pause(0.05)
                last = (await api.get("/api/admin/schedules", token=token)).data[0]["last_run"]
                assert last["status"] == "running"
                ids.append(last["id"])
            await server.kill()
        source.free.set()
        server = await stage.start()
        async with aiohttp.ClientSession() as session:
            api = Api(session, server.url)

            async def runs() -> Any:
                return (await api.get("/api/admin/schedules/users/runs", token=token)).data

            async def is_over() -> bool:
                return [run["status"] for run in await runs()] == ["done"]
            await until(is_over, 60.0)
            [run] = await runs()
            assert set(ids) == {run["id"]} and (run["new"], run["unchanged"]) == (10, 0)
            told = (await api.get("/api/events?after=0&limit=100", token=token)).data
            assert [event["type"] for event in told].count("import_finished") == 1
        assert await server.terminate() == 0
        assert await stage.check() and not stage.complaints()


async def administrator(given: dict[str, str], api: Api) -> str:
    """An access token that may run the import; `run.py` makes the role."""
    await api.sign_up("root")
    process = await spawn("admin", "promote", "root", environ=given)
    assert await process.handle.wait() == 0
    return str((await api.post("/api/login", {"username": "root", "password": PASSWORD})).data["access_token"])
