"""The schema is there as a whole or not at all, and a file belongs to one server at a time."""
from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from server.core.errors import ConfigError
from server.storage import Tx, schema
from server.storage import sqlite as engine
from server.storage.lock import only_one
from server.storage.sqlite import open_database
from tests.proofs.processes import chance, pause, spawn, staged

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
