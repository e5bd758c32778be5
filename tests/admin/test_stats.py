"""The numbers that administrators are shown are those of the database and of the process."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.admin import stats
from server.app import VERSION
from server.core.clock import iso, now_ms
from server.storage import files
from tests.conftest import Serve
from tests.admin.support import Desk, written
from tests.admin.test_lists import job
from tests.support import ON_POSTGRES, Served, frame, until
from tests.web.hostile import problem
from tests.ws.event_source import listening

TALLY = "INSERT INTO tallies (name, n, at) VALUES ($1, $2, $3)"
BACKUP = "INSERT INTO backups (file, started_at, finished_at, size, error) VALUES ($1, 1, $2, $3, $4)"


async def shown(desk: Desk) -> Any:
    return (await desk.get("stats")).data


async def liked(desk: Desk, posts: int, likes: int, taken_back: int) -> None:
    """Somebody's posts, and likes of them by the administrator."""
    token = (await desk.api.sign_up())["access_token"]
    written_posts = [(await desk.api.write_post(token))["id"] for _ in range(posts)]
    for number in range(likes + taken_back):
        path = f"/api/posts/{written_posts[number]}/like"
        await desk.api.call("PUT", path, token=desk.token)
        if number >= likes:
            await desk.api.call("DELETE", path, token=desk.token)


async def test_for_administrators_only(desk: Desk) -> None:
    ada = (await desk.api.sign_up("ada"))["access_token"]
    problem(await desk.api.get("/api/admin/stats"), 401)
    assert problem(await desk.api.get("/api/admin/stats", token=ada), 403) == "forbidden"


async def test_what_is_counted(desk: Desk) -> None:
    await liked(desk, 5, 2, 1)
    await desk.served.foyer.worker.stop()
    before = (await shown(desk))["jobs"]
    for state, number in (("ready", 2), ("running", 1), ("done", 3), ("failed", 4)):
        for each in range(number):
            await job(desk.served, "toy", f"{state} {each}", state)
    found, now = await shown(desk), now_ms()
    assert (found["members"], found["posts"], found["likes"]) == (2, 5, 2)
    assert all(iso(now - 10_000) < at <= iso(now) for at in found["counted"].values())
    assert {name: found["jobs"][name] - before[name] for name in before} == {
        "ready": 2, "running": 1, "done": 3, "failed": 4}
    assert found["version"] == VERSION and iso(now - 60_000) < found["started_at"] <= iso(now)


async def test_what_is_more_is_taken_from_where_it_was_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "COUNTED", 3)
    await liked(desk, 5, 2, 2)
    found = await shown(desk)
    assert found["members"] == 2 and found["counted"]["members_at"] > iso(now_ms() - 10_000)
    assert (found["posts"], found["counted"]["posts_at"]) == (3, None)  # more than that: nobody has counted yet
    assert found["counted"]["likes_at"] is None
    for name, number in (("members", 2), ("posts", 5), ("likes", 2)):
        await written(desk.served, TALLY, name, number, 1000)
    found = await shown(desk)
    assert found["members"] == 2 and found["counted"]["members_at"] > iso(now_ms() - 10_000)
    assert (found["posts"], found["counted"]["posts_at"]) == (5, "1970-01-01T00:00:01.000Z")


async def test_jobs_that_are_done_are_counted_up_to_a_number(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "COUNTED", 3)
    await desk.served.foyer.worker.stop()
    await written(desk.served, "DELETE FROM jobs")
    for state in ("done", "failed"):
        for number in range(5):
            await job(desk.served, "toy", str(number), state)
    assert (await shown(desk))["jobs"] == {"ready": 0, "running": 0, "done": 3, "failed": 5}


async def test_what_was_imported(desk: Desk) -> None:
    assert (await shown(desk))["people"] == {"people": 0, "addresses": 0, "cards": 0}
    await written(desk.served, "DELETE FROM tallies")
    for name, number in (("people", 7), ("addresses", 5), ("cards", 4), ("cards unlinked", 3)):
        await written(desk.served, TALLY, name, number, 1)
    assert (await shown(desk))["people"] == {"people": 7, "addresses": 5, "cards": 4}


async def test_sockets_and_streams(desk: Desk) -> None:
    assert (await shown(desk))["sockets"] == 0
    session = await desk.api.sign_up("ada")
    socket = await desk.served.socket(session["access_token"])
    await frame(socket, "ready")
    async with listening(desk.served, session):
        assert (await shown(desk))["sockets"] == 2
    await socket.close()

    async def gone() -> bool:
        return bool((await shown(desk))["sockets"] == 0)
    await until(gone)


async def test_how_large_the_database_is(desk: Desk, served: Served) -> None:
    space = (await shown(desk))["database"]
    if ON_POSTGRES:
        assert space["bytes"] > 1_000_000 and space["wal_bytes"] is None
    else:
        path = served.settings.sqlite_file
        assert path is not None
        assert space == {"bytes": path.stat().st_size, "wal_bytes": files.beside(path, "-wal").stat().st_size}


def test_a_file_without_a_log(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"12345")
    assert files.size(tmp_path / "a.db") == files.Size(5, 0)


async def test_the_last_backup_that_is_good(desk: Desk) -> None:
    assert (await shown(desk))["last_backup"] is None
    await written(desk.served, BACKUP, "bad.db", 2000, None, "the disk is full")
    assert (await shown(desk))["last_backup"] is None
    for name, at in (("old.db", 3000), ("good.db", 4000)):
        await written(desk.served, BACKUP, name, at, 123, None)
    await written(desk.served, BACKUP, "bad.db", 5000, None, "the disk is full")
    assert (await shown(desk))["last_backup"] == {"file": "good.db", "finished_at": "1970-01-01T00:00:04.000Z",
                                                  "bytes": 123}


async def test_the_outside_services_are_those_of_readyz(server: Served) -> None:
    desk = await Desk.of(server)
    found = (await shown(desk))["providers"]
    async with server.api.session.get(server.url + "/readyz") as answer:
        told = (await answer.json())["data"]["providers"]
    assert found == told and {"hunter", "clearbit", "mail", "flake8"} <= set(found)
    assert all({"state", "reason", "until"} <= set(each) for each in found.values())


async def test_those_without_a_key_are_not_configured(serve: Serve) -> None:
    found = (await shown(await Desk.of(await serve({"sandbox.mode": "off"}))))["providers"]
    assert {name for name, each in found.items() if each["state"] == "not_configured"} == {"hunter", "clearbit", "mail"}
