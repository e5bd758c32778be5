"""A disk that is full: whoever cannot be kept is told so, nobody is told a lie, and it heals by itself."""
from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.core.errors import StorageUnavailable
from server.storage import Tx
from server.storage.sqlite import SqliteDatabase
from tests.proofs.processes import Stage, staged
from tests.storage.things import add, groups, ids, together
from tests.support import PASSWORD, Answer, Api, Served, until

pytestmark = pytest.mark.sqlite
LARGE = 200_000
ROOM = 200_000  # what the disk still has when it is about to be full


async def _put(tx: Tx, text: str, ran: list[str]) -> str:
    ran.append(text[:20])
    await tx.run("INSERT INTO heap (text) VALUES ($1)", text)
    return text[:20]


async def _heap(tx: Tx) -> list[str]:
    return [row["text"] for row in await tx.all("SELECT text FROM heap ORDER BY rowid")]


async def limit_pages(database: SqliteDatabase, more: int | None) -> None:
    """Lets the file grow by so many pages only; None takes the limit away."""
    done = asyncio.get_running_loop().create_future()

    def on_thread() -> None:
        raw = database._writer.connection.raw
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        raw.execute(f"PRAGMA max_page_count={2**30 if more is None else pages + more}")
        done.get_loop().call_soon_threadsafe(done.set_result, None)
    database._writer.connection.submit(on_thread)
    await done


async def test_the_whole_group_is_refused_when_its_transaction_is_gone(database: SqliteDatabase) -> None:
    """SQLite takes the *whole* transaction back here, so what came before is lost and nothing may come after."""
    await limit_pages(database, 3)
    sizes, ran = groups(database), list[str]()
    texts = ["before 0", "before 1", "large " + "x" * LARGE, "after 0", "after 1"]
    ends = await together(*(database.write(_put, text, ran) for text in texts))
    assert sizes == [5]
    assert all(isinstance(end, StorageUnavailable) and end.status == 503 and end.headers["Retry-After"] for end in ends)
    assert not [text for text in ran if text.startswith("after")]
    assert database.refuses_writes and not database.in_transaction()
    assert await database.read(_heap) == []


async def test_whoever_is_told_that_it_is_kept_is_kept(database: SqliteDatabase) -> None:
    """Whether one statement or all of them are taken back is SQLite's choice, by the table."""
    await limit_pages(database, 3)
    work = [database.write(add, id_, "x" * LARGE if id_ == 5 else None) for id_ in range(10)]
    ends = await together(*work)
    assert isinstance(ends[5], StorageUnavailable) and not database.in_transaction()
    assert [end for end in ends if isinstance(end, int)] == await database.read(ids)


async def test_it_heals(database: SqliteDatabase) -> None:
    await limit_pages(database, 3)
    ran: list[str] = []
    refused = await together(database.write(_put, "x" * LARGE, ran))
    assert isinstance(refused[0], StorageUnavailable) and database.refuses_writes
    await limit_pages(database, None)
    assert await database.write(_put, "y" * LARGE, ran)
    assert not database.refuses_writes
    assert [text[0] for text in await database.read(_heap)] == ["y"]


async def test_a_commit_of_nothing_hides_nothing(database: SqliteDatabase) -> None:
    """It succeeds on a full disk too: the background work makes one every few seconds."""
    async def nothing(tx: Tx) -> None:
        await tx.run("UPDATE heap SET text = '' WHERE text = 'not there'")
    await limit_pages(database, 3)
    await together(database.write(_put, "x" * LARGE, []))
    await database.write(nothing)
    assert database.refuses_writes


async def test_ready_says_so_while_reading_goes_on(server: Served) -> None:
    api, database = server.api, server.foyer.database
    assert isinstance(database, SqliteDatabase)
    token = (await api.sign_up())["access_token"]
    first = await api.write_post(token)
    await limit_pages(database, 0)
    full = await until(lambda: _refusal(api, token))
    assert full.code == "unavailable" and full.headers["Retry-After"]
    assert (await api.get(f"/api/posts/{first['id']}")).status == 200
    assert (await api.get("/livez")).status == 200
    await limit_pages(database, None)
    assert (await api.write_post(token))["id"] > first["id"]
    assert (await api.get("/readyz")).data["writes"] == "ok"


async def _refusal(api: Api, token: str) -> Answer | None:
    """The answer to a large post, once it is no longer taken."""
    answer = await api.post("/api/posts", {"title": "A title", "text": "x" * 20_000}, token=token)
    return answer if answer.status == 503 else None


def limit_files(stage: Stage, size: int) -> None:
    """Lets no file of the server grow beyond this size: what a full disk does, and no administrator is needed for."""
    assert stage.server is not None
    most = resource.prlimit(stage.server.handle.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(stage.server.handle.pid, resource.RLIMIT_FSIZE, (size, most))


def size_of_log(stage: Stage) -> int:
    """How large the write-ahead log is."""
    return stage.file.with_name(stage.file.name + "-wal").stat().st_size


class Writer:
    """Posts, and keeps count of what was acknowledged."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.token = ""
        self.acknowledged: set[int] = set()

    async def sign_up(self) -> None:
        body = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
        self.token = (await self._api.post("/api/signup", body)).data["access_token"]

    async def posts(self, number: int) -> list[Answer]:
        """So many at once."""
        answers = await asyncio.gather(*(self._post() for _ in range(number)))
        self.acknowledged |= {answer.data["id"] for answer in answers if answer.status == 201}
        return answers

    async def _post(self) -> Answer:
        return await self._api.post("/api/posts", {"title": "A title", "text": "x" * 1000}, token=self.token)

    async def kept(self) -> set[int]:
        """The posts that are there."""
        found: set[int] = set()
        query = "?limit=100"
        while True:
            answer = await self._api.get("/api/posts" + query)
            found |= {post["id"] for post in answer.data}
            if answer.body["next"] is None:
                return found
            query = f"?limit=100&cursor={answer.body['next']}"


async def _ready(api: Api) -> Any:
    answer = await api.get("/readyz")
    assert answer.status == 200
    return answer.data["writes"]


async def test_a_real_server_whose_disk_is_full(tmp_path: Path) -> None:
    """At the moment of the commit, which is where a full disk is met in earnest."""
    async with staged(tmp_path, {"FOYER_SANDBOX_MODE": "on"}) as stage, aiohttp.ClientSession() as session:
        api = Api(session, (await stage.start()).url)
        writer = Writer(api)
        await writer.sign_up()
        assert {answer.status for answer in await writer.posts(20)} == {201}
        limit_files(stage, size_of_log(stage) + ROOM)
        statuses = {answer.status for _ in range(20) for answer in await writer.posts(20)}
        assert statuses == {201, 503}
        assert await writer.kept() == writer.acknowledged
        # Nothing fits any more, not even the smallest write.
        limit_files(stage, 4096)
        assert {answer.status for answer in await writer.posts(5)} == {503}
        assert await _ready(api) == "full"
        assert await writer.kept() == writer.acknowledged
        limit_files(stage, resource.RLIM_INFINITY)
        assert {answer.status for answer in await writer.posts(20)} == {201}
        assert await _ready(api) == "ok"
        limit_files(stage, size_of_log(stage) + ROOM)
        await writer.posts(20)
        assert stage.server is not None
        await stage.server.kill()
        api = Api(session, (await stage.start()).url)
        writer._api = api
        assert await writer.kept() == writer.acknowledged
        assert await stage.server.terminate() == 0
        await stage.check()
        assert not stage.complaints()
