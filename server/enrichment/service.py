"""The rules of enrichment: one at a time, one `enriched` for each request, never over the member's own words."""
from __future__ import annotations

from collections.abc import Callable

from server.core.clock import HOUR, iso
from server.core.units import Rate
from server.enrichment import queries
from server.enrichment.model import ENRICHED, Enrichment, Field, Status
from server.events import EventLog
from server.jobs import Queue
from server.storage import Tx, member_lock
from server.web.limits import refusal

KIND = "enrich"
ONCE_AN_HOUR = Rate(1, 3600)


class Enricher:
    """Begins and ends enrichments; `profile_changed` is called after a commit that changed a member's profile."""

    def __init__(self, configured: bool, queue: Queue, events: EventLog,
                 profile_changed: Callable[[int], None]) -> None:
        self._configured, self._queue, self._events = configured, queue, events
        self._profile_changed = profile_changed

    async def begin(self, tx: Tx, user_id: int, claimed: bool) -> None:
        """The enrichment of a new member. `claimed`: the person asked not to be looked up."""
        await queries.insert(tx, user_id)
        await self._ask(tx, user_id, claimed)

    async def again(self, tx: Tx, user_id: int, claimed: bool) -> Enrichment:
        """Another one, on request; raises Problem 429 within an hour of the last."""
        await tx.lock(member_lock(user_id))
        status, at = await queries.requested_at(tx, user_id)
        if at > tx.now - HOUR:
            raise refusal("enrichment", ONCE_AN_HOUR, (at + HOUR - tx.now) / 1000)
        if status not in ("queued", "running"):
            await queries.request_again(tx, user_id)
            await self._ask(tx, user_id, claimed)
        return await queries.read(tx, user_id)

    async def _ask(self, tx: Tx, user_id: int, claimed: bool) -> None:
        if claimed:
            await self.end(tx, user_id, "not_found")
        elif not self._configured:
            await self.end(tx, user_id, "not_configured")
        else:
            await self._queue.enqueue(tx, KIND, str(user_id))

    async def found(self, tx: Tx, user_id: int, provider: str, values: dict[str, object]) -> None:
        """A provider knew somebody."""
        at = iso(tx.now)
        fields = {name: Field(value, provider, at) for name, value in values.items()}
        await queries.fill_profile(tx, user_id, fields)
        tx.after_commit(lambda: self._profile_changed(user_id))
        await self.end(tx, user_id, "found", provider, fields)

    async def end(self, tx: Tx, user_id: int, status: Status, provider: str | None = None,
                  fields: dict[str, Field] | None = None) -> None:
        """Ends the request, and tells the member: exactly once."""
        if await queries.end(tx, user_id, status, provider, fields or {}):
            shown = await queries.read(tx, user_id)
            await self._events.append(tx, user_id, ENRICHED.name, ENRICHED.encode(shown))

    async def claimed(self, tx: Tx, user_id: int) -> None:
        """The person asked not to be looked up, as Hunter said only now: what was learned is forgotten."""
        await self.end(tx, user_id, "not_found")
        await queries.forget(tx, user_id)
        tx.after_commit(lambda: self._profile_changed(user_id))
