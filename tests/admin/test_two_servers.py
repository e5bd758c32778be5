"""Two servers on one PostgreSQL: who is suspended through one is out on the other within a second."""
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.accounts import queries
from server.accounts.service import Visitor
from server.storage import Tx
from tests import postgres
from tests.accounts.letters import login
from tests.admin.conftest import QUIET
from tests.admin.support import Desk, rows, whole
from tests.admin.test_suspension import ACTIVE, OPEN, SECOND, opening, out
from tests.support import Served, close_code, frame, settings, start, until
from tests.ws.event_source import listening

WAITING = """
    SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"""


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Served, Served]]:
    url = postgres.database_of(tmp_path)
    given = {"database.url": url, "auth.secret": "the secret that both of them have", **QUIET}
    started: list[Served] = []
    try:
        for _ in range(2):
            started.append(await start(settings(tmp_path, given)))
        yield started[0], started[1]
    finally:
        for each in started:
            await each.stop()


async def test_all_that_is_open_on_the_other_ends(two: tuple[Served, Served]) -> None:
    here, there = two
    desk, ada = await Desk.of(here), await there.api.sign_up("ada")
    assert (await there.api.get("/api/me", token=ada["access_token"])).status == 200
    sockets = [await there.socket(ada["access_token"]) for _ in range(3)]
    for socket in sockets:
        await frame(socket, "ready")
    async with listening(there, ada) as stream:
        began = time.monotonic()
        await desk.suspend(ada["user"]["id"])
        assert await stream.farewell() == 4401
        assert [await close_code(socket) for socket in sockets] == [4401] * 3
        assert time.monotonic() - began < SECOND
    for served in two:
        await out(served, ada)
    await desk.restore(ada["user"]["id"])
    assert (await there.api.get("/api/me", token=(await login(there)).data["access_token"])).status == 200
    for served in two:
        await out(served, ada)
    await whole(here)


async def test_a_token_without_a_socket_is_refused_too(two: tuple[Served, Served]) -> None:
    here, there = two
    desk, ada = await Desk.of(here), await there.api.sign_up("ada")
    assert (await there.api.get("/api/me", token=ada["access_token"])).status == 200
    await desk.suspend(ada["user"]["id"])

    async def refused() -> bool:
        return (await there.api.get("/api/me", token=ada["access_token"])).status == 401
    await until(refused, SECOND)


async def test_no_socket_of_the_other_survives_that_opens_in_the_same_moment(two: tuple[Served, Served]) -> None:
    desk = await Desk.of(two[0])
    for number in range(4):
        await opening(desk, two[1], f"ada-{number}")


async def test_a_session_that_is_opened_beside_it_is_ended(two: tuple[Served, Served]) -> None:
    here, there = two
    desk = await Desk.of(here)
    ada = (await here.api.sign_up("ada"))["user"]["id"]
    account = await there.foyer.database.read(queries.account_by_name, "ada")
    assert account is not None
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Tx) -> Any:
        signed_in = await there.foyer.accounts.log_in(tx, account, None, Visitor("a device", "192.0.2.1"))
        inside.set()
        await go_on.wait()
        return signed_in
    opening = asyncio.create_task(there.foyer.database.write(slow))
    await inside.wait()
    suspending = asyncio.create_task(desk.suspend(ada))
    url = here.settings.database.url
    await until(lambda: suspending.done() or postgres.execute(WAITING, url) != "SELECT 0")
    go_on.set()
    await opening
    assert (await suspending)["suspended_at"] is not None
    assert await rows(here, OPEN) == []


async def test_of_two_who_suspend_each_other_through_two_servers_one_stays(two: tuple[Served, Served]) -> None:
    first, second = await Desk.of(two[0], "first"), await Desk.of(two[1], "second")
    answers = await asyncio.gather(first.post(f"users/{second.id}/suspend"), second.post(f"users/{first.id}/suspend"))
    assert sorted(answer.status for answer in answers) in ([200, 401], [200, 403])
    assert len(await rows(two[0], ACTIVE)) == 1
