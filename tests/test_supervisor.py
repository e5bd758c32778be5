"""Several processes on one port (`server.workers`) and the worker (`run.py worker`), as an operator starts them."""
from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests import postgres
from tests.proofs.processes import READY, Process, sandbox, spawn
from tests.support import Api, frame, until

pytestmark = [pytest.mark.long, pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the kernel does not share connections out")]
WORKER_READY = "Foyer's worker is ready"
STOPS_WITHIN = 10  # seconds, as docs/operations.md promises
ENOUGH = 40  # connections, of which two processes get some each


class Place:
    """A PostgreSQL database, the settings for it, and what was started there."""

    def __init__(self, folder: Path) -> None:
        self._log, self._started = folder / "log", []  # type: ignore[var-annotated]
        self.url = postgres.database_of(folder)
        self.environ = {
            "FOYER_DATABASE_URL": self.url, "FOYER_AUTH_SECRET": "a secret of all processes, 32 or more",
            "FOYER_AUTH_BCRYPT_COST": "4", "FOYER_SANDBOX_MODE": "off", "FOYER_SERVER_PORT": "0",
            "FOYER_SERVER_WORKERS": "2"}

    async def start(self, *words: str, **environ: str) -> Process:
        """Starts `run.py` with these words."""
        process = await spawn(*words, environ={**self.environ, **environ}, log=self._log)
        self._started.append(process)
        return process

    async def serve(self, *options: str, **environ: str) -> Process:
        """A server that is ready."""
        process = await self.start("serve", *options, **environ)
        process.url = await process.line(READY)
        return process

    async def refused(self, *words: str, **environ: str) -> str:
        """What cannot be started: the only line that it says, before exit 2."""
        process = await self.start(*words, **environ)
        async with asyncio.timeout(STOPS_WITHIN):
            printed, _ = await process.handle.communicate()
        assert (process.handle.returncode, printed) == (2, b"")
        [line] = self.log()
        return line

    def log(self) -> list[str]:
        """The lines on stderr of all of them."""
        return self._log.read_text().splitlines()

    async def end(self) -> None:
        """Ends what still runs; the children of a killed one end by themselves, and hold its output until then."""
        for process in self._started:
            async with asyncio.timeout(STOPS_WITHIN):
                await process.kill()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A place of the test's own."""
    made = Place(tmp_path)
    yield made
    await made.end()


def children(process: Process) -> list[int]:
    """The numbers of its processes."""
    pid = process.handle.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid: int) -> bool:
    """Whether there is such a process; one that has ended and that nobody asks about is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def answering(url: str) -> set[str]:
    """Who answers on fresh connections: what each process puts before the number of a request."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        answers = await asyncio.gather(*(Api(session, url).get("/livez") for _ in range(ENOUGH)))
    assert {answer.status for answer in answers} == {200}
    return {answer.headers["X-Request-ID"].partition("-")[0] for answer in answers}


