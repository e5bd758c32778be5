"""Looks into a database that another process may be using, or changes it, on a short connection of its own."""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from server.core.clock import now_ms
from server.core.errors import CommandFailed, ConfigError
from server.storage import schema
from server.storage.base import Tx, drive
from server.storage.connection import sqlite
from server.storage.sqlite import SqliteTx

T = TypeVar("T")
# Checkpoints are the server's business; the last one to close makes one anyway.
PRAGMAS = ("foreign_keys=ON", "synchronous=FULL", "busy_timeout=5000", "wal_autocheckpoint=0")

# Asked before anything else, so that the database of another program is not read as if it were ours.
IS_OURS = "SELECT count(*) = 2 FROM pragma_table_info('meta') WHERE name IN ('schema_version', 'epoch')"


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A connection to a file that is there, closed afterwards; what was not committed is taken back."""
    raw = sqlite.connect(f"file:{_quoted(path)}?mode=rw", uri=True, isolation_level=None)
    try:
        raw.row_factory = sqlite.Row
        yield raw
    finally:
        raw.close()


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def look(path: Path, function: Callable[[Tx], Awaitable[T]]) -> T:
    """Runs `function(tx)` on a snapshot of the file; raises the driver's error when it cannot be read."""
    with opened(path) as raw:
        raw.execute("PRAGMA query_only=ON")
        raw.execute("BEGIN")
        return drive(function(SqliteTx(raw.cursor(), now_ms())))


def inspect(path: Path, function: Callable[[Tx], Awaitable[T]]) -> T:
    """Runs `function(tx)` on a snapshot of the file. Raises `ConfigError` when there is no such database."""
    if not path.is_file():
        raise ConfigError(f"[database] url: there is no {path}")
    try:
        return look(path, function)
    except sqlite.Error as error:
        raise ConfigError(f"[database] url: {path} cannot be read: {error}") from None


def change(path: Path, function: Callable[[Tx], Awaitable[T]]) -> T:
    """Runs `function(tx)` in a transaction that is durable when this returns; a server may be using the file.

    Raises `ConfigError` when the schema is not this program's: it is brought up by the start of a server, never beside
    one; `CommandFailed` when the database cannot take the change.
    """
    _expect_schema(path, inspect(path, version))
    try:
        with opened(path) as raw:
            for pragma in PRAGMAS:
                raw.execute(f"PRAGMA {pragma}").fetchall()
            raw.execute("BEGIN IMMEDIATE")
            result = drive(function(SqliteTx(raw.cursor(), now_ms())))
            raw.execute("COMMIT")
            return result
    except sqlite.Error as error:
        raise CommandFailed(f"{path} cannot be written now: {error}") from None


def _expect_schema(path: Path, found: int) -> None:
    expect_known(path, found)
    if found < schema.VERSION:
        raise ConfigError(f"[database] url: {path} has schema {found}, this program has {schema.VERSION}: "
                          "start the server once, it brings the schema up")


def expect_known(path: Path, found: int) -> None:
    """Raises `ConfigError` for a schema that this program cannot know, and for a file that has none."""
    if not found:
        raise ConfigError(f"{path} is not a Foyer database")
    if found > schema.VERSION:
        raise ConfigError(f"{path} has schema {found}, this program knows {schema.VERSION}: use a newer Foyer")


async def is_blank(tx: Tx) -> bool:
    """Whether there is not one table, as before the first start has come to its end."""
    return not await tx.value("SELECT EXISTS (SELECT 1 FROM sqlite_master)")


async def version(tx: Tx) -> int:
    """Which schema the file has; 0 when it is not a Foyer database."""
    return int(await tx.value(schema.READ_VERSION) or 0) if await tx.value(IS_OURS) else 0


async def faults(tx: Tx) -> list[str]:
    """What SQLite itself finds wrong with the file."""
    rows = await tx.all("PRAGMA integrity_check")
    lines = [f"the file is damaged: {row['integrity_check']}" for row in rows if row["integrity_check"] != "ok"]
    for row in await tx.all("PRAGMA foreign_key_check"):
        lines.append(f"a row of {row['table']} points at a row of {row['parent']} that is not there")
    return lines
