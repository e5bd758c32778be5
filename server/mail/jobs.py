"""Sends one mail: at least once, always with the same Message-ID."""
from __future__ import annotations

from collections.abc import Callable

from server.core.clock import DAY
from server.jobs import Decision, Done, Failed, Job, Retry, RetryPolicy
from server.mail import letters, queries
from server.mail.letters import Envelope
from server.mail.links import Links
from server.mail.queries import KIND, Stored
from server.providers.mail import Delivery, Mail
from server.storage import Tx

TRIED_MS = 3 * DAY  # a mail server may be down for a weekend
ATTEMPTS = 1000  # what ends it is the time; this many only when it is a fault of ours that goes wrong each time
USELESS = "its link was used or has expired"


class SendJob:
    """The job behind every mail."""

    kind = KIND
    concurrency = 4

    def __init__(self, client: Mail | None, links: Links, sender: str, house: Callable[[], str], first: float,
                 longest: float) -> None:
        self._client, self._links, self._sender, self._house = client, links, sender, house
        self.policy = RetryPolicy(ATTEMPTS, first, longest)

    async def load(self, tx: Tx, job: Job) -> Stored | None:
        mail = await queries.read(tx, int(job.key))
        if mail is None or mail.status == "sent":
            return None
        if self._client is None:  # the mail server was taken away since
            await queries.end(tx, mail.id, "not_configured")
            return None
        if letters.has_link(mail.letter) and mail.link is None:
            await queries.end(tx, mail.id, "failed", USELESS)
            return None
        return mail

    async def call(self, job: Job, loaded: Stored) -> Delivery:
        assert self._client is not None
        link = self._links.url(*loaded.link) if loaded.link else None
        letter = letters.render(loaded.letter, loaded.words, self._house(), link)
        envelope = Envelope(self._sender, loaded.recipient, loaded.message_id, loaded.created_at)
        return await self._client.deliver(loaded.recipient, letters.message(letter, envelope))

    async def store(self, tx: Tx, job: Job, loaded: Stored, result: Delivery) -> Decision:
        if result.kind == "sent":
            await queries.end(tx, loaded.id, "sent")
            return Done()
        if result.kind == "refused" or tx.now - job.created_at > TRIED_MS:
            await queries.end(tx, loaded.id, "failed", result.reason)
            return Failed(result.reason)
        await queries.note(tx, loaded.id, result.reason)
        return Retry(self.policy.wait(job.attempts), result.reason)

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        await queries.end(tx, int(job.key), "failed", error)

    async def reopen(self, tx: Tx, key: str) -> None:
        await queries.reopen(tx, int(key))
