"""Forgets, once an hour, what nobody needs any more."""
from __future__ import annotations

from server.accounts import queries as accounts
from server.core.clock import DAY, HOUR
from server.events import log as events
from server.jobs import Decision, Done, Job, Retry, RetryPolicy, queue
from server.mail import links
from server.mail import queries as mails
from server.posts import queries as posts
from server.providers import answers
from server.storage import Tx
from server.web import allowances, idempotency

KIND = "housekeeping"
EVERY_MS = HOUR
JOBS_KEPT_MS = 7 * DAY


class HousekeepingJob:
    """The job behind the schedule of the same name."""

    kind = KIND
    concurrency = 1
    policy = RetryPolicy(3, 60.0, 600.0)

    async def load(self, tx: Tx, job: Job) -> bool:
        return True

    async def call(self, job: Job, loaded: bool) -> None:
        return None

    async def store(self, tx: Tx, job: Job, loaded: bool, result: None) -> Decision:
        pruned = await events.prune(tx)
        await queue.prune(tx, tx.now - JOBS_KEPT_MS)
        await idempotency.prune(tx)
        await allowances.prune(tx)
        await answers.prune(tx)
        await accounts.prune_sessions(tx)
        await posts.prune_mentions(tx)
        await links.prune(tx)
        await mails.prune(tx)
        # Only so many members at a time: the writer is everybody's.
        return Retry(1000, "more is left", burn=False) if pruned >= events.PRUNED_AT_ONCE else Done()

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        return None
