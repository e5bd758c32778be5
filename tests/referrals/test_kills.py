"""kill -9 while two hundred sign up through one code: whoever was not answered asks again with the same key, and in the
end exactly as many rewards as are due were paid."""
from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import postgres
from tests.proofs.book import GONE
from tests.proofs.processes import Process, Stage, chance, cycles, median_and_most, staged
from tests.referrals.test_crowd import MANY, newcomer
from tests.referrals.test_routes import code_of, credited, standing
from tests.support import Answer, Api

CLIENTS = 12
ENVIRON = {"FOYER_SANDBOX_MODE": "off", "FOYER_REFERRALS_PER_DAY": "0"}


@asynccontextmanager
async def client(server: Process) -> AsyncIterator[Api]:
    """A client of a server that may die."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(),
                                     connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Api(session, server.url)


@dataclass
class Crowd:
    """Who has not been answered yet, and who has."""

    code: str
    waiting: deque[int] = field(default_factory=lambda: deque(range(MANY)))
    answered: dict[int, Answer] = field(default_factory=dict)
    again: int = 0

    async def come(self, api: Api) -> None:
        """Signs up one after the other, until nobody waits or the server is gone."""
        while self.waiting:
            number = self.waiting.popleft()
            try:
                answer = await api.post("/api/signup", newcomer(number, self.code),
                                        headers={"Idempotency-Key": f"crowd-{number}"})
            except GONE:
                self.again += 1
                self.waiting.append(number)
                return
            if answer.status >= 500:  # the database has gone first
                self.again += 1
                self.waiting.append(number)
                continue
            assert answer.status == 201 and answer.data["referral"] == {"status": "applied"}, answer.body
            self.answered[number] = answer

    async def come_until(self, api: Api, kill: Callable[[], Any], most: int) -> None:
        """Many come at once; the server is killed as soon as so many more have been answered."""
        end = len(self.answered) + most
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(self.come(api)) for _ in range(CLIENTS)]
            while len(self.answered) < end and not all(each.done() for each in clients):
                await asyncio.wait(clients, timeout=0.002)
            await kill()

    async def judge(self, api: Api, inviter: Any) -> None:
        """The whole proof."""
        assert sorted(self.answered) == list(range(MANY))
        found = await standing(api, inviter)
        assert [found[name] for name in ("invited", "counted", "rewarded", "balance")] == [
            MANY, MANY, MANY // 5, 1000 * MANY // 5]
        assert [news["balance"] for news in await credited(api, inviter)] == [
            1000 * n for n in range(1, MANY // 5 + 1)]
        for answer in self.answered.values():
            own = await credited(api, answer.data)
            assert [news["reason"] for news in own] == ["invitee_reward"]
            assert (await standing(api, answer.data))["balance"] == 1000


def moments(rng: random.Random, number: int) -> list[int]:
    """After how many answers to kill, each time."""
    return [rng.randrange(1, MANY // number) for _ in range(number)]


@pytest.mark.long
async def test_killed_in_the_middle_again_and_again(tmp_path: Path) -> None:
    rng = chance()
    async with staged(tmp_path, ENVIRON) as stage:
        server = await stage.start()
        async with client(server) as api:
            ada = await api.sign_up()
        crowd = Crowd(code_of(ada))
        for most in moments(rng, cycles(6)):
            async with client(server) as api:
                await crowd.come_until(api, server.kill, most)
            server = await stage.start()
        async with client(server) as api:
            await asyncio.gather(*(crowd.come(api) for _ in range(CLIENTS)))
            await crowd.judge(api, ada)
        assert await server.terminate() == 0
        print(f"{crowd.again} asked again; restart to ready {median_and_most(stage.starts)}; {await stage.check()}")
        assert crowd.again > 0 and not stage.complaints()


def shared(tmp_path: Path) -> Mapping[str, str]:
    """What two processes on one PostgreSQL have in common."""
    return {**ENVIRON, "FOYER_DATABASE_URL": postgres.database_of(tmp_path),
            "FOYER_AUTH_SECRET": "the secret that both of them have"}


@asynccontextmanager
async def two(tmp_path: Path) -> AsyncIterator[list[Stage]]:
    """Two processes' stages on one PostgreSQL."""
    environ, folders = shared(tmp_path), [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    async with staged(folders[0], environ) as first, staged(folders[1], environ) as second:
        yield [first, second]


@pytest.mark.long
async def test_two_processes_on_one_postgresql_and_one_of_them_killed(tmp_path: Path) -> None:
    rng = chance()
    async with two(tmp_path) as stages:
        servers = [await stage.start() for stage in stages]
        async with client(servers[0]) as api, client(servers[1]) as other:
            ada = await api.sign_up()
            crowd = Crowd(code_of(ada))
            async with asyncio.TaskGroup() as group:
                for _ in range(CLIENTS):
                    group.create_task(crowd.come(other))
                await crowd.come_until(api, servers[0].kill, rng.randrange(1, MANY // 4))
            assert len(crowd.answered) + len(crowd.waiting) == MANY
            servers[0] = await stages[0].start()
        async with client(servers[0]) as api, client(servers[1]) as other:
            await asyncio.gather(*(crowd.come(each) for each in (api, other) for _ in range(CLIENTS)))
            await crowd.judge(other, ada)
        assert [await server.terminate() for server in servers] == [0, 0]
        print(f"{crowd.again} asked again; {await stages[0].check()}")
        assert not [line for stage in stages for line in stage.complaints()]


@pytest.mark.long
async def test_two_processes_on_one_postgresql(tmp_path: Path) -> None:
    async with two(tmp_path) as stages:
        servers = [await stage.start() for stage in stages]
        async with client(servers[0]) as api, client(servers[1]) as other:
            ada = await api.sign_up()
            crowd = Crowd(code_of(ada))
            began = time.monotonic()
            await asyncio.gather(*(crowd.come(each) for _ in range(MANY // 2) for each in (api, other)))
            print(f"{MANY} in {time.monotonic() - began:.1f} s, {crowd.again} asked again")
            await crowd.judge(api, ada)
        assert [await server.terminate() for server in servers] == [0, 0]
        assert "hold" in await stages[0].check()
        assert not [line for stage in stages for line in stage.complaints()]
