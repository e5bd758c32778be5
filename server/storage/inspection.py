"""Looks into a database that another process may be using, without changing it."""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from server.core.clock import now_ms
from server.core.errors import ConfigError
from server.storage.base import Tx
from server.storage.connection import sqlite
from server.storage.sqlite import SqliteTx, drive

T = TypeVar("T")


def inspect(path: Path, function: Callable[[Tx], Awaitable[T]]) -> T:
    """Runs `function(tx)` on a snapshot of the file. Raises `ConfigError` when there is no such database."""
    if not path.is_file():
        raise ConfigError(f"[database] url: there is no {path}")
    raw = sqlite.connect(f"file:{_quoted(path)}?mode=rw", uri=True, isolation_level=None)
    try:
        raw.row_factory = sqlite.Row
        raw.execute("PRAGMA query_only=ON")
        raw.execute("BEGIN")
        return drive(function(SqliteTx(raw.cursor(), now_ms())))  # type: ignore[arg-type]
    except sqlite.Error as error:
        raise ConfigError(f"[database] url: {path} cannot be read: {error}") from None
    finally:
        raw.close()


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


async def faults(tx: Tx) -> list[str]:
    """What SQLite itself finds wrong with the file."""
    rows = await tx.all("PRAGMA integrity_check")
    lines = [f"the file is damaged: {row['integrity_check']}" for row in rows if row["integrity_check"] != "ok"]
    for row in await tx.all("PRAGMA foreign_key_check"):
        lines.append(f"a row of {row['table']} points at a row of {row['parent']} that is not there")
    return lines
