"""What stands in a database of either kind, found without the program's help."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from server.storage import copying, inspection, schema
from server.storage.inspection import Place
from server.storage.postgres import open_postgres
from tests.postgres import asked
from tests.proofs.processes import RUN
from tests.storage.filled import Filled
from tests.storage.lived import lived

SECRET = {"FOYER_AUTH_SECRET": "a secret of all processes, 32 or more"}
REMEMBERS = ("users", "sessions", "posts", "links", "mails", "referrals", "ledger", "files", "file_versions", "checks",
             "audit", "import_runs", "people", "addresses", "cards", "backups", "jobs")  # the ids of what is gone, too
NUMBERED = (*REMEMBERS, "events")
# What is not in a database in which little has happened, with texts that not everybody sorts alike.
MORE = """
INSERT INTO schedules (name, every_ms, next_at)
    VALUES ('a', 1, -5), ('B', 2, 9007199254740991), ('_', 3, 0), ('é', 4, 0), ('', 1, 1);
INSERT INTO schedules (name, every_ms, next_at) VALUES ('🎉', 1, 1), ('a b', 1, 1), ('a-b', 1, 1), ('ﬁ', 1, 1);
INSERT INTO idempotency VALUES ('s', 'Z', '', 200, NULL, x'00ff0a', 1, 1), ('s', 'a', 'h', 200, '', x'', 1, NULL);
INSERT INTO idempotency VALUES ('S', 'ä', '', 200, 'NULL', CAST('text' AS BLOB), 1, 2);
INSERT INTO provider_answers VALUES ('x', 'hunter', 'not_found', 5), ('x', '*', 'claimed', 5);
INSERT INTO allowances VALUES ('signup', '::1', 5), ('signup', 'ä', 6), ('signup', 'Z', 6), ('login', '', 0);
INSERT INTO mentions VALUES (1, 2, 3, 4), (1, 2, 1, 4), (2, 1, 1, 4);
INSERT INTO jobs (id, kind, key, body, state, run_at, created_at) VALUES (70, 'k', '1', '{}', 'ready', 1, 1);
INSERT INTO events (user_id, seq, type, at, data) VALUES (1, 1, 'x', 1, '{"a": "\\u0000 \\\\ ''"}');
INSERT INTO events (user_id, seq, type, at, data) VALUES (2, 1, 'referral_credited', 1, '{"entry_id":6}');
UPDATE users SET event_seq = 1 WHERE id = 2;
UPDATE users SET event_seq = 2, bio = 'Ünïcödé 🎉' || char(10, 9, 13) || ' "quoted" \\N \\.', name = '' WHERE id = 1;
INSERT INTO links VALUES (5, 1, 'confirm', 'ada@example.org', 'n', 'h', 1, 2), (9, 2, 'reset', 'b', 'n', 'i', 1, 2);
INSERT INTO mails VALUES (3, 1, 'confirm', 'ada@example.org', '{"a": "ä"}', 5, '<1@localhost>', 'sent', NULL, 1, 2);
INSERT INTO mails VALUES (7, 2, 'reset', 'ä', '{}', 9, '<2@localhost>', 'failed', 'refused', 1, NULL);
INSERT INTO referrals VALUES (4, 1, 2, 'm', 1, 1);
INSERT INTO counted_mailboxes VALUES ('m', 1), ('ä', 2), ('Z', 3);
INSERT INTO inviters VALUES (1, 1, 1, 0, 0, 1);
INSERT INTO ledger VALUES (6, 2, 'invitee:2', 'invitee_reward', 1000, 'USD', 5, 1000, 1);
INSERT INTO contents VALUES ('aa', x'00ff0a', 2), ('bb', x'', 1), ('É', x'27', 1);
INSERT INTO files VALUES (3, 1, 'é.py', 2, 'bb', 0, 'error', 5, 1), (8, 2, 'b.py', 1, 'aa', 3, 'pending', NULL, 1);
INSERT INTO file_versions VALUES (4, 1, 3, 1, 'a.py', 'aa', 3, 1), (5, 1, 3, 2, 'é.py', 'bb', 0, 1);
INSERT INTO file_versions VALUES (6, 2, 8, 1, 'b.py', 'aa', 3, 1), (9, 2, 8, 2, 'c.py', 'É', 1, 1);
INSERT INTO checks (id, user_id, file_id, version, options, status, requested_at, finished_at, reason, mail_id)
    VALUES (2, 1, 3, 2, '{}', 'error', 1, 5, 'ä', 3), (7, 2, 8, 1, '{"select":["E"]}', 'pending', 1, NULL, NULL, NULL);
