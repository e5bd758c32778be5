"""The SQL of accounts."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from server.accounts.model import ExportedSession, Me, OpenSession, Profile
from server.accounts.tokens import Grant
from server.core.clock import DAY, iso, iso_or_none
from server.enrichment.model import Enrichment
from server.storage import Row, Tx
from server.web.route import Member, unauthorized

KNOWN_MS = 30 * DAY  # how long an address counts as one that the member signs in from
KNOWN_MOST = 1000  # sessions that are looked through for one, whoever asks how often

INSERT_USER = """
    INSERT INTO users (username, username_key, email, email_key, email_status, password_hash, referral_code, created_at,
        name, title, company, bio, location, site, avatar_url, birth_date)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
    ON CONFLICT DO NOTHING RETURNING id"""
FIND_USERNAME = "SELECT id FROM users WHERE username_key = $1"
FIND_EMAIL = "SELECT id FROM users WHERE email_key = $1"
READ_ME = """
    SELECT id, username, name, title, company, location, bio, site, avatar_url, created_at, post_count, email,
        email_status, email_confirmed_at, email_wanted AS email_pending, birth_date, referral_code, role, mail_checks
    FROM users WHERE id = $1"""
_ACCOUNT = """
    SELECT id, username, email, email_key, email_status, email_confirmed_at, email_wanted, email_wanted_status,
        password_hash, suspended_at, mail_checks
    FROM users """
READ_ACCOUNT_BY_NAME = _ACCOUNT + "WHERE username_key = $1"
READ_ACCOUNT_BY_EMAIL = _ACCOUNT + "WHERE email_key = $1"
READ_ACCOUNT = _ACCOUNT + "WHERE id = $1"
UPDATE_PROFILE = """
    UPDATE users SET name = $2, title = $3, company = $4, bio = $5, location = $6, site = $7, avatar_url = $8,
        birth_date = $9
    WHERE id = $1"""
READ_PROFILE = "SELECT name, title, company, bio, location, site, avatar_url, birth_date FROM users WHERE id = $1"
UPDATE_EMAIL = """
    UPDATE users SET email = $2, email_key = $3, email_status = $4, email_confirmed_at = $5, email_wanted = NULL,
        email_wanted_status = NULL
    WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM users WHERE email_key = $3 AND id <> $1)"""
WANT_EMAIL = "UPDATE users SET email_wanted = $2, email_wanted_status = $3 WHERE id = $1"
CONFIRM_EMAIL = "UPDATE users SET email_confirmed_at = $2 WHERE id = $1 AND email_confirmed_at IS NULL"
SET_MAIL_CHECKS = "UPDATE users SET mail_checks = $2 WHERE id = $1"
IS_CONFIRMED = "SELECT 1 FROM users WHERE id = $1 AND email_confirmed_at IS NOT NULL"
UPDATE_EMAIL_STATUS = """
    UPDATE users SET email_status = $3 WHERE id = $1 AND email_key = $2 AND email_status = 'pending'"""
ASK_OF_EMAIL_AGAIN = "UPDATE users SET email_status = 'pending' WHERE id = $1 AND email_status = 'unknown'"
UPDATE_PASSWORD = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2"
INSERT_SESSION = """
    INSERT INTO sessions (user_id, nonce, generation, issued_at, device, address, created_at, expires_at)
    VALUES ($1, $2, 1, $3, $4, $5, $3, $6) RETURNING id"""
READ_SESSION = """
    SELECT s.user_id, s.nonce, s.generation, s.issued_at, s.expires_at, s.ended_at, u.suspended_at
    FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1"""
READ_MEMBER = """
    SELECT u.id, u.username, u.role FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = $1 AND s.ended_at IS NULL AND u.suspended_at IS NULL"""
ROTATE_SESSION = """
    UPDATE sessions SET generation = generation + 1, issued_at = $3, expires_at = $4, address = $5
    WHERE id = $1 AND generation = $2"""
END_SESSION = "UPDATE sessions SET ended_at = $3 WHERE id = $1 AND user_id = $2 AND ended_at IS NULL"
END_OTHER_SESSIONS = """
    UPDATE sessions SET ended_at = $3 WHERE user_id = $1 AND id <> $2 AND ended_at IS NULL RETURNING id"""
LIST_SESSIONS = """
    SELECT id, device, address, created_at, issued_at, expires_at FROM sessions
    WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 AND id < $3 ORDER BY id DESC LIMIT $4"""
SIGNED_IN_FROM = """
    SELECT address FROM sessions WHERE user_id = $1 AND created_at > $2 ORDER BY id DESC LIMIT $3"""
_PUBLIC = """
    SELECT id, username, name, title, company, location, bio, site, avatar_url, created_at, post_count FROM users """
READ_PUBLIC = _PUBLIC + "WHERE username_key = $1"
LIST_NEWEST = _PUBLIC + "WHERE id < $1 ORDER BY id DESC LIMIT $2"
LIST_BY_NAME = _PUBLIC + "WHERE username_key >= $1 AND username_key < $2 ORDER BY username_key LIMIT $3"
DELETE_SESSIONS = "DELETE FROM sessions WHERE user_id = $1 RETURNING id, ended_at"
# Nobody can add anything that belongs to the member meanwhile: not a like, not a post, not an event.
HOLD_USER = "SELECT id FROM users WHERE id = $1 /* postgres: FOR UPDATE */"
DELETE_USER = "DELETE FROM users WHERE id = $1"
EXPORT_SESSIONS = """
    SELECT id, device, address, created_at, issued_at, expires_at, ended_at FROM sessions
    WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3"""
PRUNE_SESSIONS = """
    DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)"""


@dataclass(frozen=True, slots=True)
class NewUser:
    """What sign-up writes."""

    username: str
    email: str
    email_key: str
    email_status: str
    password_hash: str
    referral_code: str
    profile: tuple[str | None, ...]  # name, title, company, bio, location, site, avatar_url, birth_date


class Account(msgspec.Struct, frozen=True):
    """What signing in and changing an account need."""

    id: int
    username: str
    email: str
    email_key: str
    email_status: str
    confirmed: bool
    email_wanted: str | None
    email_wanted_status: str | None
    password_hash: str
    suspended: bool
    mail_checks: bool


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as it stands in the table."""

    grant: Grant
    expires_at: int
    ended: bool
    suspended: bool


