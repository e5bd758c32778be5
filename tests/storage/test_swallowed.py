"""A swallowed error that ended the transaction must not let the rest of the group go on outside of one."""
from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.core.errors import StorageUnavailable
from server.storage.sqlite import open_database

pytestmark = pytest.mark.sqlite
INSERT = "INSERT INTO schedules (name, every_ms, next_at) VALUES ($1, 1, 1)"


async def _swallow(tx: Any) -> None:
    await tx.run(INSERT, "taken back")
    await tx.run("ROLLBACK")  # what SQLite does by itself when the disk is full


async def _insert(tx: Any, name: str) -> None:
    await tx.run(INSERT, name)


async def _names(tx: Any) -> list[str]:
    return [row["name"] for row in await tx.all("SELECT name FROM schedules")]


async def test_the_group_ends_with_the_transaction(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "foyer.db")
    try:
        results = await asyncio.gather(database.write(_insert, "before"), database.write(_swallow),
                                       database.write(_insert, "behind"), return_exceptions=True)
        assert all(isinstance(result, StorageUnavailable) for result in results)
        assert await database.read(_names) == []
        with pytest.raises(StorageUnavailable):
            await database.write(_swallow)
        await database.write(_insert, "later")
        assert await database.read(_names) == ["later"]
    finally:
        await database.close()
