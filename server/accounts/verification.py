"""Is the address real? Hunter is asked while the newcomer waits, and again in the background when it had no verdict."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

from server.accounts import queries
from server.accounts.queries import Account
from server.core.errors import FieldError, Problem
from server.events import EventLog, EventType
from server.jobs import Decision, Done, Failed, Job, Queue, Retry, RetryPolicy
from server.providers import answers
from server.providers.answers import AddressHash
from server.providers.outcome import Outcome
from server.providers.retrying import retry
from server.settings import VERDICTS
from server.storage import Database, Tx, member_lock

KIND = "verify_email"


class Verified(msgspec.Struct):
    """The data of an `email_verified` event."""

    email_status: Annotated[str, Meta(extra_json_schema={"enum": [*VERDICTS, "unchecked"]})]


EMAIL_VERIFIED = EventType("email_verified", Verified, "A verdict on the address that came after the sign-up's answer.")


class Verifier(Protocol):
    """A service that says whether mail to an address can arrive."""

    async def verify(self, email: str, timeout: float) -> Outcome:
        """Asks about one address."""


class Claimed(Protocol):
    """Called when the person behind a member's address turns out to have asked not to be looked up."""

    async def __call__(self, tx: Tx, user_id: int) -> None:
        """Ends the member's enrichment and forgets what it brought."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of an address when the newcomer is answered."""

    status: str
    claimed: bool = False


class Verification:
    """Judges addresses by the rules of the `[hunter]` settings."""

    def __init__(self, verifier: Verifier | None, database: Database, queue: Queue, address_hash: AddressHash,
                 timeout: float, reject: tuple[str, ...], on_failure: str) -> None:
        self._verifier, self._database, self._queue = verifier, database, queue
        self._address_hash = address_hash
        self._timeout, self._on_failure = timeout, on_failure
        self.reject = reject

    async def judge(self, email: str, email_key: str) -> Judgement:
        """Asks within the inline time; raises Problem 422 for a rejected address, 503 when set so."""
        if self._verifier is None:
            return Judgement("unchecked")
        if await self._database.read(answers.claimed, self._address_hash(email_key)):
            return Judgement("unknown", claimed=True)
        judgement = self._judgement(await self._verifier.verify(email, self._timeout))
        if judgement.status in self.reject:
            sentence = "does not receive mail, or only for a while; give another address"
            raise Problem("email_undeliverable", f"The address {sentence}.",
                          errors=[FieldError("email", "email_undeliverable", sentence)])
        if judgement.status == "pending" and self._on_failure == "reject":
            raise Problem("verifier_unavailable", "The address cannot be checked now; try again in a moment.",
                          headers={"Retry-After": "10"})
        return judgement

    def _judgement(self, outcome: Outcome) -> Judgement:
        match outcome.kind:
            case "verdict":
                return Judgement(outcome.status or "unknown")
            case "claimed":
                return Judgement("unknown", claimed=True)
            case "off" if outcome.reason == "key":
                return Judgement("unchecked")
            case _:
                return Judgement("pending")

    async def begin(self, tx: Tx, user_id: int, email_key: str, judgement: Judgement) -> None:
        """Writes what follows from the judgement: a claim to remember, or a question to ask again."""
        await self.remember(tx, email_key, judgement)
        if judgement.status == "pending":
            await self._queue.enqueue(tx, KIND, str(user_id))

    async def remember(self, tx: Tx, email_key: str, judgement: Judgement) -> None:
        """Writes down that the person asked not to be looked up."""
        if judgement.claimed:
            await answers.remember_claimed(tx, self._address_hash(email_key))


class VerifyJob:
    """Goes on asking until there is a verdict."""

    kind = KIND
    concurrency = 8

    def __init__(self, verifier: Verifier | None, events: EventLog, claimed: Claimed, address_hash: AddressHash,
                 policy: RetryPolicy, timeout: float = 25.0) -> None:
        self._verifier, self._events, self._claimed = verifier, events, claimed
        self._address_hash = address_hash
        self.policy, self._timeout = policy, timeout

    async def load(self, tx: Tx, job: Job) -> Account | None:
        account = await queries.account(tx, int(job.key))
        if account is None or account.email_status != "pending":
            return None
        if self._verifier is None:  # the key was taken away since it was asked for
            await self._end(tx, account, "unchecked")
            return None
        return account

    async def call(self, job: Job, loaded: Account) -> Outcome:
        assert self._verifier is not None
        return await self._verifier.verify(loaded.email, self._timeout)

    async def store(self, tx: Tx, job: Job, loaded: Account, result: Outcome) -> Decision:
        await tx.lock(member_lock(loaded.id))
        if result.kind == "claimed":  # also when the member has given the address up meanwhile
            await answers.remember_claimed(tx, self._address_hash(loaded.email_key))
        account = await queries.account(tx, loaded.id)
        if account is None or account.email_status != "pending":
            return Done()
        if account.email_key != loaded.email_key:
            return Retry(0, "the member took another address", burn=False)
        status = await self._status(tx, account, result)
        if status is not None:
            await self._end(tx, account, status)
            return Done()
        decision = retry(self.policy, job, result, tx.now - job.created_at)
        if isinstance(decision, Failed):
            await self._end(tx, account, "unknown")
        return decision

    async def _status(self, tx: Tx, account: Account, result: Outcome) -> str | None:
        match result.kind:
            case "verdict":
                return result.status or "unknown"
            case "claimed":
                await self._claimed(tx, account.id)
                return "unknown"
            case "off" if result.reason == "key":
                return "unchecked"
        return None

    async def _end(self, tx: Tx, account: Account, status: str) -> None:
        if await queries.set_email_status(tx, account.id, account.email_key, status):
            await self._events.append(tx, account.id, EMAIL_VERIFIED.name, EMAIL_VERIFIED.encode(Verified(status)))

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        account = await queries.account(tx, int(job.key))
        if account is not None:
            await self._end(tx, account, "unknown")

    async def reopen(self, tx: Tx, key: str) -> None:
        """Only an address of which nothing is known is asked about again, and never one whose owner does not want it.
        """
        await tx.lock(member_lock(int(key)))
        account = await queries.account(tx, int(key))
        if account is not None and not await answers.claimed(tx, self._address_hash(account.email_key)):
            await queries.ask_of_email_again(tx, account.id)
