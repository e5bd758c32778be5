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


def encode_word(kind: str, word: str) -> str:
    """The same for a list in the order of a word without a colon."""
    return base64.urlsafe_b64encode(f"{kind}:{word}".encode()).decode().rstrip("=")


def decode(kind: str, cursor: str, count: int) -> tuple[int, ...]:
    """The numbers of a cursor of this kind; raises Problem 400 for anything else."""
    found, *numbers = _parts(cursor)
    values = tuple(int(number) for number in numbers if number.isascii() and number.isdigit() and len(number) < 17)
    if found != kind or len(values) != count or any(value > MAX_ID for value in values):
        raise _bad()
    return values


def decode_word(kind: str, cursor: str) -> str:
    """The word of a cursor of this kind; raises Problem 400 for anything else."""
    found, *words = _parts(cursor)
    if found != kind or len(words) != 1 or not words[0].isprintable():
        raise _bad()
    return words[0]


def _parts(cursor: str) -> list[str]:
    try:
        plain = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        raise _bad() from None
    return plain.split(":")


def _bad() -> Problem:
    return Problem("bad_cursor", "Take the cursor from the 'next' of the same list.")
