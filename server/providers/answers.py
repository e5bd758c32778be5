"""What providers answered about an address, kept under a keyed hash of it: nobody is asked in vain or against the
person's will."""
from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from server.core.clock import DAY
from server.storage import Row, Tx

EVERYBODY = "*"
REMEMBERED_MS = 30 * DAY  # how long "nobody here" is believed; a claim stays for good

AddressHash = Callable[[str], str]

REMEMBER = """
    INSERT INTO provider_answers (address, provider, answer, at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (address, provider) DO UPDATE SET answer = $3, at = $4"""
READ_NOT_FOUND = """
    SELECT provider FROM provider_answers WHERE address = $1 AND answer = 'not_found' AND at >= $2"""
READ_CLAIMED = "SELECT 1 FROM provider_answers WHERE address = $1 AND provider = '*' AND answer = 'claimed'"
FORGET = "DELETE FROM provider_answers WHERE address = $1 AND answer = 'not_found'"
LIST = "SELECT provider, answer, at FROM provider_answers WHERE address = $1 ORDER BY provider"
PRUNE = """
    DELETE FROM provider_answers WHERE (address, provider) IN (
        SELECT address, provider FROM provider_answers WHERE answer = 'not_found' AND at < $1 ORDER BY at LIMIT $2)"""


def hasher(secret: str) -> AddressHash:
    """A function that turns a folded address into its keyed hash."""
    key = hmac.digest(secret.encode(), b"foyer provider answers", "sha256")

    def address_hash(email_key: str) -> str:
        return hmac.new(key, email_key.encode(), hashlib.sha256).hexdigest()
    return address_hash


async def remember_not_found(tx: Tx, address: str, provider: str) -> None:
    """The provider knows nobody behind the address."""
    await tx.run(REMEMBER, address, provider, "not_found", tx.now)


async def remember_claimed(tx: Tx, address: str) -> None:
    """The person asked not to be looked up (Hunter's 451): nobody is ever asked about the address again."""
    await tx.run(REMEMBER, address, EVERYBODY, "claimed", tx.now)


async def not_found_since(tx: Tx, address: str, since: int) -> frozenset[str]:
    """The providers that answered "nobody here" since then."""
    return frozenset(row["provider"] for row in await tx.all(READ_NOT_FOUND, address, since))


async def claimed(tx: Tx, address: str) -> bool:
    """Whether the person asked not to be looked up."""
    return await tx.value(READ_CLAIMED, address) is not None


async def prune(tx: Tx, most: int) -> int:
    """Forgets what is no longer believed, at most so much; returns how much."""
    return await tx.run(PRUNE, tx.now - REMEMBERED_MS, most)


async def forget(tx: Tx, address: str) -> None:
    """Forgets who knew nobody behind the address. A claim stays: that its person is not to be looked up holds for
    whoever gives the address next, and only the claim can tell us."""
    await tx.run(FORGET, address)


async def about(tx: Tx, address: str) -> list[Row]:
    """What was answered about the address: `provider`, `answer`, `at`."""
    return await tx.all(LIST, address)
