"""The code of a link, remembered by the browser from the visit to the sign-up: a signed cookie."""
from __future__ import annotations

import base64
import hmac

from server.core.clock import DAY
from server.referrals.codes import folded

COOKIE = "foyer_ref"
SECONDS = 30 * DAY // 1000


class Remembered:
    """Signs what goes into the cookie, and knows its own signature again."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def value(self, code: str) -> str:
        """What stands in the cookie; empty when it cannot be a code."""
        found = folded(code)
        return f"{found}.{self._signature(found)}" if found else ""

    def code(self, cookie: str | None) -> str | None:
        """The code of a cookie that we have signed; None for any other."""
        code, _, signature = (cookie or "").rpartition(".")
        if folded(code) != code:
            return None
        given = signature.encode(errors="replace")
        return code if hmac.compare_digest(given, self._signature(code).encode()) else None

    def _signature(self, code: str) -> str:
        digest = hmac.digest(self._key, b"foyer referral cookie " + code.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
