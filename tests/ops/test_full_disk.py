"""A disk that is full, from end to end: a real server process, sockets, background work, and the log."""
from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.core.errors import StorageUnavailable
from server.storage.sqlite import SqliteDatabase
from tests.ops.disk import Disk, small_disk
from tests.proofs.processes import Stage, sandbox, staged
from tests.storage.test_full_disk import Writer, limit_pages
from tests.support import PASSWORD, Answer, Api, Served, frame, until
from tests.web.hostile import FILE, file_body, upload

pytestmark = pytest.mark.sqlite
HEALED = 10.0  # seconds
ANSWER = 1.0  # how long the provider takes
TITLE = {"title": "A title", "text": "x" * 1000}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk."""
    with small_disk(tmp_path / "disk") as made:
        yield made


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Settings that point at stand-ins in a process of their own."""
    async with sandbox(tmp_path) as environ:
        yield environ


class Scene:
    """A server on a small disk, and who uses it."""

    def __init__(self, disk: Disk, stage: Stage, session: aiohttp.ClientSession, outside: dict[str, str]) -> None:
        self.disk, self.stage, self._session = disk, stage, session
        self._sandbox = outside["FOYER_CLEARBIT_URL"].removesuffix("/clearbit")
        self.writer = Writer(self.api)

    @property
    def api(self) -> Api:
        """A client of the server of the moment."""
        assert self.stage.server is not None
        return Api(self._session, self.stage.server.url)

    async def slow_answers(self) -> None:
        """The provider takes its time from now on."""
        await self.api.switch(self._sandbox, "clearbit", find=["found"], delay=ANSWER)

    async def asked(self, email: str) -> int:
        """How often the provider was asked about somebody."""
        return int((await self.api.calls(self._sandbox, "clearbit", email))["total"])

    async def socket(self, token: str) -> aiohttp.ClientWebSocketResponse:
        """A member's socket."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self._session.ws_connect(self.api.url + "/ws", headers=headers)

    async def writes(self) -> Any:
        """What /readyz says of writing, which must not make it unready."""
        answer = await self.api.get("/readyz")
        assert answer.status == 200 and answer.data["database"] == "ok"
        return answer.data["writes"]

    def log(self) -> list[str]:
        """The lines of the log."""
        return self.stage.log.read_text().splitlines()

    async def refusals(self, number: int) -> list[Answer]:
        """The answers to writes while nothing fits."""
        answers = [answer for _ in range(number // 20) for answer in await self.writer.posts(20)]
        assert {(answer.status, answer.code) for answer in answers} == {(503, "unavailable")}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
        return answers


@pytest.fixture
async def scene(disk: Disk, outside: dict[str, str], tmp_path: Path) -> AsyncIterator[Scene]:
    """A server on the small disk, with a member who writes."""
    async with staged(disk.folder, outside) as stage, aiohttp.ClientSession() as session:
        stage.log = tmp_path / "log"
        await stage.start()
        made = Scene(disk, stage, session, outside)
        await made.writer.sign_up()
        yield made


async def test_reading_goes_on_and_nothing_acknowledged_is_lost(scene: Scene) -> None:
    writer, api = scene.writer, scene.api
    assert {answer.status for answer in await writer.posts(40)} == {201}
    socket = await scene.socket(writer.token)
    await frame(socket, "ready")
    begun = asyncio.gather(*(writer.posts(20) for _ in range(10)))
    scene.disk.fill(scene.stage)
    assert {answer.status for answers in await begun for answer in answers} <= {201, 503}
    await scene.refusals(40)
    assert await scene.writes() == "full" and (await api.get("/livez")).status == 200
    assert await writer.kept() == writer.acknowledged
    assert (await api.get("/api/me", token=writer.token)).status == 200
    login = await api.post("/api/login", {"username": "ada", "password": PASSWORD})
    assert (login.status, login.code) == (503, "unavailable")
    await socket.send_json({"type": "ping"})
    while (await socket.receive_json(timeout=5))["type"] != "pong":
        pass
    other = await scene.socket(writer.token)
    await frame(other, "ready")
    scene.disk.free(scene.stage)
    begin = time.monotonic()
    await until(lambda: _all_written(writer), HEALED)
    assert await scene.writes() == "ok" and time.monotonic() - begin < HEALED
    await socket.close()
    await other.close()
    assert await writer.kept() == writer.acknowledged
    assert scene.stage.server is not None and await scene.stage.server.terminate() == 0
    await scene.stage.start()
    writer._api = scene.api
    assert await writer.kept() == writer.acknowledged
    assert scene.stage.server is not None and await scene.stage.server.terminate() == 0
    await scene.stage.check()
    assert not scene.stage.complaints()


async def _all_written(writer: Writer) -> bool:
    return {answer.status for answer in await writer.posts(5)} == {201}


async def test_work_that_ends_meanwhile_is_kept_and_told_once(scene: Scene) -> None:
    """The provider was asked before, and answers while nothing can be written; it is not asked again."""
    await scene.slow_answers()
    names = [f"member{number}" for number in range(5)]
    sessions = [await scene.api.sign_up(name) for name in names]
    await until(lambda: _each(scene, names, 1))
    scene.disk.fill(scene.stage)
    await scene.refusals(20)
    await until(lambda: sum("cannot store its result now" in line for line in scene.log()) >= len(names))
    scene.disk.free(scene.stage)
    for session in sessions:
        socket = await scene.socket(session["access_token"])
        await frame(socket, "ready")
        assert (await frame(socket, "enriched", HEALED))["data"]["status"] == "found"
        await socket.close()
        told = (await scene.api.get("/api/events?after=0", token=session["access_token"])).data
        assert Counter(event["type"] for event in told)["enriched"] == 1
    assert await _each(scene, names, 1)
    assert not scene.stage.complaints()


async def _each(scene: Scene, names: list[str], times: int) -> bool:
    return [await scene.asked(f"{name}@example.org") for name in names] == [times] * len(names)


async def test_files_that_are_checked_meanwhile_are_told_of_once(scene: Scene) -> None:
    api, token = scene.api, scene.writer.token
    sources = [b"import os\nA = 1\n" + b"B = A\n" * lines for lines in range(3000, 3006)]
    files = [(await upload(api, token, source))["id"] for source in sources]
    scene.disk.fill(scene.stage)
    await scene.refusals(20)
    refused = await api.call("POST", "/api/files", token=token, data=file_body(b"#" * 10_000), headers=FILE)
    assert (refused.status, refused.code) == (503, "unavailable") and int(refused.headers["Retry-After"]) > 0
    kept = (await api.get("/api/files", token=token)).data
    assert [file["id"] for file in kept] == files[::-1] and {file["status"] for file in kept} & {"pending", "running"}
    scene.disk.free(scene.stage)

    async def ended() -> bool:
        return {file["status"] for file in (await api.get("/api/files", token=token)).data} == {"violations"}
    await until(ended, 3 * HEALED)
    told = [event for event in (await api.get("/api/events?after=0", token=token)).data
            if event["type"] == "file_checked"]
    assert Counter(event["data"]["file_id"] for event in told) == dict.fromkeys(files, 1)
    for file in files:
        (check,) = (await api.get(f"/api/files/{file}/checks", token=token)).data
        assert check["counts"] == {"F401": 1}
    assert not scene.stage.complaints()


async def test_the_log_is_not_flooded(scene: Scene) -> None:
    scene.disk.fill(scene.stage)
    await scene.refusals(1000)
    lines = scene.log()
    assert any("database or disk is full" in line or "disk I/O error" in line for line in lines)
    assert any("POST /api/posts -> 503" in line for line in lines)
    assert len(lines) < 200
    scene.disk.free(scene.stage)


@pytest.mark.parametrize("environ, wrong", [
    ({}, r"\[auth\] secret: \S+ cannot be used: .*No space left on device"),
    ({"FOYER_AUTH_SECRET": "s" * 40}, r"\[randomdata\] card_key: \S+ cannot be used: .*No space left on device"),
    ({"FOYER_AUTH_SECRET": "s" * 40, "FOYER_RANDOMDATA_CARD_KEY": "k" * 40},
     r"\[database\] url: \S+ cannot be opened: database or disk is full")])
async def test_a_start_on_a_full_disk_says_what_is_wrong(disk: Disk, tmp_path: Path, environ: dict[str, str],
                                                         wrong: str) -> None:
    async with staged(disk.folder, environ) as stage:
        stage.log = tmp_path / "log"
        if type(disk) is Disk:
            disk.fill(stage)
            process = await stage.spawn()
            assert await process.handle.wait() == 2
            assert re.search(wrong, stage.log.read_text()) and not stage.complaints()
            assert {path.name for path in disk.folder.glob("foyer.key*")} <= {"foyer.key"}
            disk.free(stage)
        await stage.start()


async def test_full_until_there_is_room_for_more_than_a_little(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small write fits where a larger one was refused; that must not look as if all were well."""
    database, api = server.foyer.database, server.api
    assert isinstance(database, SqliteDatabase)
    token = (await api.sign_up())["access_token"]
    await limit_pages(database, 0)

    async def refused() -> bool:
        return (await api.post("/api/posts", TITLE | {"text": "x" * 20_000}, token=token)).status == 503
    await until(refused)
    monkeypatch.setattr("server.storage.sqlite.ROOM", 2**62)  # first: background work writes a little, too
    await limit_pages(database, None)
    assert (await api.post("/api/posts", TITLE, token=token)).status == 201
    assert (await api.get("/readyz")).data["writes"] == "full"
    monkeypatch.undo()
    assert (await api.get("/readyz")).data["writes"] == "ok"
    assert (await api.post("/api/posts", TITLE, token=token)).status == 201


async def test_a_refusal_is_told_as_one(server: Served) -> None:
    database = server.foyer.database
    assert isinstance(database, SqliteDatabase)
    await limit_pages(database, 0)

    async def fill(tx: Any) -> None:
        await tx.run("INSERT INTO jobs (kind, key, body, state, run_at, created_at) VALUES ('x', $1, $2, 'done', 0, 0)",
                     "k", "x" * 10**6)
    with pytest.raises(StorageUnavailable):
        await database.write(fill)
    await limit_pages(database, None)
