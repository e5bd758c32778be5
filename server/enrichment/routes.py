"""The routes of enrichment."""
from __future__ import annotations

from server.enrichment import queries
from server.enrichment.model import Enrichment
from server.enrichment.service import Enricher
from server.providers import answers
from server.providers.answers import AddressHash
from server.storage import Tx
from server.web.route import Answer, Call, Route


def routes(enricher: Enricher, address_hash: AddressHash) -> list[Route]:
    """What the member can see and ask for."""
    async def show(tx: Tx, call: Call) -> Answer:
        return Answer(await queries.read(tx, call.me.id))

    async def ask_again(tx: Tx, call: Call, prepared: None) -> Answer:
        subject = await queries.subject(tx, call.me.id)
        claimed = subject is not None and await answers.claimed(tx, address_hash(subject.email_key))
        return Answer(await enricher.again(tx, call.me.id, claimed), status=202)

    return [
        Route("GET", "/api/me/enrichment", "How far one's enrichment has come", "member", Enrichment, load=show),
        Route("POST", "/api/me/enrichment", "Ask again who one is; once an hour", "member", Enrichment, status=202,
              store=ask_again),
    ]
