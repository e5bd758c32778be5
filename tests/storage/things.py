"""Small transactions for the tests of storage."""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from server.storage import Tx
from server.storage.sqlite import SqliteDatabase


class Wrong(Exception):
    """What a rule of a feature would raise."""


async def add(tx: Tx, id_: int, text: str | None = None) -> int:
    """Adds a thing."""
    await tx.run("INSERT INTO things (id, text) VALUES ($1, $2)", id_, text or f"thing {id_}")
    return id_


async def add_then_raise(tx: Tx, id_: int) -> None:
    """Adds a thing and finds out too late that it must not."""
    await add(tx, id_)
    raise Wrong


async def ids(tx: Tx) -> list[int]:
    """All things."""
    return [row["id"] for row in await tx.all("SELECT id FROM things ORDER BY id")]


async def together(*work: Awaitable[Any]) -> list[Any]:
    """Results and exceptions of what is begun in the same turn of the loop."""
    return await asyncio.gather(*work, return_exceptions=True)


def groups(database: SqliteDatabase) -> list[int]:
    """The sizes of the groups that are committed from now on."""
    sizes: list[int] = []
    lane = database._writer
    run = lane._run_group

    def counted(raw: Any, group: Any) -> Any:
        sizes.append(len(group))
        return run(raw, group)
    lane._run_group = counted
    return sizes
