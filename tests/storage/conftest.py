"""An open database with two tables of the tests' own."""
from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.storage import Tx
from server.storage.sqlite import SqliteDatabase, open_database


async def _tables(tx: Tx) -> None:
    await tx.run("CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT")
    await tx.run("CREATE TABLE parts (id INTEGER PRIMARY KEY, thing INTEGER NOT NULL REFERENCES things (id)) STRICT")
    # Nothing can go wrong in a row of this one, so that SQLite keeps no journal for its statements.
    await tx.run("CREATE TABLE heap (text TEXT)")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """The database; closed at the end."""
    opened = await open_database(tmp_path / "foyer.db")
    await opened.write(_tables)
    yield opened
    await opened.close()
