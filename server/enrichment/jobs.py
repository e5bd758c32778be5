"""The background work of enrichment: one round through the providers, in their order."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.enrichment import queries
from server.enrichment.queries import Subject
from server.enrichment.service import KIND, Enricher
from server.jobs import Decision, Done, Failed, Job, Retry, RetryPolicy
from server.providers import answers
from server.providers.answers import AddressHash
from server.providers.outcome import Outcome
from server.providers.provider import Provider
from server.providers.retrying import retry
from server.providers.waits import LONGEST
from server.storage import Tx, member_lock


@dataclass(slots=True)
class Round:
    """What one round brought. Without `found` and without `unfinished`, nobody was found."""

    found: tuple[str, dict[str, Any]] | None = None
    claimed: bool = False
    not_found: list[str] = field(default_factory=list)
    unfinished: Outcome | None = None
    off: list[str] = field(default_factory=list)


class EnrichJob:
    """Asks who a member is."""

    kind = KIND

    def __init__(self, providers: Sequence[Provider], enricher: Enricher, address_hash: AddressHash,
                 policy: RetryPolicy, concurrency: int) -> None:
        self._providers, self._enricher, self._address_hash = providers, enricher, address_hash
        self.policy, self.concurrency = policy, concurrency

    async def load(self, tx: Tx, job: Job) -> tuple[Subject, frozenset[str]] | None:
        subject = await queries.subject(tx, int(job.key))
        if subject is None or subject.status not in ("queued", "running"):
            return None
        if not self._providers:  # the keys were taken away since it was asked for
            await self._enricher.end(tx, subject.user_id, "not_configured")
            return None
        await queries.start(tx, subject.user_id, job.attempts)
        address = self._address_hash(subject.email_key)
        if await answers.claimed(tx, address):
            await self._enricher.end(tx, subject.user_id, "not_found")
            return None
        # Somebody who asks by themselves wants to be looked up again; after a sign-up an older answer will do.
        since = subject.requested_at - (answers.REMEMBERED_MS if subject.requests == 1 else 0)
        return subject, await answers.not_found_since(tx, address, since)

    async def call(self, job: Job, loaded: tuple[Subject, frozenset[str]]) -> Round:
        subject, known = loaded
        result = Round()
        for provider in self._providers:
            if provider.name in known:
                continue
            outcome = await provider.find(subject.email)
            if self._ends_round(result, provider.name, outcome, self.policy.exhausted(job.attempts)):
                break
        return result

    def _ends_round(self, result: Round, name: str, outcome: Outcome, last: bool) -> bool:
        match outcome.kind:
            case "found":
                result.found = (name, outcome.fields or {})
            case "claimed":
                result.claimed = True
            case "not_found":
                result.not_found.append(name)
                return False
            case "off":
                result.off.append(f"{name}: {outcome.reason}")
                return False
            case _:
                # Not answered: this provider is asked again before the next one is, except when there is no again, or
                # not for a long while (an hour's calls are used up): then only if nobody else knows the person.
                result.unfinished = outcome
                return not last and (outcome.wait or 0.0) <= LONGEST
        return True

    async def store(self, tx: Tx, job: Job, loaded: tuple[Subject, frozenset[str]], result: Round) -> Decision:
        subject = loaded[0]
        await tx.lock(member_lock(subject.user_id))
        address = self._address_hash(subject.email_key)
        current = await queries.subject(tx, subject.user_id)
        for provider in result.not_found if current else ():  # of who is gone nothing new is kept
            await answers.remember_not_found(tx, address, provider)
        if result.claimed:  # but that is kept
            await answers.remember_claimed(tx, address)
            await self._enricher.claimed(tx, subject.user_id)
            return Done()
        if current is None or current.status not in ("queued", "running"):
            return Done()  # the verifier learned meanwhile that the person does not want this, or they are gone
        if result.found:
            await self._enricher.found(tx, subject.user_id, *result.found)
            return Done()
        return await self._nobody(tx, job, subject, result, known=bool(loaded[1]))

    async def _nobody(self, tx: Tx, job: Job, subject: Subject, result: Round, known: bool) -> Decision:
        if result.unfinished:
            decision = retry(self.policy, job, result.unfinished, tx.now - subject.requested_at)
            if isinstance(decision, Retry):
                await queries.postpone(tx, subject.user_id, tx.now + decision.wait)
            else:
                await self._enricher.end(tx, subject.user_id, "failed")
            return decision
        if result.off and not result.not_found and not known:
            # Nobody could be asked, and waiting for a quota or a key can take weeks: the member hears it now.
            await self._enricher.end(tx, subject.user_id, "failed")
            return Failed("no provider can be asked: " + "; ".join(result.off))
        await self._enricher.end(tx, subject.user_id, "not_found")
        return Done()

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        await self._enricher.end(tx, int(job.key), "failed")

    async def reopen(self, tx: Tx, key: str) -> None:
        """It counts as another request, which ends with an `enriched` of its own."""
        await tx.lock(member_lock(int(key)))
        subject = await queries.subject(tx, int(key))
        if subject is not None and subject.status not in ("queued", "running"):
            await queries.request_again(tx, subject.user_id)
