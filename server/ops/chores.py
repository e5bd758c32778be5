"""What the server does for itself again and again: it forgets, counts, and makes backups."""
from __future__ import annotations

from server.core.clock import MINUTE, SECOND
from server.jobs import Handler, schedules
from server.ops import backups, housekeeping, tally
from server.settings import Settings
from server.storage import Database, Tx
from server.storage.inspection import place_of


def handlers(settings: Settings, database: Database) -> list[Handler]:
    """The jobs."""
    wanted = settings.backup
    made = [backups.BackupJob(place_of(settings), wanted)] if wanted.folder else []
    return [housekeeping.HousekeepingJob(settings.retention), tally.CountJob(database), *made]


async def plan(tx: Tx, settings: Settings) -> None:
    """Their schedules; of the backups what the settings say counts at each start."""
    await schedules.keep(tx, housekeeping.KIND, housekeeping.EVERY_MS, housekeeping.EVERY_MS)
    await schedules.keep(tx, tally.KIND, tally.EVERY_MS, MINUTE)
    if settings.backup.folder:
        await schedules.keep(tx, backups.KIND, int(settings.backup.every * SECOND), backups.FIRST_MS)
    else:
        await schedules.drop(tx, backups.KIND)
