"""Backups on a schedule: proven, kept, counted, and an error that somebody can act on where there is none."""
from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest

from server.core.clock import DAY, HOUR, MINUTE
from server.core.errors import ConfigError
from server.ops import backups
from server.storage import Tx, inspection
from tests.conftest import Serve
from tests.postgres import asked
from tests.proofs.processes import Stage, chance, pause, staged
from tests.storage.either import run
from tests.storage.lived import names
from tests.support import ON_POSTGRES, Served, settings, until

GOOD = "SELECT file FROM backups WHERE error IS NULL"
KILLS = 4


async def tried(served: Served) -> list[dict[str, Any]]:
    """What the database remembers of backups."""
    async def read(tx: Tx) -> list[dict[str, Any]]:
        return [{name: row[name] for name in row.keys()} for row in await tx.all("SELECT * FROM backups ORDER BY id")]
    return await served.foyer.database.read(read)


async def tries(served: Served, count: int) -> list[dict[str, Any]]:
    """The same, once there are so many."""
    async def enough() -> list[dict[str, Any]] | None:
        found = await tried(served)
        return found if len(found) == count else None
    return list(await until(enough, 30.0))


async def begin(served: Served) -> None:
    """Puts a backup into the queue, or the one that waits for its next attempt in front."""
    async def now(tx: Tx) -> None:
        await served.foyer.queue.bring_forward(tx, backups.KIND, "", tx.now)
    await served.foyer.database.write(now)


async def metric(served: Served, name: str) -> float:
    """A number of /metrics."""
    lines = (await served.api.get("/metrics")).raw.decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


async def planned(served: Served) -> dict[str, tuple[int, int]]:
    """The schedules: how often, and in how many milliseconds next."""
    async def read(tx: Tx) -> dict[str, tuple[int, int]]:
        rows = await tx.all("SELECT name, every_ms, next_at FROM schedules")
        return {row["name"]: (row["every_ms"], row["next_at"] - tx.now) for row in rows}
    return await served.foyer.database.read(read)


