"""A database of the real schema with some thousand rows in every table that grows."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from server.storage import schema
from server.storage.connection import sqlite

# Tables that stay small however large the community grows.
SMALL = {"meta": "one row", "schedules": "a row for each kind of work that repeats itself",
         "tallies": "a row for each number that is kept",
         "sqlite_master": "a row for each table and index"}
MEMBERS, ROWS = 2000, 6000


class Filled:
    """An open database."""

    def __init__(self, path: Path) -> None:
        self.raw = sqlite.connect(str(path), isolation_level=None)
        for statement in schema.statements(schema.FILE.read_text(encoding="utf-8")):
            self.raw.execute(statement)
        self.raw.execute("BEGIN")
        for table in self.tables():
            if table not in SMALL:
                self._fill(table, MEMBERS if table == "users" else ROWS)
        self.raw.execute("COMMIT")

    def _fill(self, table: str, count: int) -> None:
        """Rows that keep to the table's own rules, whatever it is for."""
        declared = self._column("SELECT sql FROM sqlite_master WHERE name = ?", table)[0]
        references = self.references(table)
        values: dict[str, str] = {}
        columns = "SELECT name, type, dflt_value FROM pragma_table_info(?)"
        for name, kind, default in self.raw.execute(columns, (table,)):
            words = re.search(rf"\b{name} IN \(([^)]+)\)", declared)
            if references.get(name) == "contents":
                values[name] = "'x' || i"  # as there is one of each
            elif name in references:
                values[name] = f"1 + i % {MEMBERS}"
            elif words:
                allowed = words[1].split(", ")
                values[name] = " ".join(["CASE i %", str(len(allowed)), *(
                    f"WHEN {number} THEN {word}" for number, word in enumerate(allowed)), "END"])
            elif default is None:
                values[name] = {"INTEGER": "i", "TEXT": "'x' || i", "BLOB": "x'00'"}[kind]
        self.raw.execute(f"""
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
            INSERT OR IGNORE INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM n""")

    def tables(self) -> list[str]:
        """The tables of the schema, in its order."""
        return self._column("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")

    def references(self, table: str) -> dict[str, str]:
        """The columns that point at other tables, and which."""
        return dict(self.raw.execute("SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?)", (table,)))

    def count(self, table: str) -> int:
        """How many rows it has."""
        return int(self._column(f"SELECT count(*) FROM {table}")[0])

    def plan(self, sql: str) -> list[str]:
        """How SQLite would carry the statement out."""
        numbered = re.sub(r"\$(?=\d)", "?", sql)
        most = max([0, *map(int, re.findall(r"\?(\d+)", numbered))])
        return [row[3] for row in self.raw.execute(f"EXPLAIN QUERY PLAN {numbered}", (None,) * most)]

    def _column(self, sql: str, *args: str) -> list[Any]:
        return [row[0] for row in self.raw.execute(sql, args)]
