"""The tables as `schema.sql` declares them: read from the file itself, so that a new one is never forgotten.

Their order is that of the file, where a table stands behind those that it points at.
"""
from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from server.storage import schema

_TABLE = re.compile(r"CREATE TABLE (\w+) \(\n(.*)\n\) STRICT(?:, WITHOUT ROWID)?;", re.DOTALL)
_COLUMN = re.compile(r"    (\w+) (INTEGER|TEXT|BLOB)\b(.*)")
_KEY = re.compile(r"    PRIMARY KEY \((.*)\)")


@dataclass(frozen=True, slots=True)
class Table:
    """A table, and the statements that concern all of its rows."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    texts: frozenset[str]
    numbered: bool  # whether the database gives its rows their ids
    remembers: bool  # whether SQLite, too, remembers the highest id that it has ever given

    @property
    def read(self) -> str:
        """All rows in the order of their keys, which is the same whatever words the database sorts by."""
        order = (f'{name} /* postgres: COLLATE "C" */' if name in self.texts else name for name in self.key)
        return f"SELECT {', '.join(self.columns)} FROM {self.name} ORDER BY {', '.join(order)}"

    @property
    def insert(self) -> str:
        """One row, in SQLite's own words: PostgreSQL has a quicker way."""
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES ({', '.join('?' * len(self.columns))})"

    @property
    def count(self) -> str:
        """How many rows there are."""
        return f"SELECT count(*) FROM {self.name}"

    @property
    def highest(self) -> str:
        """The highest id that is there."""
        return f"SELECT max(id) FROM {self.name}"


@cache
def tables() -> tuple[Table, ...]:
    """All of them."""
    script = schema.statements(schema.FILE.read_text(encoding="utf-8"))
    return tuple(declared(statement) for statement in script if statement.startswith("CREATE TABLE"))


def declared(statement: str) -> Table:
    """The table that a statement of the schema makes; raises `ValueError` when it is written in another way."""
    found = _TABLE.fullmatch(statement)
    if found is None:
        raise ValueError(f"no table that can be read: {statement}")
    columns: dict[str, tuple[str, str]] = {}
    key: tuple[str, ...] = ()
    for line in found[2].split("\n"):
        if column := _COLUMN.fullmatch(line):
            columns[column[1]] = column[2], column[3]
        elif words := _KEY.fullmatch(line):
            key = tuple(words[1].split(", "))
        else:
            raise ValueError(f"no column that can be read: {line}")
    key = key or tuple(name for name, (_, rest) in columns.items() if rest.startswith(" PRIMARY KEY"))
    _, id_ = columns.get("id", ("", ""))
    texts = frozenset(name for name, (kind, _) in columns.items() if kind == "TEXT")
    return Table(found[1], tuple(columns), key, texts,
                 numbered=id_.startswith(" PRIMARY KEY") and "CHECK" not in id_, remembers="AUTOINCREMENT" in id_)


def truncate(those: Iterable[Table]) -> str:
    """Removes all rows of these tables, as PostgreSQL can do it at once."""
    return f"TRUNCATE {', '.join(table.name for table in those)}"
