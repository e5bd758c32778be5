"""The words that people are found by: folded, so that capitals, accents and widths make no difference."""
from __future__ import annotations

import unicodedata

MOST = 200  # code points of a folded text: an index of PostgreSQL takes 2,700 bytes, and folding can make text longer
FIRST_LAST, LAST_FIRST, USERNAME = range(3)  # the kinds of words


def fold(text: str) -> str:
    """The text as it is compared: NFKD without marks and unseen characters, in one case, blanks collapsed."""
    # Twice: what becomes of a capital may have to be taken apart again.
    for _ in range(2):
        apart = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(ch for ch in apart if not unicodedata.combining(ch) and unicodedata.category(ch) != "Cf")
    return " ".join(text.split())[:MOST].rstrip()


def fold_or_none(text: str | None) -> str | None:
    """`fold` of what may be absent."""
    return None if text is None else fold(text)


def words(first_name: str, last_name: str, username: str | None) -> dict[int, str]:
    """What a person is found by, by its kind."""
    found = {FIRST_LAST: fold(f"{first_name} {last_name}"), LAST_FIRST: fold(f"{last_name} {first_name}")}
    if username is not None:
        found[USERNAME] = fold(username)
    return found