def name_key(username: str) -> str:
    """The folded form of a user name; names are ASCII."""
    return username.lower()


async def insert_user(tx: Tx, user: NewUser) -> int | None:
    """Adds the member; None when the name, address or code is taken."""
    found = await tx.value(INSERT_USER, user.username, name_key(user.username), user.email, user.email_key,
                           user.email_status, user.password_hash, user.referral_code, tx.now, *user.profile)
    return None if found is None else int(found)


async def taken(tx: Tx, username: str, email_key: str) -> str | None:
    """Which is taken: `username_taken`, `email_taken`, or None."""
    if await tx.value(FIND_USERNAME, name_key(username)) is not None:
        return "username_taken"
    return "email_taken" if await tx.value(FIND_EMAIL, email_key) is not None else None


async def me(tx: Tx, user_id: int, enrichment: Enrichment) -> Me:
    """The member as they see themselves; raises Problem 401 when they are gone since they asked."""
    row = await tx.one(READ_ME, user_id)
    if row is None:
        raise unauthorized()
    fields: dict[str, Any] = {name: row[name] for name in row.keys()}
    fields["created_at"] = iso(row["created_at"])
    fields["mail_checks"] = bool(row["mail_checks"])
    fields["email_confirmed_at"] = iso_or_none(row["email_confirmed_at"])
    return Me(enrichment=enrichment, **fields)


def _account(row: Row | None) -> Account | None:
    if row is None:
        return None
    return Account(row["id"], row["username"], row["email"], row["email_key"], row["email_status"],
                   row["email_confirmed_at"] is not None, row["email_wanted"], row["email_wanted_status"],
                   row["password_hash"], row["suspended_at"] is not None, bool(row["mail_checks"]))


