"""Password hashes: bcrypt, on threads of their own.

bcrypt takes no more than 72 bytes, so it hashes base64(HMAC-SHA-384(a fixed key, the NFKC password)), the form that the
OWASP Password Storage Cheat Sheet names. It releases the GIL: two threads on two cores hash twice as fast, and the loop
goes on. The default executor also serves DNS, so it is not used.
"""
from __future__ import annotations

import asyncio
import base64
import hmac
import os
import secrets
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TypeVar

import bcrypt

from server.core.errors import FieldError, Problem
from server.web.bodies import invalid

T = TypeVar("T")
_KEY = b"foyer password v1"  # fixed: changing it would make every stored hash useless
MOST_SECONDS = 10.0  # of waiting for a turn
NICE = 10


class Hasher:
    """Hashes and verifies; refuses with Problem 503 when the wait for a turn would be longer than ten seconds."""

    def __init__(self, cost: int) -> None:
        self.cost = cost
        self._threads = os.cpu_count() or 1
        self._executor = ThreadPoolExecutor(self._threads, "foyer-bcrypt", initializer=_yield_to_others)
        self._waiting = 0
        self._seconds = 0.25 * 2.0 ** (cost - 12)  # of one hash; a guess that is corrected by measuring
        # Nobody's hash, of the same cost: an unknown name takes the same time as a wrong password.
        self._nobody = bcrypt.gensalt(cost) + secrets.token_hex(16)[:31].encode()

    async def hash(self, password: str) -> str:
        """The hash to store."""
        return (await self._run(lambda: bcrypt.hashpw(_prepared(password), bcrypt.gensalt(self.cost)))).decode()

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password is the one that was hashed; `stored` None (nobody) takes as long and is False."""
        hashed = stored.encode() if stored else self._nobody
        right = await self._run(lambda: _check(_prepared(password), hashed))
        return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether the hash has another cost than new ones get."""
        return stored.split("$")[2:3] != [f"{self.cost:02}"]

    @property
    def waiting(self) -> int:
        """How many are being worked on or wait."""
        return self._waiting

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting * self._seconds / self._threads > MOST_SECONDS:
            raise Problem("busy", "Too many passwords wait to be checked.", headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._timed, work)
        finally:
            self._waiting -= 1

    def _timed(self, work: Callable[[], T]) -> T:
        begin = perf_counter()
        try:
            return work()
        finally:
            self._seconds += 0.2 * (perf_counter() - begin - self._seconds)

    def close(self) -> None:
        """Ends the threads; what waits is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _yield_to_others() -> None:
    # Where threads have a priority of their own (Linux), the loop goes first: it needs little, and all wait for it.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _prepared(password: str) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode()
    return base64.b64encode(hmac.digest(_KEY, text, "sha384"))


def _check(prepared: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(prepared, hashed)
    except ValueError:
        return False  # a damaged hash is nobody's


def check_not_name(field: str, password: str, username: str, email: str) -> None:
    """Raises Problem 422 when the password is the member's own name or address."""
    if is_name(password, username, email, email.partition("@")[0]):
        raise invalid([FieldError(field, "is_the_name", "must not be one's own name or address")])


def is_name(password: str, *names: str) -> bool:
    """Whether the password is one of the member's own names."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    return folded in {name.casefold() for name in names}