INSERT INTO events (user_id, seq, type, at, data) VALUES (1, 2, 'file_checked', 1, '{"check_id":2}');
INSERT INTO jobs (id, kind, key, body, state, run_at, created_at) VALUES (71, 'check_files', '2', '{}', 'ready', 1, 1);
INSERT INTO audit VALUES (3, 1, 'login_failed', NULL, 1, 'ä', '::1', 'r', '{"times":2}');
INSERT INTO audit VALUES (8, 1, 'member_left', 99, 99, NULL, NULL, NULL, '{}');
DELETE FROM audit WHERE id = 8;
INSERT INTO import_runs VALUES (3, 'users', 'done', 1, 2, 1, 0, 0, 1, 0, '{"ä": 1}', NULL);
INSERT INTO import_runs VALUES (9, 'users', 'failed', 1, 2, 0, 0, 0, 0, 0, '{}', 'ä');
DELETE FROM import_runs WHERE id = 9;
INSERT INTO people (id, uid, first_name, last_name, gender, gender_key, waits_for_address, created_at, updated_at)
    VALUES (4, 'é', 'Zoë', 'É', 'Ä', 'a', 0, 1, 1), (7, 'z', 'x', 'y', NULL, NULL, 1, 1, 1);
INSERT INTO person_words VALUES (4, 0, 'zoe e'), (4, 1, 'e zoe');
INSERT INTO addresses (id, uid, person_id, link_rule, city, latitude, longitude, created_at, updated_at)
    VALUES (3, 'ä', 4, 'adopted', 'É', NULL, NULL, 1, 1), (4, NULL, 4, 'embedded', '', -1, 180000000, 1, 1),
    (6, 'Z', NULL, NULL, NULL, 0, 0, 1, 1), (8, 'z', NULL, NULL, NULL, NULL, NULL, 1, 1);
INSERT INTO cards VALUES (2, NULL, 4, 'embedded', NULL, '0004', NULL,
    x'00ff0a2700ff0a2700ff0a2700ff0a2700ff0a2700ff0a2700ff0a2700ff0a27', 1, 2);
INSERT INTO cards VALUES (5, 'z', NULL, NULL, 'ä', '0004', '2027-02-28', zeroblob(32), 1, 2);
INSERT INTO tallies VALUES ('people', 1, 1), ('addresses', 2, 1), ('addresses adopted', 1, 1), ('members', 9, 1),
    ('addresses embedded', 1, 1), ('addresses unlinked', 1, 1), ('cards embedded', 1, 1), ('cards', 0, 1);
INSERT INTO backups VALUES (2, 'ä.db', 1, 2, 3, NULL), (6, 'b.db', 1, 2, NULL, 'ä');
DELETE FROM backups WHERE id = 6;
DELETE FROM people WHERE id = 7;
DELETE FROM addresses WHERE id = 8;
DELETE FROM cards WHERE id = 5;
DELETE FROM file_versions WHERE id = 9;
DELETE FROM contents WHERE sha256 = 'É';
DELETE FROM links WHERE id = 9;
DELETE FROM mails WHERE id = 7;
DELETE FROM posts WHERE id > 6;
DELETE FROM likes WHERE post_id > 6;
DELETE FROM users WHERE username = 'last';
UPDATE users SET post_count = (SELECT count(*) FROM posts WHERE author_id = users.id);
UPDATE posts SET like_count = (SELECT count(*) FROM likes WHERE post_id = posts.id);
"""


def busy(path: Path) -> Path:
    """A SQLite file with something in each table, and with ids of what is gone."""
    lived(path, "ada", "bob", "eve", "last")
    with inspection.opened(path) as raw:
        raw.execute("PRAGMA foreign_keys=ON")
        raw.executescript(MORE)
    return path


def many(path: Path) -> Path:
    """A database with some thousand rows in each table that grows."""
    made = Filled(path)
    made.raw.execute("INSERT INTO meta VALUES (1, ?, 'e')", (schema.VERSION,))
    made.raw.close()
    return path


async def start_once(url: str) -> None:
    """Makes the tables, as a start of a server does."""
    await (await open_postgres(url)).close()


def copy(source: Place, target: Place) -> list[str]:
    """What is said about each table."""
    said: list[str] = []
    copying.copy(source, target, said.append)
    return said


def rows(place: Place) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables that the database itself knows, but for the epoch."""
    if isinstance(place, Path):
        with inspection.opened(place) as raw:
            names = [row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'"
                                                   " AND name NOT LIKE 'sqlite_%'")]
            found = {name: [dict(row) for row in raw.execute(f"SELECT * FROM {name}")] for name in names}
    else:
        async def read(connection: Any) -> dict[str, list[dict[str, Any]]]:
            names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            return {name: [dict(row) for row in await connection.fetch(f"SELECT * FROM {name}")] for name, in names}
        found = asked(place, read)
    for row in found.get("meta", ()):
        del row["epoch"]
    return {name: sorted(each, key=lambda row: repr(sorted(row.items()))) for name, each in found.items()}


