"""The kept answers to requests with an Idempotency-Key."""
from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from server.core.errors import Problem
from server.storage import Tx


@dataclass(frozen=True, slots=True)
class Key:
    """Where an answer is kept, per member and path, or for open routes per path and body; and for how long."""

    scope: str
    key: str
    body_hash: str
    kept_ms: int
    member_id: int | None = None  # whose it is, where a token says so


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before."""

    status: int
    location: str | None
    answer: bytes


FIND = "SELECT body_hash, status, location, answer FROM idempotency WHERE scope = $1 AND key = $2 AND created_at > $3"
# The member may be gone since they asked; then nothing of theirs stands in the answer.
KEEP = """
    INSERT INTO idempotency (scope, key, body_hash, status, location, answer, created_at, member_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, (SELECT id FROM users WHERE id = $8))
    ON CONFLICT (scope, key) DO UPDATE SET body_hash = $3, status = $4, location = $5, answer = $6, created_at = $7,
        member_id = excluded.member_id"""
COUNT_KEPT = "SELECT count(*) FROM idempotency WHERE member_id = $1"
PRUNE = """
    DELETE FROM idempotency WHERE (scope, key) IN (
        SELECT scope, key FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2)"""


def key_of(header: str, place: str, member_id: int | None, body: bytes, secret: bytes, kept_ms: int) -> Key:
    """The key of a request to a `place`; raises Problem 400 when the header cannot be used.

    The body's hash is keyed: a plain one of a sign-up could be guessed at far faster than its password's.
    """
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", header):
        raise Problem("bad_idempotency_key", "Idempotency-Key takes 1 to 255 visible ASCII characters.")
    body_hash = hmac.new(secret, body, hashlib.sha256).hexdigest()
    # On an open route two strangers may choose the same key: they must not see each other's answers.
    scope = f"{place} {member_id}" if member_id else f"{place} {body_hash}"
    return Key(scope, header, body_hash, kept_ms, member_id or None)


async def hold(tx: Tx, key: Key) -> None:
    """Waits for equal requests of other processes; those that come later wait for the end of the transaction."""
    await tx.lock(f"{key.scope} {key.key}")


async def find(tx: Tx, key: Key) -> Kept | None:
    """The kept answer; raises Problem 422 when the key was used with another body."""
    row = await tx.one(FIND, key.scope, key.key, tx.now - key.kept_ms)
    if row is None:
        return None
    if row["body_hash"] != key.body_hash:
        raise Problem("idempotency_mismatch", "Use a new Idempotency-Key for another body.")
    return Kept(row["status"], row["location"], bytes(row["answer"]))


async def keep(tx: Tx, key: Key, kept: Kept, about: int | None = None) -> Kept:
    """Keeps the answer, unless there is one already; returns the one that counts. With the member who asked, or whom
    it is `about`, it is gone."""
    await hold(tx, key)
    earlier = await find(tx, key)
    if earlier is None:
        await tx.run(KEEP, key.scope, key.key, key.body_hash, kept.status, kept.location, kept.answer, tx.now,
                     about or key.member_id)
    return earlier or kept


async def count(tx: Tx, member_id: int) -> int:
    """How many answers are kept with the member's data in them."""
    return int(await tx.value(COUNT_KEPT, member_id))


async def prune(tx: Tx, before: int, most: int) -> int:
    """Forgets answers from `before`, at most so many; returns how many."""
    return await tx.run(PRUNE, before, most)
