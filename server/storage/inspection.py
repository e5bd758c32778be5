"""Looks into a database that another process may be using, or changes it, on a short connection of its own.

The driver of PostgreSQL is loaded only for a database that is one: most have a file and no driver for anything else.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from server.core.clock import now_ms
from server.core.errors import CommandFailed, ConfigError
from server.settings import Settings
from server.storage import schema
from server.storage.base import Tx, drive
from server.storage.connection import sqlite
from server.storage.sqlite import SqliteTx

T = TypeVar("T")
Place = Path | str  # a SQLite file, or the URL of a PostgreSQL database
# Checkpoints are the server's business; the last one to close makes one anyway.
PRAGMAS = ("foreign_keys=ON", "synchronous=FULL", "busy_timeout=5000", "wal_autocheckpoint=0")

# Asked before anything else, so that the database of another program is not read as if it were ours.
IS_OURS = "SELECT count(*) = 2 FROM pragma_table_info('meta') WHERE name IN ('schema_version', 'epoch')"


def place_of(settings: Settings) -> Place:
    """Where the data is."""
    return settings.sqlite_file or settings.database.url


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


def inspect(place: Place, function: Callable[[Tx], Awaitable[T]]) -> T:
    """Runs `function(tx)` on a snapshot. Raises `ConfigError` when there is no such database, or it cannot be read."""
    if isinstance(place, str):
        from server.storage import postgres_connection
        return postgres_connection.inspect(place, function)
    if not place.is_file():
        raise ConfigError(f"[database] url: there is no {place}")
    try:
        return look(place, function)
    except sqlite.Error as error:
        raise ConfigError(f"[database] url: {place} cannot be read: {error}") from None


def change(place: Place, function: Callable[[Tx], Awaitable[T]]) -> T:
    """Runs `function(tx)` in a transaction that is durable when this returns; servers may be using the database.

    Raises `ConfigError` when the schema is not this program's: it is brought up by the start of a server, never beside
    one; `CommandFailed` when the database cannot take the change.
    """
    expect_schema(place, version_of(place))
    if isinstance(place, str):
        from server.storage import postgres_connection
        return postgres_connection.change(place, function)
    return _change(place, function)


def _change(path: Path, function: Callable[[Tx], Awaitable[T]]) -> T:
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


def expect_schema(place: Place, found: int) -> None:
    """Raises `ConfigError` for every schema but this program's."""
    expect_known(place, found)
    if found < schema.VERSION:
        raise ConfigError(f"{named(place)} has schema {found}, this program has {schema.VERSION}: "
                          "start the server once, it brings the schema up")


def expect_known(place: Place, found: int) -> None:
    """Raises `ConfigError` for a schema that this program cannot know, and for a database that has none."""
    if not found:
        raise ConfigError(f"{named(place)} is not a Foyer database")
    if found > schema.VERSION:
        raise ConfigError(f"{named(place)} has schema {found}, this program knows {schema.VERSION}: use a newer Foyer")


def named(place: Place) -> str:
    """What the operator is told that it is; a URL holds a password."""
    return "[database] url: the PostgreSQL database" if isinstance(place, str) else str(place)


def version_of(place: Place) -> int:
    """Which schema the database has; 0 when it is not Foyer's."""
    if isinstance(place, str):
        from server.storage import postgres_connection
        return inspect(place, postgres_connection.version)
    return inspect(place, version)


def is_unmade(place: Place) -> bool:
    """Whether there is no database yet, or not one table in it, as before the first start has come to its end."""
    if isinstance(place, str):
        from server.storage import postgres_connection
        return inspect(place, postgres_connection.is_blank)
    return not place.exists() or inspect(place, is_blank)


def damage(place: Place) -> list[str]:
    """What the database itself finds wrong; PostgreSQL keeps to its own rules and looks at its files itself."""
    return [] if isinstance(place, str) else inspect(place, faults)


async def is_blank(tx: Tx) -> bool:
    """Whether there is not one table in the file."""
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
