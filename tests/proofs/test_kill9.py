"""kill -9 under load: what was acknowledged is there, nothing is there twice, and what was begun comes to its end."""
from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.proofs.book import Audit, Book, Load
from tests.proofs.processes import Process, Stage, chance, cycles, median_and_most, pause, sandbox, stand_ins, staged
from tests.support import PASSWORD, Api, until

CLIENTS = 8
SIGN_UPS = 1  # of each client in each cycle: the vendors' rates, which the server keeps, bound how many end in time


@asynccontextmanager
async def client(server: Process) -> AsyncIterator[Api]:
    """A client of a server that may die."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(),
                                     connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Api(session, server.url)


def loads(api: Api, book: Book, rng: random.Random) -> Sequence[Load]:
    return [Load(api, book, rng, share, CLIENTS, SIGN_UPS) for share in range(CLIENTS)]


async def ask_again(api: Api, book: Book, rng: random.Random) -> None:
    """Sends once more, with the same keys, what was not answered."""
    asked, book.unanswered = book.unanswered, []
    await asyncio.gather(*(Load(api, book, rng, 0, 1, 0).ask(each) for each in asked))


async def cycle(stage: Stage, book: Book, rng: random.Random) -> None:
    """From a start to the kill, with what the kill before has left compared first."""
    server = await stage.start()
    async with client(server) as api:
        await Audit(api, book).latest()
        await ask_again(api, book, rng)
        await book.open_letters(api, stand_ins(stage.environ))
        async with asyncio.TaskGroup() as group:
            for load in loads(api, book, rng):
                group.create_task(load.run())
            await pause(rng.uniform(0.05, 0.5))
            await server.kill()


async def killed_while_starting(stage: Stage, rng: random.Random) -> None:
    server = await stage.spawn()
    await pause(rng.uniform(0.1, 0.6))
    await server.kill()


async def judge(api: Api, book: Book, sandbox: str) -> None:
    """The whole proof, on the server that was not killed."""
    audit = Audit(api, book)
    for member in book.members:
        await until(partial(audit.ended, member), 100)  # where others may be working, a lease of 60 s ends first
    await audit.everything()
    await book.open_letters(api, sandbox)
    for member in book.members:
        await audit.told(member)
        await audit.written_to(member)
    for member in book.members[::10]:
        assert (await api.post("/api/login", {"username": member.name, "password": PASSWORD})).status == 200


@pytest.mark.long
async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    rng, book, number = chance(), Book(), cycles(25)
    async with sandbox(tmp_path) as pointed, staged(tmp_path, {**pointed, "FOYER_HUNTER_TIMEOUT": "100 ms"}) as stage:
        for at in range(number):
            if at % 5 == 4:
                await killed_while_starting(stage, rng)
            await cycle(stage, book, rng)
        server = await stage.start()
        async with client(server) as api:
            await ask_again(api, book, rng)
            await judge(api, book, stand_ins(pointed))
        assert await server.terminate() == 0
        print(f"{number} kills under load, {number // 5} while starting; {book.line()}; "
              f"{len(book.members)} enrichments ended; restart to ready {median_and_most(stage.starts)}; "
              f"{await stage.check()}")
        assert not stage.complaints()
        assert book.counts.total() > 20 * number
