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


def encode_text(kind: str, number: int, text: str) -> str:
    """The same for a list in the order of any text, and then of a number."""
    return encode_word(f"{kind}:{number}", text)


def decode(kind: str, cursor: str, count: int) -> tuple[int, ...]:
    """The numbers of a cursor of this kind; raises Problem 400 for anything else."""
    found, *numbers = _parts(cursor)
    if found != kind or len(numbers) != count:
        raise _bad()
    return tuple(_number(number) for number in numbers)


def decode_word(kind: str, cursor: str) -> str:
    """The word of a cursor of this kind; raises Problem 400 for anything else."""
    found, *words = _parts(cursor)
    if found != kind or len(words) != 1 or not words[0].isprintable():
        raise _bad()
    return words[0]


def decode_text(kind: str, cursor: str) -> tuple[int, str]:
    """The number and the text of a cursor of this kind; raises Problem 400 for anything else."""
    found, *rest = _parts(cursor, "utf-8")
    text = ":".join(rest[1:])
    if found != kind or len(rest) < 2 or "\0" in text:
        raise _bad()
    return _number(rest[0]), text


def _number(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 16 or int(digits) > MAX_ID:
        raise _bad()
    return int(digits)


def _parts(cursor: str, encoding: str = "ascii") -> list[str]:
    try:
        plain = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode(encoding)
    except (ValueError, binascii.Error):
        raise _bad() from None
    return plain.split(":")


def _bad() -> Problem:
    return Problem("bad_cursor", "Take the cursor from the 'next' of the same list.")
