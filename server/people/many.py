"""Many rows in one argument of a statement.

Both databases take an object of JSON apart with `json_each`: `key` is a text, and of a `value` that is an object
`value ->> 'name'` is a text (or, in SQLite, a number; a CAST makes one in both). So an import needs the same handful of
statements for one record as for a hundred, which is what makes it fast where each statement is a round trip.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


def many(rows: Mapping[Any, Any]) -> str:
    """The rows as an argument, each under its key (a uid, an id)."""
    return msgspec.json.encode(rows).decode()


def keys(names: Iterable[int | str]) -> str:
    """Uids or ids as an argument; each once."""
    return many(dict.fromkeys(names))
