"""Databases in which something has happened, made without a server; and what stands in them."""
from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from server.accounts import queries as accounts
from server.accounts.queries import NewUser
from server.core.clock import DAY
from server.enrichment import queries as enrichment
from server.posts import queries as posts
from server.storage import Tx, inspection
from server.storage.connection import sqlite
from server.storage.sqlite import open_database

TEXT = "Something that somebody has written. " * 20


def lived(path: Path, *names: str, posts_each: int = 3) -> Path:
    """A database with these members and posts of theirs, which the next one likes."""
    asyncio.run(live(path, names, posts_each))
    return path


async def live(path: Path, names: tuple[str, ...], posts_each: int) -> None:
    """The same on a loop that runs."""
    database = await open_database(path)
    await database.write(_members, names, posts_each)
    await database.close()


async def _members(tx: Tx, names: tuple[str, ...], posts_each: int) -> None:
    ids = []
    for name in names:
        address = f"{name}@example.org"
        user = NewUser(name, address, address, "valid", f"hash of {name}", f"code{name}", (None,) * 8)
        user_id = await accounts.insert_user(tx, user)
        assert user_id is not None
        await enrichment.insert_unasked(tx, user_id)
        await accounts.insert_session(tx, user_id, f"nonce of {name}", "test", "127.0.0.1", DAY)
        ids.append(user_id)
    for at, author in enumerate(ids):
        for number in range(posts_each):
            await posts.count_new_post(tx, author)
            post = await posts.insert_post(tx, author, f"Post {number} of {names[at]}", TEXT, None)
            if len(ids) > 1:
                await posts.insert_like(tx, post, ids[at - 1])
                await posts.count_like(tx, post, 1)


def unfinished(path: Path, statement: str, *args: Any) -> None:
    """Writes as a server does that is killed then: what it wrote stands in the log alone."""
    raw = sqlite.connect(str(path), isolation_level=None)
    raw.execute("PRAGMA wal_autocheckpoint=0")
    raw.execute(statement, args)
    files = {name: Path(name).read_bytes() for name in (str(path), f"{path}-wal", f"{path}-shm")}
    raw.close()
    for name, content in files.items():
        Path(name).write_bytes(content)


def names(path: Path) -> list[str]:
    """The members of a database that must be whole."""
    async def find(tx: Tx) -> list[str]:
        return [row["username"] for row in await tx.all("SELECT username FROM users ORDER BY id")]
    assert inspection.look(path, inspection.faults) == []
    return inspection.look(path, find)


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each table, and what describes the tables; but for the epoch and the counters of ids."""
    with inspection.opened(path) as raw:
        tables = [row["name"] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: sorted(tuple(row) for row in raw.execute(f"SELECT * FROM {table}"))
                for table in tables if table not in ("meta", "sqlite_sequence")} | {
                    "": sorted(tuple(row) for row in raw.execute("SELECT name, sql FROM sqlite_master"
                                                                 " WHERE sql IS NOT NULL"))}


def value(path: Path, sql: str) -> Any:
    """One value of a database."""
    async def find(tx: Tx) -> Any:
        return await tx.value(sql)
    return inspection.look(path, find)


def epoch(path: Path) -> str:
    """The epoch of a database."""
    return str(value(path, "SELECT epoch FROM meta"))


def files(folder: Path) -> set[str]:
    """The names in a folder."""
    return {path.name for path in folder.iterdir()}
