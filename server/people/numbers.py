"""Finds numbers of cards in texts that are none."""
from __future__ import annotations

import re

# Also with single blanks, dashes, dots and unseen joiners between the digits.
_LIKE_A_CARD = re.compile(r"(?<!\d)\d(?:[ .\-\u200c\u200d]?\d){12,18}(?!\d)")
_WEIGHTS = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # what a digit counts for at every second place


def adds_up(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (Luhn), as in every real card number."""
    backwards = [int(digit) for digit in reversed(digits)]
    return (sum(backwards[::2]) + sum(_WEIGHTS[digit] for digit in backwards[1::2])) % 10 == 0


def without_card_numbers(text: str) -> str:
    """The text with `<number>` in place of whatever can be the number of a card."""
    return _LIKE_A_CARD.sub(_replacement, text)


def _replacement(found: re.Match[str]) -> str:
    digits = "".join(ch for ch in found[0] if ch.isdigit())
    return "<number>" if adds_up(digits) else found[0]
