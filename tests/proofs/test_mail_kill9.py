"""Mail across kill -9, a mail server that is down, and one that stalls: whoever was told 201 gets the letter."""
from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiosmtpd.controller import Controller

from tests.proofs.book import GONE, Asked, Book, Load, sign_up
from tests.proofs.processes import (
    SANDBOX_READY, Process, Stage, chance, cycles, lasting_port, pause, ready, spawn, staged,
)
from tests.support import PASSWORD, Api, until

CLIENTS = 6
# No other outside service: what is proven here is mail, and nobody has to wait for anything else.
# The public URL stands in the letters, and each start has another port.
QUIET = {"FOYER_SANDBOX_MODE": "off", "FOYER_SERVER_PUBLIC_URL": "https://foyer.example",
         "FOYER_MAIL_FIRST_RETRY": "50 ms", "FOYER_MAIL_LONGEST_RETRY": "200 ms"}


@dataclass
class Sink:
    """A sandbox in a process of its own, which outlives the server."""

    session: aiohttp.ClientSession
    url: str
    smtp: str

    async def arrived(self) -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/mail/messages") as answer:
            return list((await answer.json())["data"])

    async def switch(self, **positions: Any) -> None:
        async with self.session.put(f"{self.url}/_switch/mail", json=positions) as answer:
            assert answer.status == 200, await answer.text()

    async def tried(self) -> int:
        async with self.session.get(f"{self.url}/_calls/mail") as answer:
            return int((await answer.json())["total"])


@asynccontextmanager
async def sink(folder: Path) -> AsyncIterator[Sink]:
    process = await ready(await spawn("sandbox", log=folder / "sandbox-log"), SANDBOX_READY, time.monotonic())
    try:
        await process.line("[mail]")
        smtp = await process.line("url = ")
        async with aiohttp.ClientSession() as session:
            yield Sink(session, process.url, smtp)
    finally:
        await process.terminate()


@asynccontextmanager
async def client(server: Process) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(),
                                     connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Api(session, server.url)


class SignUps:
    """Sign-ups that are asked for again with the same key until they are answered, server after server."""

    def __init__(self, rng: random.Random) -> None:
        self.book, self._rng = Book(), rng
        self.addresses: set[str] = set()

    async def load(self, api: Api) -> None:
        """Signs up one after the other until the server is gone."""
        with suppress(*GONE):
            while True:
                await self._ask(api, sign_up(self._rng))

    async def ask_again(self, api: Api) -> None:
        asked, self.book.unanswered = self.book.unanswered, []
        await asyncio.gather(*(self._ask(api, each) for each in asked))

    async def _ask(self, api: Api, asked: Asked) -> None:
        await Load(api, self.book, self._rng, 0, 1, 0).ask(asked)
        self.addresses.add(asked.body["email"])

    async def some(self, api: Api, number: int) -> None:
        await asyncio.gather(*(self._ask(api, sign_up(self._rng)) for _ in range(number)))


async def administrator(stage: Stage, api: Api) -> str:
    """An access token that may see the mails; `run.py` makes the role."""
    body = {"username": "root", "email": "root@example.org", "password": PASSWORD}
    await api.post("/api/signup", body, headers={"Idempotency-Key": "root-signs-up-once"})
    process = await spawn("admin", "promote", "root", environ=stage.environ, log=stage.log)
    assert await process.handle.wait() == 0
    return str((await api.post("/api/login", {"username": "root", "password": PASSWORD})).data["access_token"])


async def queued(api: Api, token: str) -> int:
    answer = await api.get("/api/admin/mails?status=queued&limit=100", token=token)
    return len(answer.data)


async def judge(api: Api, token: str, sign_ups: SignUps, arrived: list[dict[str, Any]]) -> int:
    """Every acknowledged sign-up's letter has arrived, and what came twice is the same letter; how many did."""
    letters: dict[str, list[Any]] = defaultdict(list)
    for mail in arrived:
        letters[mail["to"][0]].append((mail["message_id"], mail["text"], mail["html"], mail["headers"]))
    missing = sign_ups.addresses - set(letters)
    assert not missing, f"{len(missing)} of {len(sign_ups.addresses)} have got nothing"
    for address, found in letters.items():
        assert all(each == found[0] for each in found), f"{address} has got different letters"
    ids = Counter(found[0][0] for found in letters.values())
    assert set(ids.values()) == {1}, "two members have got a letter with the same Message-ID"
    for status in ("failed", "not_configured", "queued"):
        assert (await api.get(f"/api/admin/mails?status={status}", token=token)).data == [], status
    return sum(len(found) - 1 for found in letters.values())