def epoch_of(url: str) -> str:
    """The epoch of a PostgreSQL database."""
    return str(asked(url, lambda connection: connection.fetchval("SELECT epoch FROM meta")))


def is_blank(url: str) -> bool:
    """Whether a PostgreSQL database has no table."""
    return not asked(url, lambda connection: connection.fetch("SELECT 1 FROM pg_tables WHERE schemaname = 'public'"))


def next_ids(place: Place) -> dict[str, int | None]:
    """The ids that the next rows get; None where nobody has a file that one could belong to."""
    session = ("INSERT INTO sessions (user_id, nonce, generation, issued_at, device, address, created_at, expires_at)"
               " VALUES (1, 'n', 1, 1, 'd', 'a', 1, 1) RETURNING id")
    post = "INSERT INTO posts (author_id, title, text, created_at) VALUES (1, 't', 't', 1) RETURNING id"
    user = ("INSERT INTO users (username, username_key, email, email_key, email_status, password_hash, referral_code,"
            " created_at) VALUES ('n', 'n', 'n', 'n', 'valid', '', 'n', 1) RETURNING id")
    link = ("INSERT INTO links (user_id, purpose, email, nonce, hash, created_at, expires_at)"
            " VALUES (1, 'reset', '', '', 'n', 1, 1) RETURNING id")
    mail = ("INSERT INTO mails (user_id, letter, recipient, words, message_id, status, created_at)"
            " VALUES (1, 'reset', '', '{}', '', 'failed', 1) RETURNING id")
    referral = "INSERT INTO referrals (inviter_id, mailbox, joined_at) VALUES (1, 'n', 1) RETURNING id"
    entry = ("INSERT INTO ledger (user_id, key, reason, amount, currency, target, balance, at)"
             " VALUES (1, 'n', 'invitee_reward', 0, '', 1, 0, 1) RETURNING id")
    file = ("INSERT INTO files (user_id, name, version, sha256, size, status, created_at)"
            " VALUES (1, '', 1, '', 0, 'pending', 1) RETURNING id")
    version = ("INSERT INTO file_versions (user_id, file_id, version, name, sha256, size, created_at)"
               " SELECT user_id, file_id, -1, '', sha256, 0, 1 FROM file_versions LIMIT 1 RETURNING id")
    checked = ("INSERT INTO checks (user_id, file_id, version, options, status, requested_at)"
               " SELECT user_id, id, 1, '', 'pending', 1 FROM files LIMIT 1 RETURNING id")
    act = "INSERT INTO audit (at, act) VALUES (1, 'n') RETURNING id"
    imported = "INSERT INTO import_runs (schedule, status, started_at) VALUES ('n', 'running', 1) RETURNING id"
    named = ("INSERT INTO people (uid, first_name, last_name, created_at, updated_at) VALUES ('n', '', '', 1, 1)"
             " RETURNING id")
    address = "INSERT INTO addresses (uid, created_at, updated_at) VALUES ('n', 1, 1) RETURNING id"
    card = ("INSERT INTO cards (uid, last4, fingerprint, created_at, updated_at)"
            " SELECT 'n', '', fingerprint, 1, 1 FROM cards LIMIT 1 RETURNING id")
    backup = "INSERT INTO backups (file, started_at, finished_at) VALUES ('', 1, 1) RETURNING id"
    event = "INSERT INTO events (user_id, seq, type, at, data) VALUES (2, 9, 'x', 1, '') RETURNING id"
    job = ("INSERT INTO jobs (kind, key, body, state, run_at, created_at) VALUES ('n', '', '', 'ready', 1, 1)"
           " RETURNING id")
    statements = dict(zip(NUMBERED, (user, session, post, link, mail, referral, entry, file,
                                     version, checked, act, imported, named, address, card, backup, job, event)))
    if isinstance(place, Path):
        with inspection.opened(place) as raw:
            found = {name: raw.execute(sql).fetchone() for name, sql in statements.items()}
            return {name: row and row[0] for name, row in found.items()}

    async def write(connection: Any) -> dict[str, int | None]:
        return {name: await connection.fetchval(sql) for name, sql in statements.items()}
    return dict(asked(place, write))


def run(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    kept = {name: each for name, each in os.environ.items() if not name.startswith(("FOYER_", "PG"))}
    return subprocess.run([sys.executable, str(RUN), *arguments], capture_output=True, text=True, timeout=60,
                          cwd=folder, env={**kept, **SECRET, **environ})
