-- Foyer's data, in the order a newcomer should read it. One description for SQLite and PostgreSQL: `server/storage/`
-- translates the few words that differ. Times are milliseconds since 1970 UTC, ids are integers below 2^53,
-- JSON stands in TEXT.
-- AUTOINCREMENT: the id of what is gone is never given to something else. What one feature keeps stays in its own tables; all of them point at `users`.

-- One row: which schema this is, and the epoch that changes when the data was restored or copied, so that clients
-- know that their event numbers no longer mean anything.
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    schema_version INTEGER NOT NULL,
    epoch TEXT NOT NULL
) STRICT;

-- Members. `username_key` and `email_key` are the folded forms that must be unique. The profile columns are the member's
-- own or were filled by enrichment while empty. `post_count` stands here because counting costs more than adding.
-- Who leaves, leaves no row behind: then nothing that is still under way can write anything for them.
-- email_wanted: the address that is to take the place of `email` once it is confirmed, and what the verifier says of it.
-- mail_checks: whether the member gets a mail for every check of a file (0 or 1).
-- event_seq: the newest event number. event_acked: all up to here are done with. event_floor: nothing up to here
-- is kept any more. events_dropped: how many above the floor were dropped because too many waited.
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL,
    username_key TEXT NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    email_status TEXT NOT NULL,
    email_confirmed_at INTEGER,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL DEFAULT 'member' CHECK (role IN ('member', 'admin')),
    suspended_at INTEGER,
    created_at INTEGER NOT NULL,
    name TEXT,
    title TEXT,
    company TEXT,
    bio TEXT,
    location TEXT,
    site TEXT,
    avatar_url TEXT,
    birth_date TEXT,
    referral_code TEXT NOT NULL,
    post_count INTEGER NOT NULL DEFAULT 0 CHECK (post_count >= 0),
    event_seq INTEGER NOT NULL DEFAULT 0,
    event_acked INTEGER NOT NULL DEFAULT 0,
    event_floor INTEGER NOT NULL DEFAULT 0,
    events_dropped INTEGER NOT NULL DEFAULT 0,
    email_wanted TEXT,
    email_wanted_status TEXT,
    mail_checks INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE UNIQUE INDEX users_username ON users (username_key);
CREATE UNIQUE INDEX users_email ON users (email_key);
CREATE UNIQUE INDEX users_referral_code ON users (referral_code);
-- Of whom there may be events that are done with.
CREATE INDEX users_acknowledged ON users (id) WHERE event_acked > event_floor;
-- Who is told how an import has ended.
CREATE INDEX users_administrators ON users (id) WHERE role = 'admin';

-- A sign-in. The refresh token is a keyed hash over (id, nonce, generation), so no token is stored and a lost answer can be
-- given again. An ended session stays for 30 days: it shows which addresses the member has signed in from.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    nonce TEXT NOT NULL,
    generation INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    device TEXT NOT NULL,
    address TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- What each member must be told, numbered 1, 2, 3 ... per member, written in the transaction of what it tells of.
-- The rows lie in the order of time, so that those of many members, written together, share a page; the index finds
-- those of one member.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_number ON events (user_id, seq);

-- Work that must happen, written in the transaction of what it belongs to.
CREATE TABLE jobs (
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
-- At most one open job per kind and key.
CREATE UNIQUE INDEX jobs_open ON jobs (kind, key) WHERE state IN ('ready', 'running');
CREATE INDEX jobs_due ON jobs (kind, run_at) WHERE state = 'ready';
CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_failed ON jobs (kind) WHERE state = 'failed';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_about ON jobs (key, kind);
CREATE INDEX jobs_failed_ids ON jobs (id) WHERE state = 'failed';

-- What happens again and again: when due, a job is enqueued and `next_at` moves on. The name is the job's kind, or the
-- kind and the key (`import:users`). batch: how much at a time, where that can be said. failures: how often in a row.
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    every_ms INTEGER NOT NULL CHECK (every_ms > 0),
    next_at INTEGER NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    batch INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    last_error TEXT
) STRICT;

-- The answer to a request with an Idempotency-Key, to be given again. It holds no token: those are made anew, the same.
-- `member_id`: whose data stands in it.
CREATE TABLE idempotency (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    status INTEGER NOT NULL,
    location TEXT,
    answer BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    member_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (scope, key)
) STRICT;
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE INDEX idempotency_member ON idempotency (member_id) WHERE member_id IS NOT NULL;

-- Allowances that must be counted exactly, in all processes and over a restart (sign-ups, sign-ins, wrong passwords): of
-- whom, and when each is whole again.
CREATE TABLE allowances (
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    whole_at INTEGER NOT NULL,
    PRIMARY KEY (name, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX allowances_age ON allowances (whole_at);

-- How far the enrichment of each member has come, and what the providers knew.
CREATE TABLE enrichments (
    user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'found', 'not_found', 'failed', 'not_configured')),
    provider TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 1,
    answers INTEGER NOT NULL DEFAULT 0,
    requested_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    next_attempt_at INTEGER,
    fields TEXT NOT NULL DEFAULT '{}',
    filled TEXT NOT NULL DEFAULT '{}' -- what was written into the profile, so that it can be taken back
) STRICT;