async def two_answer(url: str) -> bool:
    """Whether two processes do."""
    return len(await answering(url)) == 2


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Api]:
    """A client."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Api(session, url)


@pytest.fixture
def listener() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made.getsockname()[1]


# -- several processes on one port

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_both_answer_once_it_is_ready_and_both_stop_in_time(place: Place, number: signal.Signals) -> None:
    server = await place.serve()
    assert await two_answer(server.url)
    pids = children(server)
    assert len(pids) == 2
    server.handle.send_signal(number)
    async with asyncio.timeout(STOPS_WITHIN):
        printed, _ = await server.handle.communicate()
    assert (server.handle.returncode, printed) == (0, b"")  # the one line that it was ready has been read
    assert not [pid for pid in pids if lives(pid)]
    assert not [line for line in place.log() if "ended" in line or "Traceback" in line]


async def test_each_says_in_a_line_of_its_own_where_its_stand_ins_are(place: Place) -> None:
    server = await place.start("serve", FOYER_SANDBOX_MODE="on", PYTHONUNBUFFERED="1")
    assert server.handle.stdout is not None
    lines = [(await server.handle.stdout.readline()).decode() for _ in range(3)]
    assert sorted(line.split(" at ")[0] for line in lines) == [
        "Foyer is ready", *["Stand-ins are in use for Hunter, Clearbit, Randomdata and Mail"] * 2]
    assert await server.terminate() == 0


async def test_what_is_killed_is_replaced_and_the_other_goes_on(place: Place) -> None:
    server = await place.serve()
    before, [victim, other] = await answering(server.url), children(server)
    os.kill(victim, signal.SIGKILL)
    await until(lambda: victim not in children(server))
    [left] = before & await answering(server.url)
    await until(lambda: two_answer(server.url))
    assert left in await answering(server.url) and other in children(server) and len(children(server)) == 2
    assert await server.terminate() == 0
    [line] = [line for line in place.log() if "error" in line]
    assert line.endswith(f"process {victim} ended with -9; another one takes its place")


async def test_one_that_cannot_start_is_tried_again_until_it_can(place: Place) -> None:
    server = await place.serve()
    name = urlsplit(place.url).path.lstrip("/")
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        os.kill(children(server)[0], signal.SIGKILL)
        await until(lambda: [line for line in place.log() if "ended with 2; another one takes its place" in line])
        assert len(await answering(server.url)) == 1
    finally:
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await until(lambda: two_answer(server.url))
    assert await server.terminate() == 0


async def test_they_end_by_themselves_when_the_one_that_started_them_is_killed(place: Place) -> None:
    server = await place.serve()
    pids = children(server)
    async with asyncio.timeout(STOPS_WITHIN):
        await server.kill()  # waits for its output to be closed, which they hold too
        await until(lambda: not [pid for pid in pids if lives(pid)])
    again = await place.serve("--port", str(urlsplit(server.url).port))
    assert await two_answer(again.url)


@pytest.mark.parametrize(("environ", "said"), [
    ({"FOYER_AUTH_SECRET": "too short"}, "environment FOYER_AUTH_SECRET: [auth] secret: expected 32 characters"),
    ({"FOYER_AUTH_SECRET": ""}, "[auth] secret: must be set with PostgreSQL, the same for all"),
    ({"FOYER_DATABASE_URL": "postgresql://foyer@127.0.0.1:9/foyer"}, "PostgreSQL database cannot be reached"),
    ({"FOYER_SERVER_HOST": "192.0.2.1"}, "[server] host: cannot listen on 192.0.2.1:0"),
    ({"FOYER_DATABASE_URL": "sqlite:foyer.db"}, "[server] workers: more than 1 needs PostgreSQL"),
], ids=["secret too short", "no secret", "no database", "no such address", "SQLite"])
async def test_what_is_unusable_is_told_once(place: Place, environ: dict[str, str], said: str) -> None:
    line = await place.refused("serve", **environ)
    assert line.startswith("foyer: ") and said in line


async def test_a_port_in_use_is_refused(place: Place, listener: int) -> None:
    said = await place.refused("serve", "--port", str(listener))
    assert f"cannot listen on 127.0.0.1:{listener}: it is in use" in said


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_the_port_of_other_processes_is_refused_though_they_share_it(place: Place, workers: str) -> None:
    server = await place.serve()
    port = urlsplit(server.url).port
    said = await place.refused("serve", "--port", str(port), FOYER_SERVER_WORKERS=workers)
    assert f"127.0.0.1:{port}: it is in use" in said


# -- the worker

async def test_a_worker_does_what_servers_without_jobs_leave(place: Place, tmp_path: Path) -> None:
    async with sandbox(tmp_path) as outside:
        server = await place.serve("--no-jobs", **outside)
        async with client(server.url) as api:
            early = (await api.sign_up("early"))["access_token"]
            async with api.session.ws_connect(f"{server.url}/ws?after=0", headers={
                    "Authorization": f"Bearer {early}"}) as listening:
                await frame(listening, "ready")
                metrics = (await api.get("/metrics")).raw.decode()
                assert 'foyer_jobs{kind="enrich",state="ready"} 1.0' in metrics
                assert (await api.get("/api/me/enrichment", token=early)).data["status"] == "queued"
                worker = await place.start("worker", **outside)
                await worker.line(WORKER_READY)
                assert (await frame(listening, "enriched"))["data"]["status"] == "found"
            late = (await api.sign_up("late"))["access_token"]
            await until(lambda: found(api, late))
        async with asyncio.timeout(STOPS_WITHIN):
            assert await worker.terminate() == 0
            assert await server.terminate() == 0
    assert not [line for line in place.log() if "Traceback" in line]


async def found(api: Api, token: str) -> bool:
    """Whether the member has been looked up."""
    return bool((await api.get("/api/me/enrichment", token=token)).data["status"] == "found")


async def test_a_worker_beside_a_server_on_sqlite_is_refused(place: Place, tmp_path: Path) -> None:
    file = {"FOYER_DATABASE_URL": f"sqlite:{tmp_path / 'foyer.db'}", "FOYER_SERVER_WORKERS": "1"}
    await place.serve(**file)
    assert "foyer.db" in await place.refused("worker", **file)


async def test_a_worker_alone_on_sqlite_stops_in_time(place: Place, tmp_path: Path) -> None:
    worker = await place.start("worker", FOYER_DATABASE_URL=f"sqlite:{tmp_path / 'foyer.db'}", FOYER_SERVER_WORKERS="1")
    await worker.line(WORKER_READY)
    async with asyncio.timeout(STOPS_WITHIN):
        assert await worker.terminate() == 0
