"""The types of people, addresses, cards and their import."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

What = Literal["users", "addresses", "cards"]  # what a schedule imports; also its name
LinkRule = Literal["uid", "embedded", "coordinates", "card", "adopted"]


@dataclass(slots=True)
class Counts:
    """What an import did with the records that came."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    linked: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # why records were rejected, and how many each
