"""What an import does with the records that came: takes what may be kept, stores it and links it."""
from __future__ import annotations

from collections.abc import Sequence

from server.people import intake, storing
from server.people.fingerprint import Fingerprint
from server.people.model import Counts, Taken, What
from server.storage import Tx


class Importing:
    """`card_key`: keys the fingerprints of the card numbers."""

    def __init__(self, card_key: str) -> None:
        self._fingerprint = Fingerprint(card_key)

    def take(self, what: What, records: Sequence[object]) -> Taken:
        """What may be kept of the records. No password, social insurance number or card number leaves this."""
        return intake.take(what, records, self._fingerprint)

    async def store(self, tx: Tx, what: What, taken: Taken) -> Counts:
        """Stores and links what was taken, in the caller's transaction. The same again changes nothing."""
        return await storing.store(tx, what, taken)
