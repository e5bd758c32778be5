"""What an enrichment looks like, on the wire and in the table."""
from __future__ import annotations

from typing import Any, Literal

import msgspec

from server.events import EventType

Status = Literal["queued", "running", "found", "not_found", "failed", "not_configured"]

# The fields that stand in the member's own profile and are filled while empty; the others are only shown.
PROFILE = ("name", "title", "company", "location", "bio", "site", "avatar_url")


class Field(msgspec.Struct):
    """What a provider knew about one field, and when it said so."""

    value: Any
    source: str
    at: str


class Enrichment(msgspec.Struct):
    """How far the enrichment of a member has come."""

    status: Status
    provider: str | None
    attempts: int
    updated_at: str
    next_attempt_at: str | None
    fields: dict[str, Field]


class ExportedEnrichment(Enrichment):
    """All that is kept of a member's enrichment. `filled`: what it wrote into the profile."""

    requests: int
    requested_at: str | None
    filled: dict[str, str]


class Enriched(Enrichment):
    """An enrichment that has ended."""

    status: Literal["found", "not_found", "failed", "not_configured"]


ENRICHED = EventType("enriched", Enriched, "An enrichment has ended: one for each sign-up and for each later request.")
