"""Two servers and a worker on one PostgreSQL, each of which is killed, the database included: nothing acknowledged is
lost, nothing is done twice, sockets come back by themselves, and the servers do as soon as the database is there."""
from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.client import FoyerClient
from tests.postgres import Cluster
from tests.proofs.book import Audit, Book, Load
from tests.proofs.processes import READY, Process, chance, cycles, lasting_port, median_and_most, pause, ready
from tests.proofs.processes import sandbox, spawn, stand_ins
from tests.proofs.test_kill9 import ask_again
from tests.support import PASSWORD, Answer, Api, until

CLIENTS = 6
WORKER_READY = "Foyer's worker is ready"
BACK = 10.0  # seconds after the database, in which both servers must be ready
SIGN_UPS = 1


class Insistent(Api):
    """A client to whom 503 is no answer: nobody knows whether it was done."""

    async def call(self, method: str, path: str, **options: Any) -> Answer:  # type: ignore[override]
        answer = await super().call(method, path, **options)
        if answer.status == 503:
            raise aiohttp.ClientConnectionError("503")
        return answer


class Town:
    """The processes on one database."""

    def __init__(self, folder: Path, cluster: Cluster, outside: dict[str, str]) -> None:
        self._log, self.cluster = folder / "log", cluster
        self._environ = {
            **outside, "FOYER_DATABASE_URL": cluster.url, "FOYER_AUTH_SECRET": "a secret of all processes, 32 or more",
            "FOYER_AUTH_BCRYPT_COST": "4", "FOYER_LIMITS_ENABLED": "no", "FOYER_HUNTER_TIMEOUT": "100 ms",
            "FOYER_ENRICHMENT_FIRST_RETRY": "50 ms", "FOYER_ENRICHMENT_LONGEST_RETRY": "200 ms",
            "FOYER_ENRICHMENT_ATTEMPTS": "30"}
        self.sandbox = stand_ins(outside)
        self.ports = [lasting_port(), lasting_port()]
        self.servers: list[Process] = []
        self.worker: Process | None = None
        self.back: list[float] = []

    async def start_server(self, at: int) -> Process:
        """A server at its port; the first one also does background work."""
        began = time.monotonic()
        jobs = [] if at == 0 else ["--no-jobs"]
        process = await spawn("serve", "--port", str(self.ports[at]), *jobs, environ=self._environ, log=self._log)
        self.servers[at:at + 1] = [process]
        return await ready(process, READY, began)

    async def start_worker(self) -> None:
        """The worker."""
        self.worker = await spawn("worker", environ=self._environ, log=self._log)
        await self.worker.line(WORKER_READY)

    async def kill_database(self) -> None:
        """`pg_ctl stop -m immediate`, and a start; notes how long the servers need from there."""
        await asyncio.to_thread(self.cluster.stop, "immediate")
        await asyncio.to_thread(self.cluster.start)
        began = time.monotonic()
        async with aiohttp.ClientSession() as session:
            await until(partial(self._ready, session), BACK)
        self.back.append(time.monotonic() - began)

    async def _ready(self, session: aiohttp.ClientSession) -> bool:
        return all([(await Api(session, server.url).get("/readyz")).status == 200 for server in self.servers])

    async def stop(self) -> list[int]:
        """Stops all in order; the exit codes."""
        assert self.worker is not None
        return [await process.terminate() for process in (*self.servers, self.worker)]

    async def kill(self) -> None:
        """For the end of a test that failed."""
        for process in (*self.servers, self.worker):
            if process is not None:
                await process.kill()

    async def check(self) -> str:
        """`run.py check`, which must find nothing."""
        process = await spawn("check", environ=self._environ, log=self._log)
        printed, _ = await process.handle.communicate()
        assert process.handle.returncode == 0, printed.decode()
        return printed.decode().strip()

    def faults(self) -> list[str]:
        """Tracebacks in the log."""
        return [line for line in self._log.read_text(errors="replace").splitlines() if "Traceback" in line]


@asynccontextmanager
async def town(folder: Path) -> AsyncIterator[Town]:
    """Two servers and a worker on a PostgreSQL of their own."""
    async with AsyncExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="foyer-pg-", dir="/tmp"))
        cluster = Cluster(Path(place))
        cluster.make()
        cluster.start()
        stack.callback(lambda: cluster.running and cluster.stop("immediate"))
        made = Town(folder, cluster, await stack.enter_async_context(sandbox(folder)))
        stack.push_async_callback(made.kill)
        for at in range(2):
            await made.start_server(at)
        await made.start_worker()
        yield made


