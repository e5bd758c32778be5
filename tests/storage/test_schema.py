"""The schema is there as a whole or not at all, and a file belongs to one server at a time."""
from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from server.core.errors import ConfigError
from server.storage import Tx, schema
from server.storage import sqlite as engine
from server.storage.lock import only_one
from server.storage.sqlite import open_database
from tests.proofs.processes import chance, pause, spawn, staged

pytestmark = pytest.mark.sqlite
KILLS = 6


def tables(file: Path) -> set[str]:
    """What stands in the file."""
    raw = engine.sqlite.connect(str(file))
    try:
        return {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'index')")}
    finally:
        raw.close()


async def all_tables(folder: Path) -> set[str]:
    database = await open_database(folder / "whole.db")
    await database.close()
    return tables(folder / "whole.db")


async def test_the_second_start_changes_nothing(tmp_path: Path) -> None:
    first = await open_database(tmp_path / "foyer.db")
    epoch = await first.read(schema.epoch)
    await first.close()
    second = await open_database(tmp_path / "foyer.db")
    assert await second.read(schema.epoch) == epoch and len(epoch) == 16
    await second.close()


async def test_a_newer_schema_refuses_to_start(tmp_path: Path) -> None:
    async def from_the_future(tx: Tx) -> None:
        await tx.run("UPDATE meta SET schema_version = schema_version + 1")
    database = await open_database(tmp_path / "foyer.db")
    await database.write(from_the_future)
    await database.close()
    with pytest.raises(ConfigError, match="use a newer Foyer"):
        await open_database(tmp_path / "foyer.db")
    async with staged(tmp_path, {}) as stage:
        server = await stage.spawn()
        await server.handle.communicate()
        assert server.handle.returncode == 2
        assert stage.log.read_text().count("\n") == 1


async def test_an_older_schema_is_brought_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await (await open_database(tmp_path / "foyer.db")).close()
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 2)
    monkeypatch.setattr(schema, "MIGRATIONS", {
        schema.VERSION - 1: "-- a table\nCREATE TABLE extra (\n    id INTEGER PRIMARY KEY\n) STRICT;\n",
        schema.VERSION: "INSERT INTO extra (id) VALUES (1);\nINSERT INTO extra (id) VALUES (2);\n"})
    database = await open_database(tmp_path / "foyer.db")

    async def state(tx: Tx) -> tuple[int, int]:
        return await tx.value(schema.READ_VERSION), await tx.value("SELECT count(*) FROM extra")
    assert await database.read(state) == (schema.VERSION, 2)
    await database.close()


async def test_a_step_that_fails_leaves_the_older_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await (await open_database(tmp_path / "foyer.db")).close()
    before = tables(tmp_path / "foyer.db")
    with monkeypatch.context() as patched:
        patched.setattr(schema, "VERSION", schema.VERSION + 1)
        patched.setattr(schema, "MIGRATIONS", {
            schema.VERSION: "CREATE TABLE extra (id INTEGER);\nINSERT INTO nothing VALUES (1);\n"})
        with pytest.raises(Exception):
            await open_database(tmp_path / "foyer.db")
    assert tables(tmp_path / "foyer.db") == before
    await (await open_database(tmp_path / "foyer.db")).close()


async def test_a_database_is_made_for_its_owner_only(tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.touch()
    there.chmod(0o640)
    before = os.umask(0)
    try:
        for name, mode in (("foyer.db", 0o600), ("there.db", 0o640)):
            database = await open_database(tmp_path / name)
            found = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob(f"{name}*")}
            await database.close()
            assert found == dict.fromkeys((name, f"{name}-wal", f"{name}-shm"), mode)
    finally:
        os.umask(before)


async def test_to_open_it_once_more_lets_go_of_no_lock(tmp_path: Path) -> None:
    """POSIX takes back all locks of a process on a file when it closes that file once."""
    database = await open_database(tmp_path / "foyer.db")
    before = locks(tmp_path / "foyer.db")
    again = await open_database(tmp_path / "foyer.db")
    assert before and before <= locks(tmp_path / "foyer.db")
    await again.close()
    await database.close()