async def test_one_is_made_proven_and_can_be_restored(serve: Serve, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    served = await serve({"backup.folder": str(kept)})
    assert kept.stat().st_mode & 0o777 == 0o700
    assert str(await metric(served, "foyer_backup_age_seconds")) == "nan"
    await served.api.sign_up("ada")
    await begin(served)
    [row] = await tries(served, 1)
    [file] = kept.iterdir()
    assert (row["file"], row["size"], row["error"]) == (file.name, file.stat().st_size, None)
    assert file.stat().st_mode & 0o777 == 0o600 and row["started_at"] <= row["finished_at"]
    assert 0 <= await metric(served, "foyer_backup_age_seconds") < 30
    assert await metric(served, "foyer_backup_failures") == 0
    assert names(file) == ["ada"]
    restored = run("restore", str(file), "--database", "sqlite:restored.db", folder=tmp_path)
    assert restored.returncode == 0, restored.stderr
    assert run("check", "--database", "sqlite:restored.db", folder=tmp_path).returncode == 0


async def test_the_first_comes_soon_and_the_next_as_the_settings_say(serve: Serve, tmp_path: Path) -> None:
    folder = {"backup.folder": str(tmp_path / "kept")}
    every, wait = (await planned(served := await serve(folder)))["backup"]
    assert every == DAY and 0 < wait <= MINUTE
    await served.stop()
    every, wait = (await planned(served := await serve({**folder, "backup.every": "2 h"})))["backup"]
    assert every == 2 * HOUR and 0 < wait <= MINUTE, "a backup that was near must not be put off"
    await served.foyer.database.write(_put_off, DAY)
    await served.stop()
    every, wait = (await planned(served := await serve({**folder, "backup.every": "1 h"})))["backup"]
    assert every == HOUR and HOUR - MINUTE < wait <= HOUR
    await served.stop()
    served = await serve()
    assert "backup" not in await planned(served)


async def _put_off(tx: Tx, by: int) -> None:
    await tx.run("UPDATE schedules SET next_at = $1 WHERE name = 'backup'", tx.now + by)


async def test_without_a_folder_nothing_waits_for_one(serve: Serve, tmp_path: Path) -> None:
    served = await serve({"backup.folder": str(tmp_path / "kept")})
    (tmp_path / "kept").rmdir()
    await begin(served)
    await tries(served, 1)

    async def interrupt(tx: Tx) -> None:
        await tx.run("UPDATE jobs SET state = 'running', lease_until = 1, worker = 'gone' WHERE kind = 'backup'")
    await served.foyer.worker.stop()
    await served.foyer.database.write(interrupt)
    await served.stop()
    served = await serve()

    async def waiting(tx: Tx) -> Any:
        return await tx.value("SELECT count(*) FROM jobs WHERE kind = 'backup'")
    assert await served.foyer.database.read(waiting) == 0


async def test_a_folder_that_is_gone_is_told_and_not_made_again(
        serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = tmp_path / "kept"
    served = await serve({"backup.folder": str(kept)})
    kept.rmdir()
    with caplog.at_level(logging.WARNING, "foyer.backup"):
        await begin(served)
        [row] = await tries(served, 1)
    assert row["size"] is None and "in a folder that is there" in row["error"] and not kept.exists()
    assert [record.levelname for record in caplog.records if row["error"] in record.getMessage()] == ["WARNING"]
    assert await metric(served, "foyer_backup_failures") == 1
    await begin(served)
    await tries(served, 2)
    assert await metric(served, "foyer_backup_failures") == 2
    kept.mkdir()
    await begin(served)
    assert (await tries(served, 3))[-1]["error"] is None
    assert await metric(served, "foyer_backup_failures") == 0


async def test_after_three_attempts_it_has_failed_until_the_next_is_due(serve: Serve, tmp_path: Path) -> None:
    served = await serve({"backup.folder": str(tmp_path / "kept")})
    (tmp_path / "kept").rmdir()
    for attempt in range(1, 4):
        await begin(served)
        await tries(served, attempt)

    async def states(tx: Tx) -> list[Any]:
        return [tuple(row) for row in await tx.all("SELECT state, attempts FROM jobs WHERE kind = 'backup'")]
    assert await served.foyer.database.read(states) == [("failed", 3)]
    (tmp_path / "kept").mkdir()
    await begin(served)
    assert (await tries(served, 4))[-1]["error"] is None


async def test_data_that_breaks_a_rule_makes_no_backup(serve: Serve, tmp_path: Path) -> None:
    served = await serve({"backup.folder": str(tmp_path / "kept")})
    token = (await served.api.sign_up("ada"))["access_token"]
    await served.api.write_post(token)

    async def change(tx: Tx, count: int) -> None:
        await tx.run("UPDATE posts SET like_count = $1", count)
    await served.foyer.database.write(change, 5)
    await begin(served)
    [row] = await tries(served, 1)
    assert "like_count of a post is not the number of its likes" in row["error"]
    assert list((tmp_path / "kept").iterdir()) == []
    await served.foyer.database.write(change, 0)


@pytest.mark.parametrize("name", ["missing/kept", "file"])
def test_a_folder_that_cannot_be_made_ends_the_start_before_anything_is(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    done = run("serve", "--port", "0", "--database", "sqlite:foyer.db", folder=tmp_path,
               FOYER_BACKUP_FOLDER=str(tmp_path / name))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("foyer: [backup] folder: ") and "expected a folder" in done.stderr
    assert not (tmp_path / "foyer.db").exists() and not (tmp_path / "foyer.key").exists()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = settings(tmp_path, {"backup.folder": str(tmp_path)}).backup
    backups.expect_folder(wanted)
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(ConfigError, match="cannot be written to; expected"):
        backups.expect_folder(wanted)


@pytest.mark.parametrize("every", ["59 s", "36501 d"])
def test_an_interval_that_makes_no_sense_is_refused(tmp_path: Path, every: str) -> None:
    with pytest.raises(ConfigError, match=r"\[backup\] every: expected 1 min to 36500 d"):
        settings(tmp_path, {"backup.every": every})


# -- in the middle

@pytest.fixture
def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lets each backup take for ever; the file in which the numbers of its processes stand."""
    program, told = tmp_path / "endless.py", tmp_path / "processes"
    program.write_text(f"import os, time\nopen({str(told)!r}, 'a').write(f'{{os.getpid()}}\\n')\ntime.sleep(600)\n")
    monkeypatch.setattr(backups, "_PROGRAM", program)
    return told


async def test_a_stop_ends_it_and_the_next_start_begins_it_again(
        serve: Serve, tmp_path: Path, endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = await serve({"backup.folder": str(tmp_path / "kept")})
    await begin(served)
    await until(lambda: endless.exists() and endless.read_text().endswith("\n"))
    began = time.monotonic()
    await served.stop()
    assert time.monotonic() - began < 10
    with pytest.raises(ProcessLookupError):
        os.kill(int(endless.read_text()), 0)
    monkeypatch.undo()
    served = await serve({"backup.folder": str(tmp_path / "kept")})
    [row] = await tries(served, 1)
    assert row["error"] is None


async def test_a_process_that_is_killed_is_told_and_tried_again(serve: Serve, tmp_path: Path, endless: Path) -> None:
    served = await serve({"backup.folder": str(tmp_path / "kept")})
    await begin(served)
    await until(lambda: endless.exists() and endless.read_text().endswith("\n"))
    os.kill(int(endless.read_text()), 9)
    [row] = await tries(served, 1)
    assert row["error"] == "its process ended with -9 before it was done"


async def test_a_server_that_is_killed_in_the_middle_makes_it_after_the_next_start(tmp_path: Path) -> None:
    kept, moments = tmp_path / "kept", chance()
    async with staged(tmp_path, {"FOYER_BACKUP_FOLDER": str(kept)}) as stage:
        await (await stage.start()).terminate()
        _asked(stage, "UPDATE schedules SET next_at = 0 WHERE name = 'backup' RETURNING name")
        for _ in range(KILLS):
            server = await stage.start()
            await pause(moments.uniform(0.0, 0.6))
            await server.kill()
        await stage.start()
        await until(lambda: _asked(stage, GOOD), 60.0)
        files = {path.name for path in kept.iterdir()}
        assert set(_asked(stage, GOOD)) <= files and not [name for name in files if "partial" in name]
        assert all(names(kept / name) == [] for name in files)
        await stage.check()
        assert stage.complaints() == []


def _asked(stage: Stage, sql: str) -> list[str]:
    """The first column of what the database answers."""
    if ON_POSTGRES:
        async def ask(connection: Any) -> list[Any]:
            return list(await connection.fetch(sql))
        return [row[0] for row in asked(stage.environ["FOYER_DATABASE_URL"], ask)]
    with inspection.opened(stage.file) as raw:
        return [row[0] for row in raw.execute(sql)]