class Follower:
    """A member with a socket that nobody opens again but the public client itself."""

    def __init__(self, url: str) -> None:
        self._url, self.seqs = url, []  # type: ignore[var-annotated]
        self.name = f"follower{url.rpartition(':')[2]}"
        self.token, self.post = "", 0

    async def arrive(self, api: Api) -> None:
        """Signs up and writes something to be liked."""
        session = await api.sign_up(self.name)
        self.token = session["access_token"]
        self.post = (await api.write_post(self.token))["id"]

    async def follow(self) -> None:
        """Listens until it is cancelled."""
        async with FoyerClient(self._url) as foyer:
            await foyer.login(self.name, PASSWORD)
            async with foyer.events(after=0) as events:
                async for event in events:
                    self.seqs.append(event.seq)


async def _victim(scene: Town, at: int, kind: str) -> None:
    """One of them is killed, and comes back."""
    if kind == "database":
        await scene.kill_database()
    elif kind == "worker":
        assert scene.worker is not None
        await scene.worker.kill()
        await scene.start_worker()
    else:
        await scene.servers[at].kill()
        await scene.start_server(at)


async def _cycle(scene: Town, apis: list[Insistent], book: Book, rng: random.Random, kind: str, at: int) -> None:
    await ask_again(apis[0], book, rng)
    await book.open_letters(apis[0], scene.sandbox)
    async with asyncio.TaskGroup() as group:
        for share in range(CLIENTS):
            group.create_task(Load(apis[share % 2], book, rng, share, CLIENTS, SIGN_UPS).run())
        await pause(rng.uniform(0.2, 0.5))
        await _victim(scene, at, kind)
        # Those whose server was not the victim go on; the end of the cycle is a break of theirs.
        for api in apis:
            api.url = "http://127.0.0.1:1"
    for api, server in zip(apis, scene.servers):
        api.url = server.url


@pytest.mark.long
async def test_any_of_them_may_be_killed(tmp_path: Path) -> None:
    rng, book, number, kinds = chance(), Book(), cycles(20), Counter[str]()
    async with town(tmp_path) as scene, aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)) as session:
        apis = [Insistent(session, server.url) for server in scene.servers]
        followers = [Follower(server.url) for server in scene.servers]
        for follower, api in zip(followers, reversed(apis)):
            await follower.arrive(api)
        following = [asyncio.create_task(follower.follow()) for follower in followers]
        try:
            for _, (kind, at) in zip(range(number), itertools.cycle(
                    [("server", 0), ("database", 0), ("worker", 0), ("server", 1)])):
                kinds[kind] += 1
                await _cycle(scene, apis, book, rng, kind, at)
            await ask_again(apis[0], book, rng)
            await _judge(apis, book, followers, scene.sandbox)
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
        found = await scene.check()
        assert await scene.stop() == [0, 0, 0]
        print(f"{dict(kinds)} killed; {book.line()}; servers ready behind the database {median_and_most(scene.back)}; "
              f"{found}")
        assert not scene.faults()
        assert book.counts.total() > 10 * number


async def _judge(apis: list[Insistent], book: Book, followers: list[Follower], sink: str) -> None:
    audits = [Audit(api, book) for api in apis]
    for at, member in enumerate(book.members):
        await until(partial(audits[at % 2].ended, member), 100)  # the lease of one that was killed is 60 s
    await book.open_letters(apis[0], sink)
    strangers = {follower.post for follower in followers}
    for audit in audits:
        await audit.everything(besides=strangers)
    for at, member in enumerate(book.members):
        await audits[at % 2].told(member)
        await audits[at % 2].written_to(member)
    for follower, api in zip(followers, apis):
        for member in book.members[:20]:
            await api.call("PUT", f"/api/posts/{follower.post}/like", token=member.token)
        newest = (await api.get("/api/events?after=0&limit=100", token=follower.token)).data[-1]["seq"]
        await until(lambda: follower.seqs and follower.seqs[-1] == newest, 20)  # noqa: B023
        assert follower.seqs == list(range(1, newest + 1))
