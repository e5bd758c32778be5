"""Forgets, once an hour, what nobody needs any more."""
from __future__ import annotations

from collections.abc import Awaitable, Callable

from server.accounts import queries as accounts
from server.audit import queries as audit
from server.core.clock import HOUR, SECOND
from server.events import log as events
from server.jobs import Decision, Done, Job, Retry, RetryPolicy, queue
from server.mail import links
from server.mail import queries as mails
from server.ops import backups
from server.people import runs
from server.posts import queries as posts
from server.providers import answers
from server.settings import Retention
from server.storage import Tx
from server.web import allowances, idempotency

KIND = "housekeeping"
EVERY_MS = HOUR
PRUNED_AT_ONCE = 2000  # rows: a few hundredths of a second
PAUSE_MS = SECOND

Prune = Callable[[Tx, int], Awaitable[int]]  # deletes at most so many rows and gives how many there were
PruneOlder = Callable[[Tx, int, int], Awaitable[int]]  # the same, of what is older than a time


class HousekeepingJob:
    """The job behind the schedule of the same name."""

    kind = KIND
    concurrency = 1
    policy = RetryPolicy(3, 60.0, 600.0)

    def __init__(self, kept: Retention) -> None:
        self._events_kept_ms = int(kept.events * SECOND)
        self._prunes: list[Prune] = [
            _older(posts.prune_mentions, kept.events),
            _older(queue.prune, kept.jobs),
            _older(idempotency.prune, kept.idempotency),
            _older(runs.prune, kept.imports),
            _older(audit.prune, kept.audit),
            allowances.prune, answers.prune, accounts.prune_sessions, links.prune, mails.prune, backups.prune]

    async def load(self, tx: Tx, job: Job) -> bool:
        return True

    async def call(self, job: Job, loaded: bool) -> None:
        return None

    async def store(self, tx: Tx, job: Job, loaded: bool, result: None) -> Decision:
        # Only so much at a time: the writer is everybody's. Some members' events are as much as all the rest together.
        more = await self._prune_events(tx) or await self._prune_rows(tx)
        return Retry(PAUSE_MS, "more is left", burn=False) if more else Done()

    async def _prune_events(self, tx: Tx) -> bool:
        return await events.prune(tx, tx.now - self._events_kept_ms) >= events.PRUNED_AT_ONCE

    async def _prune_rows(self, tx: Tx) -> bool:
        left = PRUNED_AT_ONCE
        for prune in self._prunes:
            if left > 0:
                left -= await prune(tx, left)
        return left <= 0

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        return None


def _older(prune: PruneOlder, kept: float) -> Prune:
    async def work(tx: Tx, most: int) -> int:
        return await prune(tx, tx.now - int(kept * SECOND), most)
    return work
