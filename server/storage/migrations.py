"""The statements that bring an older schema up; what stands behind `/* sqlite */` is for SQLite only."""
from __future__ import annotations

from collections.abc import Mapping

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
    # Mail, referrals with their ledger, files and their checks.
    4: """
ALTER TABLE users ADD COLUMN email_wanted TEXT;
ALTER TABLE users ADD COLUMN email_wanted_status TEXT;
CREATE TABLE links (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL CHECK (purpose IN ('confirm', 'reset')),
    email TEXT NOT NULL,
    nonce TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX links_hash ON links (hash);
CREATE INDEX links_of ON links (user_id, purpose);
CREATE INDEX links_expiry ON links (expires_at);
CREATE TABLE mails (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    letter TEXT NOT NULL,
    recipient TEXT NOT NULL,
    words TEXT NOT NULL,
    link_id INTEGER REFERENCES links (id) ON DELETE SET NULL,
    message_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'sent', 'failed', 'not_configured')),
    reason TEXT,
    created_at INTEGER NOT NULL,
    sent_at INTEGER
) STRICT;
CREATE INDEX mails_of ON mails (user_id, id);
CREATE INDEX mails_recipient ON mails (recipient, id);
CREATE INDEX mails_status ON mails (status, id);
CREATE INDEX mails_link ON mails (link_id) WHERE link_id IS NOT NULL;
CREATE INDEX mails_age ON mails (created_at);
CREATE TABLE referrals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    inviter_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    invitee_id INTEGER REFERENCES users (id) ON DELETE SET NULL,
    mailbox TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    counted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX referrals_invitee ON referrals (invitee_id) WHERE invitee_id IS NOT NULL;
CREATE UNIQUE INDEX referrals_mailbox ON referrals (mailbox) WHERE counted_at IS NOT NULL;
CREATE INDEX referrals_inviter ON referrals (inviter_id, id);
CREATE TABLE inviters (
    user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    invited INTEGER NOT NULL DEFAULT 0,
    counted INTEGER NOT NULL DEFAULT 0,
    rewarded INTEGER NOT NULL DEFAULT 0,
    day INTEGER NOT NULL DEFAULT 0,
    counted_on_day INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('invitee_reward', 'inviter_reward')),
    amount INTEGER NOT NULL CHECK (amount >= 0),
    currency TEXT NOT NULL,
    target INTEGER NOT NULL,
    balance INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX ledger_key ON ledger (key);
CREATE INDEX ledger_of ON ledger (user_id, id);
ALTER TABLE users ADD COLUMN mail_checks INTEGER NOT NULL DEFAULT 1;
CREATE TABLE contents (
    sha256 TEXT NOT NULL,
    bytes BLOB NOT NULL,
    uses INTEGER NOT NULL CHECK (uses >= 0),
    PRIMARY KEY (sha256)
) STRICT;
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'passed', 'violations', 'error')),
    checked_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX files_of ON files (user_id, id);
CREATE TABLE file_versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    file_id INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES contents (sha256),
    size INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX file_versions_number ON file_versions (file_id, version);
CREATE INDEX file_versions_of ON file_versions (user_id, id);
CREATE INDEX file_versions_content ON file_versions (sha256);
CREATE TABLE checks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    file_id INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    options TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'passed', 'violations', 'error')),
    tries INTEGER NOT NULL DEFAULT 0,
    requested_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    flake8 TEXT,
    python TEXT,
    total INTEGER NOT NULL DEFAULT 0,
    suppressed INTEGER NOT NULL DEFAULT 0,
    counts TEXT NOT NULL DEFAULT '{}',
    findings TEXT NOT NULL DEFAULT '[]',
    reason TEXT,
    mail_id INTEGER REFERENCES mails (id) ON DELETE SET NULL
) STRICT;
CREATE INDEX checks_of_file ON checks (file_id, id);
CREATE INDEX checks_waiting ON checks (user_id, id) WHERE status IN ('pending', 'running');
CREATE INDEX checks_of ON checks (user_id, id);
CREATE INDEX checks_mail ON checks (mail_id) WHERE mail_id IS NOT NULL;
""",
    # People and the import, administration: the audit, backups on a schedule. What has counted outlives who counted it.
    # SQLite, like PostgreSQL before, never gives a job's id again.
    5: """
CREATE TABLE counted_mailboxes (
    mailbox TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (mailbox)
) STRICT, WITHOUT ROWID;
INSERT INTO counted_mailboxes (mailbox, at) SELECT mailbox, counted_at FROM referrals WHERE counted_at IS NOT NULL;
/* sqlite */ ALTER TABLE jobs RENAME TO jobs_before;
/* sqlite */ CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ready', 'running', 'done', 'failed')),
    run_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    worker TEXT,
    last_error TEXT,
    request_id TEXT,
    created_at INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;
/* sqlite */ INSERT INTO jobs (id, kind, key, body, state, run_at, attempts, lease_until, worker, last_error,
    request_id, created_at, finished_at)
SELECT id, kind, key, body, state, run_at, attempts, lease_until, worker, last_error, request_id, created_at,
    finished_at FROM jobs_before;
/* sqlite */ DROP TABLE jobs_before;
/* sqlite */ CREATE UNIQUE INDEX jobs_open ON jobs (kind, key) WHERE state IN ('ready', 'running');
/* sqlite */ CREATE INDEX jobs_due ON jobs (kind, run_at) WHERE state = 'ready';
/* sqlite */ CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
/* sqlite */ CREATE INDEX jobs_failed ON jobs (kind) WHERE state = 'failed';
/* sqlite */ CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
/* sqlite */ CREATE INDEX jobs_about ON jobs (key, kind);
ALTER TABLE schedules ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1));
ALTER TABLE schedules ADD COLUMN batch INTEGER;
ALTER TABLE schedules ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE schedules ADD COLUMN last_error TEXT;
CREATE INDEX users_administrators ON users (id) WHERE role = 'admin';
CREATE INDEX jobs_failed_ids ON jobs (id) WHERE state = 'failed';
CREATE TABLE people (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    username TEXT,
    email TEXT,
    phone TEXT,
    avatar_url TEXT,
    gender TEXT,
    birth_date TEXT,
    job_title TEXT,
    key_skill TEXT,
    plan TEXT,
    plan_status TEXT,
    payment_method TEXT,
    plan_term TEXT,
    country TEXT,
    gender_key TEXT,
    country_key TEXT,
    waits_for_address INTEGER NOT NULL DEFAULT 1 CHECK (waits_for_address IN (0, 1)),
    waits_for_card INTEGER NOT NULL DEFAULT 1 CHECK (waits_for_card IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX people_uid ON people (uid);
CREATE INDEX people_gender ON people (gender_key, id);
CREATE INDEX people_country ON people (country_key, id);
CREATE INDEX people_without_address ON people (id) WHERE waits_for_address = 1;
CREATE INDEX people_without_card ON people (id) WHERE waits_for_card = 1;
CREATE TABLE person_words (
    person_id INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    kind INTEGER NOT NULL,
    word TEXT NOT NULL,
    PRIMARY KEY (person_id, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_words_word ON person_words (word, person_id);
CREATE TABLE addresses (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT,
    person_id INTEGER REFERENCES people (id),
    link_rule TEXT CHECK (link_rule IN ('uid', 'embedded', 'coordinates', 'adopted')),
    street_address TEXT,
    secondary_address TEXT,
    city TEXT,
    zip_code TEXT,
    state TEXT,
    country TEXT,
    country_code TEXT,
    time_zone TEXT,
    latitude INTEGER,
    longitude INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX addresses_uid ON addresses (uid);
CREATE UNIQUE INDEX addresses_embedded ON addresses (person_id) WHERE link_rule = 'embedded';
CREATE INDEX addresses_of ON addresses (person_id, id);
CREATE INDEX addresses_place ON addresses (latitude, longitude, person_id) WHERE link_rule = 'embedded';
CREATE INDEX addresses_unlinked ON addresses (id) WHERE person_id IS NULL;
CREATE INDEX addresses_unlinked_place ON addresses (latitude, longitude) WHERE person_id IS NULL;
CREATE TABLE cards (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT,
    person_id INTEGER REFERENCES people (id),
    link_rule TEXT CHECK (link_rule IN ('uid', 'embedded', 'card', 'adopted')),
    type TEXT,
    last4 TEXT NOT NULL,
    expires TEXT,
    fingerprint BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX cards_uid ON cards (uid);
CREATE UNIQUE INDEX cards_embedded ON cards (person_id) WHERE link_rule = 'embedded';
CREATE INDEX cards_of ON cards (person_id, id);
CREATE INDEX cards_number ON cards (fingerprint, person_id) WHERE link_rule = 'embedded';
CREATE INDEX cards_unlinked ON cards (id) WHERE person_id IS NULL;
CREATE INDEX cards_unlinked_number ON cards (fingerprint) WHERE person_id IS NULL;
CREATE TABLE import_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    schedule TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed')),
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    added INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    linked INTEGER NOT NULL DEFAULT 0,
    reasons TEXT NOT NULL DEFAULT '{}',
    error TEXT
) STRICT;
CREATE INDEX import_runs_of ON import_runs (schedule, id);
CREATE UNIQUE INDEX import_runs_running ON import_runs (schedule) WHERE status = 'running';
CREATE INDEX import_runs_age ON import_runs (started_at);
CREATE TABLE tallies (
    name TEXT PRIMARY KEY,
    n INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    act TEXT NOT NULL,
    actor_id INTEGER,
    member_id INTEGER,
    target TEXT,
    address TEXT,
    request_id TEXT,
    details TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX audit_age ON audit (at);
CREATE INDEX audit_member ON audit (member_id, id) WHERE member_id IS NOT NULL;
CREATE INDEX audit_actor ON audit (actor_id, id) WHERE actor_id IS NOT NULL;
CREATE TABLE backups (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    size INTEGER,
    error TEXT
) STRICT;
CREATE INDEX backups_good ON backups (id) WHERE error IS NULL;
CREATE INDEX backups_age ON backups (finished_at);
""",
}