def locks(file: Path) -> set[str]:
    """The locks that this process holds on the file, as the kernel tells."""
    wanted = f" {os.getpid()} ", f":{file.stat().st_ino} "
    return {line.partition(": ")[2] for line in Path("/proc/locks").read_text().splitlines()
            if all(word in line for word in wanted)}


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    line = re.escape(f"[database] url: there is no folder {tmp_path / 'some'}; expected sqlite:FILE in a folder")
    with pytest.raises(ConfigError, match=line), only_one(tmp_path / "some" / "foyer.db"):
        pass
    with pytest.raises(ConfigError, match=line):
        await open_database(tmp_path / "some" / "foyer.db")


async def test_a_folder_that_cannot_be_used_is_said_why(tmp_path: Path) -> None:
    (tmp_path / "some").write_text("no folder")
    line = rf"^\[database\] url: {tmp_path}/some/foyer.db(.lock)? cannot be opened: Not a directory; expected .*folder"
    with pytest.raises(ConfigError, match=line), only_one(tmp_path / "some" / "foyer.db"):
        pass
    with pytest.raises(ConfigError, match=line):
        await open_database(tmp_path / "some" / "foyer.db")


async def test_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "foyer.db").write_bytes(b"This is a letter to my mother. " * 100)
    with pytest.raises(ConfigError, match="cannot be opened"):
        await open_database(tmp_path / "foyer.db")


CREATE = """
import asyncio, sys
from pathlib import Path
from server.storage import schema
from server.storage.sqlite import open_database

async def create(tx):
    # Says after which statement it is, so that it can be killed there.
    for number, statement in enumerate(schema.statements(schema.FILE.read_text())):
        await tx.run(statement)
        print(number, flush=True)
        if number == int(sys.argv[2]):
            sys.stdin.read()
schema.create = create
asyncio.run(open_database(Path(sys.argv[1])))
"""


async def test_killed_after_each_statement_of_the_schema(tmp_path: Path) -> None:
    """Here the moment is chosen: nothing of the schema may be there."""
    whole = await all_tables(tmp_path)
    last = len(schema.statements(schema.FILE.read_text(encoding="utf-8"))) - 1
    for number in (0, last // 2, last):
        file = tmp_path / f"at-{number}.db"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CREATE, str(file), str(number), cwd=schema.FILE.parent,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        async for line in process.stdout:
            if int(line) == number:
                break
        process.kill()
        await process.communicate()
        assert tables(file) == set()
        await (await open_database(file)).close()
        assert tables(file) == whole


async def test_killed_at_random_while_it_starts(tmp_path: Path) -> None:
    """The real program: empty or whole, and the next start has the rest."""
    rng, whole = chance(), await all_tables(tmp_path)
    for number in range(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with staged(folder, {"FOYER_SANDBOX_MODE": "on"}) as stage:
            server = await stage.spawn()
            await pause(rng.uniform(0.2, 0.6))
            await server.kill()
            if stage.file.exists():
                assert tables(stage.file) in (set(), whole)
    async with staged(folder, {"FOYER_SANDBOX_MODE": "on"}) as stage:
        await stage.start()
        assert stage.server is not None and await stage.server.terminate() == 0
        await stage.check()


async def test_the_second_server_on_a_file_ends_with_2(tmp_path: Path) -> None:
    async with staged(tmp_path, {"FOYER_SANDBOX_MODE": "on"}) as stage:
        first = await stage.start()
        second = await spawn("serve", "--port", "0", "--database", f"sqlite:{stage.file}",
                             environ=stage.environ, log=tmp_path / "second")
        printed, _ = await second.handle.communicate()
        assert second.handle.returncode == 2 and not printed
        said = (tmp_path / "second").read_text()
        assert said.count("\n") == 1 and "in use by another Foyer process" in said
        # `check` may run beside the first, which is not disturbed.
        await stage.check()
        await first.kill()
        # A kill leaves the lock file, not the lock.
        third = await stage.start()
        assert await third.terminate() == 0


def test_the_lock_is_let_go_of(tmp_path: Path) -> None:
    with only_one(tmp_path / "foyer.db"):
        with pytest.raises(ConfigError), only_one(tmp_path / "foyer.db"):
            pass
        with only_one(tmp_path / "other.db"):
            pass
    with only_one(tmp_path / "foyer.db"):
        pass
