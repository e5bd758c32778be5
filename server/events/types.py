"""What kinds of events there are: each feature declares its own, `app.py` gathers them."""
from __future__ import annotations

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event: its name on the wire, what its data is, and a sentence on when it comes."""

    name: str
    data: type[msgspec.Struct]
    says: str

    def encode(self, data: msgspec.Struct) -> str:
        """The data as JSON, as the log takes it."""
        return msgspec.json.encode(data).decode()
