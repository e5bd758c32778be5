"""Brings a database to this program's schema: `schema.sql` into an empty one, numbered steps into an older one."""
from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from server.core.errors import ConfigError
from server.storage.base import Tx

FILE = Path(__file__).resolve().parents[2] / "schema.sql"
VERSION = 3

# The statements that lead to each version from the one before. Version 1 is schema.sql itself.
MIGRATIONS: Mapping[int, str] = {
    # What must be found when a member leaves, and what used to be looked for in whole tables. Answers that were kept
    # before are nobody's; they go within a day.
    2: """
ALTER TABLE idempotency ADD COLUMN member_id INTEGER REFERENCES users (id) ON DELETE CASCADE;
CREATE INDEX idempotency_member ON idempotency (member_id) WHERE member_id IS NOT NULL;
CREATE INDEX jobs_about ON jobs (key, kind);
CREATE INDEX jobs_failed ON jobs (kind) WHERE state = 'failed';
CREATE INDEX users_acknowledged ON users (id) WHERE event_acked > event_floor;
CREATE TABLE mentions (
    member_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    told_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    told INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (member_id, told_id, told)
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_told ON mentions (told_id);
CREATE INDEX mentions_age ON mentions (at);
INSERT INTO mentions (member_id, told_id, told, at)
SELECT json_extract(data, '$.by.id'), user_id, seq, at FROM events
WHERE type = 'post_liked' AND json_extract(data, '$.post_id') NOT IN (SELECT id FROM posts);
ALTER TABLE likes ADD COLUMN told INTEGER;
UPDATE likes SET told = e.seq FROM events e
WHERE e.type = 'post_liked' AND likes.user_id = json_extract(e.data, '$.by.id')
    AND likes.post_id = json_extract(e.data, '$.post_id');
""",
    3: """
CREATE TABLE allowances (
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    whole_at INTEGER NOT NULL,
    PRIMARY KEY (name, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX allowances_age ON allowances (whole_at);
""",
}

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
        for statement in statements(MIGRATIONS[version]):
            await tx.run(translated(statement))
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
