"""Opaque cursors: where the next page of a list begins."""
from __future__ import annotations

import base64
import binascii

from server.core.errors import Problem
from server.web.fields import MAX_ID


def encode(kind: str, *numbers: int) -> str:
    """The cursor of a list of this kind, behind the item with these numbers."""
    plain = ":".join([kind, *map(str, numbers)])
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def decode(kind: str, cursor: str, count: int) -> tuple[int, ...]:
    """The numbers of a cursor of this kind; raises Problem 400 for anything else."""
    try:
        plain = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        found, *numbers = plain.split(":")
        values = tuple(int(number) for number in numbers if number.isascii() and number.isdigit() and len(number) < 17)
    except (ValueError, binascii.Error):
        found, values = "", ()
    if found != kind or len(values) != count or any(value > MAX_ID for value in values):
        raise Problem("bad_cursor", "Take the cursor from the 'next' of the same list.")
    return values
