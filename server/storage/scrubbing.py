"""What was deleted is to be gone from the files too.

In the database file SQLite overwrites it with zeros (`secure_delete`). The log still has the pages as they were before,
until it is written over some day; so it is emptied.
"""
from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from functools import partial

from server.storage.connection import Connection, sqlite

log = logging.getLogger("foyer.storage")
READERS_MS = 100  # how long readers are waited for, while everybody who writes waits


async def scrub(writer: Connection, patience_ms: int) -> bool:
    """Empties the log; False when somebody still reads a state that only the log has. `patience_ms`: the connection's
    usual one."""
    done: Future[bool] = Future()
    writer.submit(partial(_scrub, writer, patience_ms, done))
    return await asyncio.wrap_future(done)


def _scrub(writer: Connection, patience_ms: int, done: Future[bool]) -> None:
    # On the writer's thread, between two groups: no transaction is open.
    emptied = False
    try:
        writer.raw.execute(f"PRAGMA busy_timeout={READERS_MS}").fetchall()
        emptied = not writer.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()["busy"]
    except sqlite.Error as error:
        log.warning("the log cannot be emptied now: %s", error)
    finally:
        writer.raw.execute(f"PRAGMA busy_timeout={patience_ms}").fetchall()
    if done.set_running_or_notify_cancel():
        done.set_result(emptied)
