"""The history of the import: one row for each run of a schedule, and who hears how it ended."""
from __future__ import annotations

import msgspec

from server.core.clock import iso, iso_or_none
from server.events import EventLog, EventType
from server.people.model import Counts, Ending, ImportFinished, ImportRun
from server.storage import Row, Tx

IMPORT_FINISHED = EventType("import_finished", ImportFinished,
                            "An import of people, addresses or cards has ended, however it did; for administrators.")

BEGIN_RUN = """
    INSERT INTO import_runs (schedule, status, started_at) VALUES ($1, 'running', $2)
    ON CONFLICT (schedule) WHERE status = 'running' DO NOTHING"""
FIND_RUNNING = "SELECT id FROM import_runs WHERE schedule = $1 AND status = 'running'"
FINISH_RUN = """
    UPDATE import_runs SET status = $2, finished_at = $3, added = $4, changed = $5, unchanged = $6, rejected = $7,
        linked = $8, reasons = $9, error = $10
    WHERE id = $1 RETURNING schedule, started_at"""
_RUN = """
    SELECT id, schedule, status, started_at, finished_at, added, changed, unchanged, rejected, linked, reasons, error
    FROM import_runs"""
READ_RUNS = _RUN + " WHERE schedule = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
READ_LAST = _RUN + " WHERE schedule = $1 ORDER BY id DESC LIMIT 1"
ADMINISTRATORS = "SELECT id FROM users WHERE role = 'admin' AND suspended_at IS NULL ORDER BY id"
# The last one of each schedule stays, however old it is.
PRUNE_RUNS = """
    DELETE FROM import_runs WHERE id IN (
        SELECT r.id FROM import_runs r WHERE r.started_at < $1 AND r.status <> 'running' AND EXISTS (
            SELECT 1 FROM import_runs newer WHERE newer.schedule = r.schedule AND newer.id > r.id)
        ORDER BY r.started_at LIMIT $2)"""


async def begin(tx: Tx, schedule: str) -> int:
    """The id of the run that is under way: of one that was interrupted, or of a new one."""
    await tx.run(BEGIN_RUN, schedule, tx.now)
    return int(await tx.value(FIND_RUNNING, schedule))


async def running(tx: Tx, schedule: str) -> int | None:
    """The id of the run that is under way, if one is."""
    found: int | None = await tx.value(FIND_RUNNING, schedule)
    return found


async def last(tx: Tx, schedule: str) -> ImportRun | None:
    """The newest run, which may be under way."""
    row = await tx.one(READ_LAST, schedule)
    return None if row is None else _run(row)


async def history(tx: Tx, schedule: str, before: int, limit: int) -> list[ImportRun]:
    """The runs before this id, newest first."""
    return [_run(row) for row in await tx.all(READ_RUNS, schedule, before, limit)]


async def prune(tx: Tx, before: int, most: int) -> int:
    """Forgets what began before, at most so many; returns how many."""
    return await tx.run(PRUNE_RUNS, before, most)


def _run(row: Row) -> ImportRun:
    return ImportRun(
        row["id"], row["status"], iso(row["started_at"]), iso_or_none(row["finished_at"]), row["added"], row["changed"],
        row["unchanged"], row["rejected"], row["linked"],
        msgspec.json.decode(row["reasons"], type=dict[str, int]), row["error"])


class Runs:
    """Ends runs, and tells the administrators."""

    def __init__(self, events: EventLog) -> None:
        self._events = events

    async def finish(self, tx: Tx, run_id: int, counts: Counts, error: str | None = None) -> None:
        """Ends a run; with an error it has failed."""
        status: Ending = "done" if error is None else "failed"
        row = await tx.one(FINISH_RUN, run_id, status, tx.now, counts.added, counts.changed, counts.unchanged,
                           counts.rejected, counts.linked, msgspec.json.encode(counts.reasons).decode(), error)
        assert row is not None, "nobody forgets a run that is under way"
        news = ImportFinished(row["schedule"], status, iso(row["started_at"]), iso(tx.now), counts.added,
                              counts.changed, counts.unchanged, counts.rejected, counts.linked, error)
        for member in await tx.all(ADMINISTRATORS):
            await self._events.append(tx, member["id"], IMPORT_FINISHED.name, IMPORT_FINISHED.encode(news))
