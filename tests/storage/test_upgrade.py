"""A database of each older schema becomes what a new one is, and keeps what it holds."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.ops import check
from server.storage import Tx, inspection, schema
from server.storage.connection import sqlite
from server.storage.sqlite import open_database

pytestmark = pytest.mark.sqlite
FOLDER = Path(__file__).parent
OLDER = range(1, schema.VERSION)
EVENT = '{"post_id":%d,"by":{"id":%d,"username":"%s"},"like_count":1}'


def _older(file: Path, version: int) -> Any:
    """An open database of that schema."""
    raw = sqlite.connect(str(file), isolation_level=None)
    for statement in schema.statements((FOLDER / f"schema_{version}.sql").read_text(encoding="utf-8")):
        raw.execute(statement)
    raw.execute("INSERT INTO meta (id, schema_version, epoch) VALUES (1, ?, 'e')", (version,))
    return raw


def _shape(file: Path) -> dict[str, Any]:
    """Every table and index with its columns, and what they point at."""
    raw = sqlite.connect(str(file))
    try:
        names = raw.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        return {name: [sorted(raw.execute(f"PRAGMA {pragma}({name})").fetchall(), key=repr) for pragma in (
            ("table_xinfo", "foreign_key_list") if type_ == "table" else ("index_xinfo",))] for type_, name in names}
    finally:
        raw.close()


@pytest.mark.parametrize("version", OLDER)
async def test_an_older_schema_becomes_the_new_one(tmp_path: Path, version: int) -> None:
    _older(tmp_path / "older.db", version).close()
    for name in ("older.db", "new.db"):
        await (await open_database(tmp_path / name)).close()
    assert _shape(tmp_path / "older.db") == _shape(tmp_path / "new.db")


def _two_members(raw: Any) -> None:
    """Ada, whose log has two likes of Bob's: of a post that was deleted, and of one that is there."""
    for name in ("ada", "bob"):
        raw.execute("""INSERT INTO users (username, username_key, email, email_key, email_status, password_hash,
            created_at, referral_code) VALUES (?1, ?1, ?1, ?1, 'valid', 'x', 1, ?1)""", (name,))
    raw.execute("INSERT INTO enrichments (user_id, status, requests, requested_at, updated_at) "
                "SELECT id, 'not_configured', 0, 1, 1 FROM users")
    raw.execute("INSERT INTO posts (id, author_id, title, text, created_at, like_count) VALUES (8, 1, 'a', 'b', 1, 1)")
    raw.execute("INSERT INTO likes (post_id, user_id, at) VALUES (8, 2, 7)")
    for seq, post, at in ((1, 3, 5), (2, 8, 7)):
        raw.execute("INSERT INTO events (user_id, seq, type, at, data) VALUES (1, ?, 'post_liked', ?, ?)",
                    (seq, at, EVENT % (post, 2, "bob")))
    raw.execute("UPDATE users SET event_seq = 2, post_count = 1 WHERE id = 1")


async def test_names_in_the_events_of_the_first_schema_are_found(tmp_path: Path) -> None:
    raw = _older(tmp_path / "foyer.db", 1)
    _two_members(raw)
    raw.close()
    database = await open_database(tmp_path / "foyer.db")

    async def found(tx: Tx) -> list[tuple[Any, ...]]:
        return [tuple(row) for table in ("mentions", "likes") for row in await tx.all(f"SELECT * FROM {table}")]
    assert await database.read(found) == [(2, 1, 1, 5), (8, 2, 7, None, 2)]
    await database.close()
    assert inspection.inspect(tmp_path / "foyer.db", check.broken) == []
