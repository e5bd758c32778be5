"""A member leaves: all that is theirs is erased in one transaction, and their name and address are free again.

What is under way at that moment finds no row to write for: whatever points at a member points at their row.
"""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.accounts import queries
from server.accounts.gate import Gate
from server.accounts.queries import Account
from server.accounts.service import changed
from server.audit import queries as audit
from server.audit.log import Actor, record
from server.core.clock import SECOND
from server.jobs import Decision, Done, Job, Queue, Retry, RetryPolicy, queue
from server.providers import answers
from server.providers.answers import AddressHash
from server.storage import Database, Tx

SCRUB = "scrub"
AGAIN_MS = 5 * SECOND


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What of a member stands in other rooms, handed over by `app`."""

    erase_posts: Callable[[Tx, int, str], Awaitable[None]]
    erase_files: Callable[[Tx, int], Awaitable[None]]
    forget_mails: Callable[[Tx, int], Awaitable[None]]
    address_hash: AddressHash
    jobs: tuple[str, ...]  # the kinds whose key is a member's id


class Erasure:
    """Erases members."""

    def __init__(self, gate: Gate, work: Queue, elsewhere: Elsewhere) -> None:
        self._gate, self._queue, self._elsewhere = gate, work, elsewhere

    async def erase(self, tx: Tx, account: Account) -> None:
        """Erases a member whose password was right a moment ago; raises Problem 401 when they are gone, `Outdated` when
        it is another one."""
        await queries.hold(tx, account.id)
        current = await queries.account(tx, account.id)
        if current is None or current.password_hash != account.password_hash:
            raise await changed(tx, account)
        await self._elsewhere.erase_posts(tx, current.id, current.username)
        await self._elsewhere.erase_files(tx, current.id)
        await self._elsewhere.forget_mails(tx, current.id)
        await record(tx, "member_left", Actor(current.id), current.id)
        await audit.forget(tx, current.id)
        await answers.forget(tx, self._elsewhere.address_hash(current.email_key))
        await queue.delete_about(tx, self._elsewhere.jobs, str(current.id))
        await self._gate.end_after_commit(tx, await queries.delete_sessions(tx, current.id))
        await queries.delete_user(tx, current.id)  # events, enrichment and kept answers go along
        await self._queue.enqueue(tx, SCRUB, str(current.id))


class ScrubJob:
    """Sees to it that what was erased cannot be read from the files of the database either.

    A job, because it must happen after the commit, also when the server is killed in between.
    """

    kind = SCRUB
    concurrency = 1
    policy = RetryPolicy(20, 5.0, 300.0)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, tx: Tx, job: Job) -> bool:
        return True

    async def call(self, job: Job, loaded: bool) -> bool:
        return await self._database.scrub()

    async def store(self, tx: Tx, job: Job, loaded: bool, result: bool) -> Decision:
        return Done() if result else Retry(AGAIN_MS, "somebody reads an older state of the database", burn=False)

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        return None
