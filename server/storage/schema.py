"""Brings a database to this program's schema: `schema.sql` into an empty one, numbered steps into an older one."""
from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from server.core.errors import ConfigError
from server.storage.base import Tx
from server.storage.migrations import MIGRATIONS

FILE = Path(__file__).resolve().parents[2] / "schema.sql"
VERSION = 5

READ_VERSION = "SELECT schema_version FROM meta"
INSERT_META = "INSERT INTO meta (id, schema_version, epoch) VALUES (1, $1, $2)"
UPDATE_VERSION = "UPDATE meta SET schema_version = $1"
READ_EPOCH = "SELECT epoch FROM meta"


def as_it_is(statement: str) -> str:
    """SQLite gets the schema as it is written."""
    return statement


async def create(tx: Tx, translated: Callable[[str], str] = as_it_is) -> None:
    """Makes every table in an empty database."""
    for statement in statements(FILE.read_text(encoding="utf-8")):
        await tx.run(translated(statement))
    await tx.run(INSERT_META, VERSION, secrets.token_hex(8))


async def upgrade(tx: Tx, translated: Callable[[str], str] = as_it_is) -> None:
    """Takes the steps that are missing; raises `ConfigError` when the schema is newer than this program."""
    found = await tx.value(READ_VERSION)
    if found > VERSION:
        raise ConfigError(f"[database] url: has schema {found}, this program knows {VERSION}: use a newer Foyer")
    for version in range(found + 1, VERSION + 1):
        for statement in map(translated, statements(MIGRATIONS[version])):
            if statement:
                await tx.run(statement)
        await tx.run(UPDATE_VERSION, version)


async def epoch(tx: Tx) -> str:
    """The word that changes when the data was restored or copied."""
    return str(await tx.value(READ_EPOCH))


def statements(script: str) -> list[str]:
    """The statements of a script whose comments stand on lines of their own and whose statements end a line."""
    found, lines = [], []
    for line in script.splitlines():
        if line.strip() and not line.lstrip().startswith("--"):
            lines.append(line)
            if line.rstrip().endswith(";"):
                found.append("\n".join(lines))
                lines = []
    return found