async def account_by_name(tx: Tx, username: str) -> Account | None:
    """The account of that name."""
    return _account(await tx.one(READ_ACCOUNT_BY_NAME, name_key(username)))


async def account_by_email(tx: Tx, email_key: str) -> Account | None:
    """The account of that address."""
    return _account(await tx.one(READ_ACCOUNT_BY_EMAIL, email_key))


async def account(tx: Tx, user_id: int) -> Account | None:
    """The account."""
    return _account(await tx.one(READ_ACCOUNT, user_id))


async def change_profile(tx: Tx, user_id: int, changes: dict[str, str | None]) -> None:
    """Writes the given fields and leaves the others; raises Problem 401 when the member is gone since they asked."""
    row = await tx.one(READ_PROFILE, user_id)
    if row is None:
        raise unauthorized()
    fields = {name: changes.get(name, row[name]) for name in row.keys()}
    await tx.run(UPDATE_PROFILE, user_id, *fields.values())


async def want_email(tx: Tx, user_id: int, email: str | None, status: str | None) -> None:
    """Writes which address is to take the place of the member's, and what the verifier says of it."""
    await tx.run(WANT_EMAIL, user_id, email, status)


async def change_email(tx: Tx, user_id: int, email: str, email_key: str, status: str) -> bool:
    """Writes another address, which is confirmed; False when somebody else has it."""
    return await tx.run(UPDATE_EMAIL, user_id, email, email_key, status, tx.now) == 1


async def confirm_email(tx: Tx, user_id: int) -> bool:
    """Writes that the address is the member's; False when that is known."""
    return await tx.run(CONFIRM_EMAIL, user_id, tx.now) == 1


async def set_mail_checks(tx: Tx, user_id: int, wanted: bool) -> None:
    """Writes whether the member wants a mail for every check of a file."""
    await tx.run(SET_MAIL_CHECKS, user_id, int(wanted))


async def is_confirmed(tx: Tx, user_id: int) -> bool:
    """Whether the member's address is confirmed."""
    return await tx.value(IS_CONFIRMED, user_id) is not None


async def set_email_status(tx: Tx, user_id: int, email_key: str, status: str) -> bool:
    """Writes a verdict that came late; False when there is nothing pending about that address any more."""
    return await tx.run(UPDATE_EMAIL_STATUS, user_id, email_key, status) == 1


async def ask_of_email_again(tx: Tx, user_id: int) -> None:
    """Writes that a verdict on the address is wanted again, where there was none."""
    await tx.run(ASK_OF_EMAIL_AGAIN, user_id)


async def change_password(tx: Tx, user_id: int, old_hash: str, new_hash: str) -> bool:
    """Replaces the hash; False when it is not the old one any more."""
    return await tx.run(UPDATE_PASSWORD, user_id, old_hash, new_hash) == 1


async def insert_session(tx: Tx, user_id: int, nonce: str, device: str, address: str, lives_ms: int) -> Grant:
    """Opens a session."""
    id_ = await tx.value(INSERT_SESSION, user_id, nonce, tx.now, device, address, tx.now + lives_ms)
    return Grant(user_id, id_, 1, tx.now, nonce)


async def session(tx: Tx, session_id: int) -> SessionRow | None:
    """The session, ended or not."""
    row = await tx.one(READ_SESSION, session_id)
    if row is None:
        return None
    grant = Grant(row["user_id"], session_id, row["generation"], row["issued_at"], row["nonce"])
    return SessionRow(grant, row["expires_at"], row["ended_at"] is not None, row["suspended_at"] is not None)


async def member_of_session(tx: Tx, session_id: int, token_expires_at: int) -> Member | None:
    """Who is signed in by a living session."""
    row = await tx.one(READ_MEMBER, session_id)
    if row is None:
        return None
    return Member(row["id"], row["username"], row["role"], session_id, token_expires_at)


async def not_living(tx: Tx, session_ids: Sequence[int]) -> list[int]:
    """Those sessions that nobody is signed in by any more."""
    return [id_ for id_ in session_ids if await tx.value(READ_MEMBER, id_) is None]


