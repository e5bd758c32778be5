"""Links that are sent by mail and work once.

The token in a link is a keyed hash of a nonce, so it can be made again for every attempt to send it, and none is
stored: whoever reads the database can use no link.
"""
from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Literal, NamedTuple

from server.core.clock import DAY, HOUR
from server.storage import Row, Tx

Purpose = Literal["confirm", "reset"]
LIVES: dict[Purpose, int] = {"confirm": 3 * DAY, "reset": HOUR}  # milliseconds
BYTES = 16  # 128 bits

INSERT_LINK = """
    INSERT INTO links (user_id, purpose, email, nonce, hash, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id"""
FIND_LINK = "SELECT id, user_id, email FROM links WHERE hash = $1 AND purpose = $2 AND expires_at > $3"
USE_LINK = "DELETE FROM links WHERE id = $1 RETURNING id"
DELETE_LINKS = "DELETE FROM links WHERE user_id = $1 AND purpose = $2"
PRUNE_LINKS = """
    DELETE FROM links WHERE id IN (SELECT id FROM links WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)"""


class Link(NamedTuple):
    """A link that is good: whose, and whose mailbox it proves."""

    id: int
    user_id: int
    email: str


class Links:
    """Makes links and takes them back."""

    def __init__(self, secret: str, house: Callable[[], str]) -> None:
        self._key = hmac.digest(secret.encode(), b"foyer links in mails", "sha256")
        self._house = house

    async def make(self, tx: Tx, user_id: int, purpose: Purpose, email: str) -> int:
        """Adds a link; its id, which goes with the letter."""
        nonce = secrets.token_hex(BYTES)
        return int(await tx.value(INSERT_LINK, user_id, purpose, email, nonce, _hash(self._token(purpose, nonce)),
                                  tx.now, tx.now + LIVES[purpose]))

    def url(self, purpose: str, nonce: str) -> str:
        """The address of the page; the token stands in the fragment, which never reaches a server."""
        return f"{self._house()}/{purpose}#token={self._token(purpose, nonce)}"

    async def find(self, tx: Tx, purpose: Purpose, token: str) -> Link | None:
        """The link behind a token that is good."""
        if not re.fullmatch("[A-Za-z0-9_-]{22}", token, re.ASCII):
            return None
        row = await tx.one(FIND_LINK, _hash(token), purpose, tx.now)
        return None if row is None else _link(row)

    def _token(self, purpose: str, nonce: str) -> str:
        mac = hmac.digest(self._key, f"{purpose} {nonce}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(mac[:BYTES]).decode().rstrip("=")


async def use(tx: Tx, link: Link) -> bool:
    """Uses the link up; False when somebody else has, a moment ago."""
    return await tx.value(USE_LINK, link.id) is not None


async def forget(tx: Tx, user_id: int, purpose: Purpose) -> None:
    """Makes all links of that kind useless."""
    await tx.run(DELETE_LINKS, user_id, purpose)


async def prune(tx: Tx, most: int) -> int:
    """Forgets links that have expired, at most so many; returns how many."""
    return await tx.run(PRUNE_LINKS, tx.now, most)


def _link(row: Row) -> Link:
    return Link(row["id"], row["user_id"], row["email"])


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