-- Which address (a keyed hash of it) a provider knows nobody behind, and whose owner asked not to be looked up
-- (provider '*'), so that nobody is asked in vain or against their will.
CREATE TABLE provider_answers (
    address TEXT NOT NULL,
    provider TEXT NOT NULL,
    answer TEXT NOT NULL CHECK (answer IN ('not_found', 'claimed')),
    at INTEGER NOT NULL,
    PRIMARY KEY (address, provider)
) STRICT;
CREATE INDEX provider_answers_age ON provider_answers (at);

-- Posts. `like_count` stands here because a feed cannot count.
CREATE TABLE posts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    author_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    link TEXT,
    created_at INTEGER NOT NULL,
    edited_at INTEGER,
    like_count INTEGER NOT NULL DEFAULT 0 CHECK (like_count >= 0)
) STRICT;
CREATE INDEX posts_by_likes ON posts (like_count, id);
CREATE INDEX posts_by_author ON posts (author_id, id);

-- Likes. One that was taken back stays as a row, so that the author is told of each liker once, however often they
-- change their mind. `told`: the number of the author's event that tells of it.
CREATE TABLE likes (
    post_id INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    taken_back_at INTEGER,
    told INTEGER,
    PRIMARY KEY (user_id, post_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX likes_of_post ON likes (post_id, taken_back_at, at, user_id);

-- In which events of whom somebody is named who liked a post that is gone since. With the likes of the posts that are
-- still there it tells where the name of a member who leaves must be erased.
CREATE TABLE mentions (
    member_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    told_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    told INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (member_id, told_id, told)
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_told ON mentions (told_id);
CREATE INDEX mentions_age ON mentions (at);

-- Links that are sent by mail and work once. The token in one is a keyed hash of the nonce, made again whenever it is
-- needed, so none is stored; `hash` finds it. `email`: whose mailbox it proves.
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

-- What is sent by mail: a job each, made in the transaction of what it tells of. `letter` is the template, `words` (JSON)
-- what stands in it; the text is put together when it is sent, the same every time. Without a mail server it is kept.
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

-- Who came through whose code. `mailbox`: a keyed hash of the address without its `+tag`; a mailbox counts once, also when
-- its owner has left and comes again. counted_at: when it began to count for rewards; never, for one that must not.
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

-- The mailboxes (keyed hashes) that have counted, for whomever: also when inviter and invitee have left, and come again.
CREATE TABLE counted_mailboxes (
    mailbox TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (mailbox)
) STRICT, WITHOUT ROWID;

-- How far each inviter has come: sign-ups through the code, those that count, rewards; how many counted on the last day.
CREATE TABLE inviters (
    user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    invited INTEGER NOT NULL DEFAULT 0,
    counted INTEGER NOT NULL DEFAULT 0,
    rewarded INTEGER NOT NULL DEFAULT 0,
    day INTEGER NOT NULL DEFAULT 0,
    counted_on_day INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Money, in minor units; rows are only ever added. `key` is the cause (`invitee:<id>`, `inviter:<id>:<n>`), which pays
-- once. `balance`: the member's, with this entry. The entries of who has left stay, so they point at nobody.
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

-- The bytes of uploaded files, equal ones once. `uses`: how many versions have them; with the last one they go.
CREATE TABLE contents (
    sha256 TEXT NOT NULL,
    bytes BLOB NOT NULL,
    uses INTEGER NOT NULL CHECK (uses >= 0),
    PRIMARY KEY (sha256)
) STRICT;

-- Python files of members. version, sha256 and size are those of the newest version; `status` is that of its last check.
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

-- Every version that is kept.
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

-- Checks by flake8, of a version each; JSON in options, counts and findings. `tries`: how often it was begun.
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

-- People from random-data-api. `uid` is theirs; what they call id collides. Passwords, social insurance numbers and card
-- numbers never come this far. The keys are the folded forms that are filtered by. Who waits for an address or a card has
-- none but what their own record carries, and is the next to adopt one.
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

-- What people are found by, folded: each name is found by how it begins. kind 0: first name first, 1: last name first, 2:
-- the user name.
CREATE TABLE person_words (
    person_id INTEGER NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    kind INTEGER NOT NULL,
    word TEXT NOT NULL,
    PRIMARY KEY (person_id, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_words_word ON person_words (word, person_id);

-- Imported addresses, and those that people's own records carry (`embedded`, without a uid). latitude and longitude in
-- millionths of a degree: whole numbers, so that equal to six decimals is equal. link_rule: how the person was found.
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

-- Imported cards, and those that people's own records carry. Of the number stay the last four digits and a fingerprint,
-- keyed with a key that is not in the database.
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

-- The history of imports. rejected: records that were no use; `reasons` (JSON) says why, and how many each.
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

-- How many there are of what cannot be counted each time. Those of people are exact and change with what they count;
-- `members`, `posts` and `likes` are counted now and then.
CREATE TABLE tallies (
    name TEXT PRIMARY KEY,
    n INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;

-- Who did what, as far as it concerns safety. Only numbers point at members, so that a row can outlive them; `address`
-- and `details` (JSON) go when they leave. actor_id: nobody for who was not signed in, and for the command line.
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

-- Scheduled backups: each that was tried, and what came of it. One without an error was opened, checked and read.
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
