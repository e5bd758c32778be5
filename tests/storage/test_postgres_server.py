"""A PostgreSQL server that goes and comes, and the database that is found there when one is opened."""
from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.core.errors import ConfigError, StorageUnavailable
from server.storage import Tx, postgres as engine, postgres_connection, schema
from server.storage.dialect import postgres_schema
from server.storage.postgres import PostgresDatabase, open_postgres
from tests import postgres
from tests.postgres import database_of
from tests.storage.things import together

FOLDER = Path(__file__).parent


@pytest.fixture
def own() -> Iterator[postgres.Cluster]:
    """A server that may be stopped without disturbing others."""
    folder = Path(tempfile.mkdtemp(prefix="foyer-pg-", dir="/tmp"))
    cluster = postgres.Cluster(folder)
    cluster.make()
    cluster.start()
    yield cluster
    if cluster.running:
        cluster.stop("immediate")
    shutil.rmtree(folder)


async def test_a_server_that_goes_and_comes(own: postgres.Cluster) -> None:
    database = await open_postgres(own.url)

    async def count(tx: Tx, epoch: str) -> int:
        return await tx.run("UPDATE meta SET epoch = $1", epoch)

    async def epoch(tx: Tx) -> str:
        return str(await tx.value("SELECT epoch FROM meta"))
    await asyncio.gather(*(database.write(count, "before") for _ in range(20)))
    for mode in ("immediate", "fast"):
        await asyncio.to_thread(own.stop, mode)
        begun = time.monotonic()
        ends = await together(*(database.write(count, "meanwhile") for _ in range(20)), database.read(epoch))
        assert all(isinstance(end, StorageUnavailable) and end.status == 503 for end in ends), ends
        assert time.monotonic() - begun < engine.PATIENCE
        await asyncio.to_thread(own.start)
        assert await database.read(epoch) == "before"
        assert await asyncio.gather(*(database.write(count, "before") for _ in range(20))) == [1] * 20
    await database.close()


async def test_what_cannot_be_opened_is_a_line_for_the_operator(tmp_path: Path) -> None:
    postgres.execute("CREATE TABLE somebody_elses (id BIGINT)", database_of(tmp_path))
    for url, words in ((database_of(tmp_path), "holds tables that are not Foyer's"),
                       (postgres.with_database(postgres.server_url(), "nowhere"), "cannot be reached"),
                       ("postgresql://foyer@127.0.0.1:1/foyer", "cannot be reached")):
        with pytest.raises(ConfigError) as caught:
            await open_postgres(url)
        assert words in str(caught.value) and str(caught.value).startswith("[database] url: ")
        assert len(str(caught.value).splitlines()) == 1


async def test_texts_are_in_the_order_of_their_bytes_whatever_the_language(pg: PostgresDatabase) -> None:
    async def others(tx: Tx) -> list[str]:
        return [f"{row['table_name']}.{row['column_name']}" for row in await tx.all("""
            SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'""")]
    assert await pg.read(others) == []


@pytest.mark.parametrize("version", range(1, schema.VERSION))
async def test_an_older_schema_becomes_the_new_one(tmp_path: Path, version: int) -> None:
    """No PostgreSQL has had them, but the steps to come are taken in the same way."""
    async def make(tx: Tx) -> None:
        for statement in schema.statements((FOLDER / f"schema_{version}.sql").read_text(encoding="utf-8")):
            await tx.run(postgres_schema(statement))
        await tx.run("INSERT INTO meta (id, schema_version, epoch) VALUES (1, $1, 'epoch')", version)

    async def columns(tx: Tx) -> set[tuple[Any, ...]]:
        return {tuple(row) for row in await tx.all("""
            SELECT table_name, column_name, data_type, is_nullable, collation_name FROM information_schema.columns
            WHERE table_schema = 'public'
            UNION ALL SELECT tablename, indexname, indexdef, '', '' FROM pg_indexes WHERE schemaname = 'public'""")}
    async with postgres_connection.connected(database_of(tmp_path)) as (connection, tx):
        await connection.execute("BEGIN")
        await make(tx)
        await connection.execute("COMMIT")
    older = await open_postgres(database_of(tmp_path))
    new = await open_postgres(database_of(tmp_path / "another"))
    assert await older.read(schema.epoch) == "epoch"
    assert await older.read(columns) == await new.read(columns)
    for each in (older, new):
        await each.close()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    await (await open_postgres(database_of(tmp_path))).close()
    postgres.execute("UPDATE meta SET schema_version = schema_version + 1", database_of(tmp_path))
    with pytest.raises(ConfigError, match="use a newer Foyer"):
        await open_postgres(database_of(tmp_path))


async def test_two_that_open_at_once_make_the_tables_once(tmp_path: Path) -> None:
    url = database_of(tmp_path)
    opened = await asyncio.gather(*(open_postgres(url) for _ in range(4)))

    async def epoch(tx: Tx) -> str:
        return str(await tx.value("SELECT epoch FROM meta"))
    assert len({await each.read(epoch) for each in opened}) == 1
    for each in opened:
        await each.close()
