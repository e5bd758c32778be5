"""Checks of files across kill -9 of the server, of flake8's parent and of its children: each ends, exactly once."""
from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.ops.disk import small_disk
from tests.proofs.book import GONE
from tests.proofs.processes import Process, Stage, chance, cycles, pause, staged
from tests.proofs.test_mail_kill9 import client
from tests.support import Api, until
from tests.web.hostile import FILE, file_body

MEMBERS = 4
ASKED = 25  # uploads of a member before each kill: so many that some always wait
QUIET = {"FOYER_SANDBOX_MODE": "off", "FOYER_CHECKS_FILES_PER_MEMBER": "100000"}
# What comes of each, whatever is killed meanwhile.
SOURCES = {"passed": b"x = 1\n" * 200, "violations": b"import os\n" + b"y = 2\n" * 200,
           "error": b"# coding: nonsense\n"}
# What a check may say whose process was killed: nobody knows that the file was not to blame.
KILLED = "the check was killed"


def children(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    found: list[int] = []
    with suppress(OSError):
        for line in (Path(f"/proc/{pid}/task") / str(pid) / "children").read_text().split():
            found += [int(line), *children(int(line))]
    return found


class Member:
    """One member, and what the server has told them of their files."""

    def __init__(self, name: str) -> None:
        self.name, self.token, self.killed, self.kind = name, "", 0, ""
        self.files: dict[int, str] = {}
        self.asked: Counter[int] = Counter()  # acknowledged checks of each file
        self.key, self.body = "", b""

    async def sign_in(self, api: Api) -> None:
        """Signs up once; the token that is used from now on."""
        body = {"username": self.name, "email": f"{self.name}@example.org", "password": "corr3ct-horse"}
        if not self.token:
            self.token = (await api.post("/api/signup", body)).data["access_token"]
            await api.call("PATCH", "/api/me", json={"mail_checks": False}, token=self.token)

    async def load(self, api: Api, rng: random.Random) -> None:
        """Uploads, and asks for checks, until that is enough or the server is gone."""
        with suppress(*GONE):
            for _ in range(ASKED):
                await self.upload(api, rng)
                if self.files and rng.random() < 0.2:
                    await self.ask_again(api, rng.choice(list(self.files)))

    async def upload(self, api: Api, rng: random.Random) -> None:
        """With the same key and file until it is answered."""
        if not self.key:
            self.kind = rng.choice(list(SOURCES))
            self.key, self.body = secrets.token_hex(8), SOURCES[self.kind] + b"# %d\n" % rng.randrange(50)
        answer = await api.call("POST", "/api/files", token=self.token, data=file_body(self.body),
                                headers={**FILE, "Idempotency-Key": self.key})
        if answer.status == 201:
            self.files[answer.data["id"]] = self.kind
            self.asked[answer.data["id"]] += 1
        assert answer.status in (201, 503), answer.body
        self.key = "" if answer.status == 201 else self.key

    async def ask_again(self, api: Api, file: int) -> None:
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        for _ in range(2):  # the second time it is the same check
            answer = await api.post(f"/api/files/{file}/checks", token=self.token, headers=headers)
        if answer.status == 202:
            self.asked[file] += 1

    async def idle(self, api: Api) -> bool:
        """Whether none of their files waits."""
        return all(file["status"] not in ("pending", "running") for file in await self._all(api, "/api/files"))

    async def judge(self, api: Api) -> int:
        """Each acknowledged check is in the history, has ended as it must, and was told once; how many."""
        files = {file["id"]: file for file in await self._all(api, "/api/files")}
        assert set(self.files) <= set(files), "an acknowledged file is lost"
        events = Counter(event["data"]["check_id"] for event in await self._all(api, "/api/events", "after=0")
                         if event["type"] == "file_checked")
        checks: list[Any] = []
        for id_, file in files.items():
            history = await self._all(api, f"/api/files/{id_}/checks")
            assert len(history) >= self.asked[id_] and file["status"] == history[0]["status"]
            checks += history
            for check in history:
                self._judge_verdict(self.files.get(id_), check)
        assert events == Counter(check["id"] for check in checks), "not exactly one event for each check"
        return len(checks)

    def _judge_verdict(self, right: str | None, check: Any) -> None:
        was_killed = check["status"] == "error" and check["reason"] == KILLED
        self.killed += was_killed
        assert was_killed or right in (None, check["status"]), (right, check["status"], check["reason"])

    async def _all(self, api: Api, path: str, query: str = "") -> list[Any]:
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            answer = await api.get(f"{path}?limit=100&{query}{cursor and '&cursor=' + cursor}", token=self.token)
            found += answer.data
            cursor = answer.body["next"]
        return found


class Killer:
    """Kills flake8's processes from time to time."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.parents = self.children = 0

    async def work(self, server: Process) -> None:
        while server.handle.returncode is None:
            await pause(self._rng.uniform(0.2, 0.7))
            self._kill(server.handle.pid)

    def _kill(self, pid: int) -> None:
        parents = [each for each in children(pid) if b"cell" in _command(each)]
        if len(parents) > 1 and self._rng.random() < 0.7:
            self.children += _killed(self._rng.choice(parents[1:]))
        elif parents:
            self.parents += _killed(parents[0])


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _killed(pid: int) -> int:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return 1
    return 0


async def cycle(stage: Stage, members: list[Member], rng: random.Random, killer: Killer | None) -> list[int]:
    """From a start to the kill; flake8's processes at that moment."""
    server = await stage.start()
    async with client(server) as api:
        for member in members:
            await member.sign_in(api)
        async with asyncio.TaskGroup() as group:
            for member in members:
                group.create_task(member.load(api, rng))
            killing = group.create_task(killer.work(server)) if killer else None
            await pause(rng.uniform(0.3, 1.2) if killer is None else rng.uniform(1, 3))
            left = children(server.handle.pid)
            await server.kill()
            if killing:
                killing.cancel()
    return left


async def _everybody_idle(api: Api, members: list[Member]) -> bool:
    await pause(0.2)
    return all([await member.idle(api) for member in members])


def _gone(pids: list[int]) -> bool:
    return not any(b"cell" in _command(pid) for pid in pids)


@pytest.mark.long
@pytest.mark.parametrize("cell_too", [False, True])
async def test_each_check_ends_and_is_told_exactly_once(tmp_path: Path, cell_too: bool) -> None:
    rng, number = chance(), cycles(6)
    members = [Member(f"member{number}") for number in range(MEMBERS)]
    killer = Killer(rng) if cell_too else None
    async with staged(tmp_path, QUIET) as stage:
        for _ in range(number):
            left = await cycle(stage, members, rng, killer)
            await until(lambda: _gone(left), 15)
        server = await stage.start()
        async with client(server) as api:
            for member in members:
                if member.key:
                    await member.upload(api, rng)
            await until(lambda: _everybody_idle(api, members), 100)
            checks = sum([await member.judge(api) for member in members])
        left = children(server.handle.pid)
        assert await server.terminate() == 0
        await until(lambda: _gone(left), 15)
        broken = sum(member.killed for member in members)
        killed = f"{killer.parents} parents and {killer.children} children ({broken} say so), " if killer else ""
        print(f"{killed}{number} servers killed; {checks} checks ended and were told once each; {await stage.check()}")
        assert not stage.complaints() and checks > 20 * number
        assert (killer.parents and killer.children) if killer else not broken


@pytest.mark.long
@pytest.mark.sqlite
async def test_a_full_disk_ends_no_check_wrongly(tmp_path: Path) -> None:
    rng, member = chance(), Member("ada")
    with small_disk(tmp_path / "disk") as disk:
        async with staged(disk.folder, QUIET) as stage:
            stage.log = tmp_path / "log"
            server = await stage.start()
            async with client(server) as api:
                await member.sign_in(api)
                for _ in range(20):
                    await member.upload(api, rng)
                disk.fill(stage)
                for _ in range(10):
                    await member.upload(api, rng)
                assert member.key, "the disk was not full"
                disk.free(stage)

                async def uploaded() -> bool:
                    await member.upload(api, rng)
                    return not member.key
                await until(uploaded, 30)
                await until(lambda: _everybody_idle(api, [member]), 60)
                assert await member.judge(api) == sum(member.asked.values())
            assert await server.terminate() == 0
            assert await stage.check()
