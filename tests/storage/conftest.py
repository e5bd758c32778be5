"""An open database with two tables of the tests' own."""
from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.storage import Database, Tx
from server.storage.dialect import postgres_schema
from server.storage.postgres import PostgresDatabase, open_postgres
from server.storage.schema import as_it_is
from server.storage.sqlite import SqliteDatabase, open_database
from tests.postgres import database_of


async def _tables(tx: Tx, translated: Callable[[str], str] = as_it_is) -> None:
    for statement in (
            "CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;",
            "CREATE TABLE parts (id INTEGER PRIMARY KEY, thing INTEGER NOT NULL REFERENCES things (id)) STRICT;",
            # Nothing can go wrong in a row of this one, so that SQLite keeps no journal for its statements.
            "CREATE TABLE heap (text TEXT);"):
        await tx.run(translated(statement))


@asynccontextmanager
async def _opened(engine: str, folder: Path) -> AsyncIterator[Any]:
    if engine == "sqlite":
        opened: Database = await open_database(folder / "foyer.db")
        await opened.write(_tables)
    else:
        opened = await open_postgres(database_of(folder))
        await opened.write(_tables, postgres_schema)
    yield opened
    await opened.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """The database; closed at the end."""
    async with _opened("sqlite", tmp_path) as opened:
        yield opened


@pytest.fixture
async def pg(tmp_path: Path) -> AsyncIterator[PostgresDatabase]:
    """The same on PostgreSQL."""
    async with _opened("postgres", tmp_path) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgres"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """The one and the other."""
    async with _opened(request.param, tmp_path) as opened:
        yield opened
