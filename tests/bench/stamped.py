"""A server that notes when each event was committed, for `tests.bench.sockets`; the file is written when it stops."""
from __future__ import annotations

import os
import sys
import time
from typing import Any

from server.cli import main
from server.events import EventLog
from server.storage.sqlite import SqliteDatabase

_noted: list[tuple[int, int, float]] = []
_committed = 0.0
_commit_group, _tell = SqliteDatabase._commit_group, EventLog._tell


def _stamped_commit(self: SqliteDatabase, raw: Any, group: Any) -> Any:
    global _committed
    outcomes = _commit_group(self, raw, group)
    _committed = time.monotonic()
    return outcomes


def _noting(self: EventLog, user_id: int, seq: int, type_: str, at: int, data: str) -> None:
    _noted.append((user_id, seq, _committed))
    _tell(self, user_id, seq, type_, at, data)


if __name__ == "__main__":
    SqliteDatabase._commit_group, EventLog._tell = _stamped_commit, _noting  # type: ignore[method-assign]
    code = main(sys.argv[1:])
    with open(os.environ["BENCH_STAMPS"], "w", encoding="ascii") as file:
        file.writelines(f"{user_id} {seq} {at!r}\n" for user_id, seq, at in _noted)
    sys.exit(code)
