"""What is kept of a card's number: by it two cards are the same, and nobody without the key can try numbers."""
from __future__ import annotations

import hashlib
import hmac

SIZE = 32  # bytes


class Fingerprint:
    """Makes fingerprints with the key that is not in the database."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def of(self, digits: str) -> bytes:
        """The fingerprint of a number. Bytes, because hexadecimal text may look like a number itself."""
        return hmac.digest(self._key, digits.encode(), hashlib.sha256)
