"""An older schema becomes the new one on PostgreSQL, too."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.storage import dialect, schema
from tests import postgres
from tests.storage.either import start_once

FOLDER = Path(__file__).parent
OLDER = range(1, schema.VERSION)
COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity, collation_name
    FROM information_schema.columns WHERE table_schema = 'public'"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace"""


async def _shape(connection: Any) -> set[tuple[Any, ...]]:
    return {tuple(row) for sql in (COLUMNS, INDEXES, CONSTRAINTS) for row in await connection.fetch(sql)}


@pytest.mark.parametrize("version", OLDER)
async def test_an_older_schema_becomes_the_new_one(tmp_path: Path, version: int) -> None:
    older, new = [postgres.database_of(tmp_path / name) for name in ("older", "new")]

    async def make(connection: Any) -> None:
        for statement in schema.statements((FOLDER / f"schema_{version}.sql").read_text(encoding="utf-8")):
            await connection.execute(dialect.postgres_schema(statement))
        await connection.execute("INSERT INTO meta (id, schema_version, epoch) VALUES (1, $1, 'e')", version)
    postgres.asked(older, make)
    for url in (older, new):
        await start_once(url)
    assert postgres.asked(older, _shape) == postgres.asked(new, _shape)