@pytest.mark.long
async def test_a_letter_of_every_acknowledged_sign_up_arrives(tmp_path: Path) -> None:
    rng, number = chance(), cycles(10)
    sign_ups = SignUps(rng)
    async with sink(tmp_path) as smtp, staged(tmp_path, {**QUIET, "FOYER_MAIL_URL": smtp.smtp}) as stage:
        for _ in range(number):
            async with client(await stage.start()) as api:
                await sign_ups.ask_again(api)
                async with asyncio.TaskGroup() as group:
                    for _ in range(CLIENTS):
                        group.create_task(sign_ups.load(api))
                    await pause(rng.uniform(0.02, 0.25))
                    assert stage.server is not None
                    await stage.server.kill()
        server = await stage.start()
        async with client(server) as api:
            await sign_ups.ask_again(api)
            token = await administrator(stage, api)
            await until(lambda: _none_queued(api, token), 100)
            arrived = await smtp.arrived()
            assert len(arrived) < 1000, "the sink keeps no more: kill sooner"
            twice = await judge(api, token, sign_ups, arrived)
        assert await server.terminate() == 0
        print(f"{number} kills; {len(sign_ups.addresses)} sign-ups acknowledged, each got its letter, {twice} of them "
              f"again with the same Message-ID; {await stage.check()}")
        assert not stage.complaints() and len(sign_ups.addresses) > 3 * number


async def _none_queued(api: Api, token: str) -> bool:
    return await queued(api, token) == 0


class Taken:
    """What a mail server of the test's own has taken: the Message-ID by the recipient."""

    def __init__(self) -> None:
        self.ids: dict[str, list[str]] = defaultdict(list)

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:
        lines = envelope.content.decode().splitlines()
        self.ids[envelope.rcpt_tos[0]] += [line for line in lines if line.startswith("Message-ID:")]
        return "250 OK"


@pytest.mark.long
async def test_a_mail_server_that_was_down_gets_everything_when_it_is_up(tmp_path: Path) -> None:
    port, sign_ups, taken = lasting_port(), SignUps(chance()), Taken()
    async with staged(tmp_path, {**QUIET, "FOYER_MAIL_URL": f"smtp://127.0.0.1:{port}"}) as stage:
        async with client(await stage.start()) as api:
            await sign_ups.some(api, 20)
            token = await administrator(stage, api)
            assert await queued(api, token) == 21
        assert stage.server is not None and await stage.server.terminate() == 0
        server = await stage.start()  # what is queued is found by a new start, with nobody to send it to
        async with client(server) as api:
            await sign_ups.some(api, 20)
            assert await queued(api, token) == 41
            smtp = Controller(taken, hostname="127.0.0.1", port=port)
            await asyncio.to_thread(smtp.start)
            try:
                await until(lambda: _none_queued(api, token), 60)
            finally:
                await asyncio.to_thread(smtp.stop)
            assert set(taken.ids) == {*sign_ups.addresses, "root@example.org"}
            assert {len(ids) for ids in taken.ids.values()} == {1}
        assert await server.terminate() == 0
        assert await stage.check() and not stage.complaints()


@pytest.mark.long
async def test_a_stop_does_not_wait_for_a_mail_server_that_stalls(tmp_path: Path) -> None:
    sign_ups = SignUps(chance())
    async with sink(tmp_path) as smtp, staged(tmp_path, {**QUIET, "FOYER_MAIL_URL": smtp.smtp}) as stage:
        await smtp.switch(deliver=["stall"])
        server = await stage.start()
        async with client(server) as api:
            await sign_ups.some(api, 8)
            await until(smtp.tried)
        began = time.monotonic()
        assert await server.terminate() == 0
        assert time.monotonic() - began < 10
        await smtp.switch(deliver=["250"])
        async with client(await stage.start()) as api:
            token = await administrator(stage, api)
            await until(lambda: _none_queued(api, token), 30)
            assert await judge(api, token, sign_ups, await smtp.arrived()) == 0
            assert stage.server is not None and await stage.server.terminate() == 0
        assert not stage.complaints()