async def rotate_session(tx: Tx, grant: Grant, address: str, lives_ms: int) -> Grant:
    """The next generation of the session."""
    await tx.run(ROTATE_SESSION, grant.session_id, grant.generation, tx.now, tx.now + lives_ms, address)
    return Grant(grant.user_id, grant.session_id, grant.generation + 1, tx.now, grant.nonce)


async def end_session(tx: Tx, session_id: int, user_id: int) -> bool:
    """Ends one session of the member; False when there is no such open one."""
    return await tx.run(END_SESSION, session_id, user_id, tx.now) == 1


async def end_other_sessions(tx: Tx, user_id: int, kept_id: int) -> list[int]:
    """Ends all sessions of the member but one; returns which."""
    return [row["id"] for row in await tx.all(END_OTHER_SESSIONS, user_id, kept_id, tx.now)]


async def sessions(tx: Tx, user_id: int, before: int, limit: int, current: int) -> list[OpenSession]:
    """The member's open sessions, newest first."""
    rows = await tx.all(LIST_SESSIONS, user_id, tx.now, before, limit)
    return [OpenSession(row["id"], row["device"], row["address"], iso(row["created_at"]), iso(row["issued_at"]),
                        iso(row["expires_at"]), row["id"] == current) for row in rows]


async def signed_in_from(tx: Tx, user_id: int) -> list[str]:
    """Where the member signed in from lately, newest first."""
    return [row["address"] for row in await tx.all(SIGNED_IN_FROM, user_id, tx.now - KNOWN_MS, KNOWN_MOST)]


async def prune_sessions(tx: Tx, most: int) -> int:
    """Forgets sessions that expired long ago, at most so many; returns how many."""
    return await tx.run(PRUNE_SESSIONS, tx.now - KNOWN_MS, most)


def _public(row: Row) -> Profile:
    fields: dict[str, Any] = {name: row[name] for name in row.keys()}
    fields["created_at"] = iso(row["created_at"])
    return Profile(**fields)


async def public_profile(tx: Tx, username: str) -> Profile | None:
    """The member of that name as everybody sees them."""
    row = await tx.one(READ_PUBLIC, name_key(username))
    return _public(row) if row else None


async def newest(tx: Tx, before: int, limit: int) -> list[Profile]:
    """Members, newest first."""
    return [_public(row) for row in await tx.all(LIST_NEWEST, before, limit)]


async def by_name(tx: Tx, prefix: str, after: str | None, limit: int) -> list[Profile]:
    """Members whose folded name begins with the prefix, by name; those behind a name."""
    # No name holds a space or a DEL: with the one behind it a name stands last of those before the next, and all that
    # begin with the prefix stand before the prefix with the other.
    begin = prefix if after is None else after + " "
    return [_public(row) for row in await tx.all(LIST_BY_NAME, max(prefix, begin), prefix + "\x7f", limit)]


async def exported_sessions(tx: Tx, user_id: int, after: int, limit: int) -> list[ExportedSession]:
    """The member's sessions behind one, as they are exported."""
    rows = await tx.all(EXPORT_SESSIONS, user_id, after, limit)
    return [ExportedSession(row["id"], row["device"], row["address"], iso(row["created_at"]), iso(row["issued_at"]),
                            iso(row["expires_at"]), iso_or_none(row["ended_at"])) for row in rows]


async def delete_sessions(tx: Tx, user_id: int) -> list[int]:
    """Removes all sessions of the member; returns those that were not ended."""
    return [row["id"] for row in await tx.all(DELETE_SESSIONS, user_id) if row["ended_at"] is None]


async def hold(tx: Tx, user_id: int) -> None:
    """Keeps everybody else from the member to the end of the transaction."""
    await tx.run(HOLD_USER, user_id)


async def delete_user(tx: Tx, user_id: int) -> None:
    """Removes the member, with everything that hangs on their row."""
    await tx.run(DELETE_USER, user_id)
