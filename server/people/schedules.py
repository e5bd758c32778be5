"""What administrators see of the import's schedules and what they do with them."""
from __future__ import annotations

from msgspec import UNSET

from server.audit.log import Actor, record
from server.core.clock import SECOND, iso
from server.core.errors import Problem
from server.jobs import Queue, schedules
from server.jobs.schedules import Schedule as Stored
from server.people import runs
from server.people.jobs import KIND, WHATS, name_of
from server.people.model import LONGEST_SECONDS, ChangeSchedule, ImportRun, Schedule, What
from server.settings import RandomData
from server.storage import Tx
from server.web import cursor, paging
from server.web.paging import Page
from server.web.route import Answer, Call, Listing, Route


async def fill(tx: Tx, given: RandomData) -> None:
    """Makes the schedules that are not there yet, as the settings say."""
    seconds = min(max(round(given.every), 1), LONGEST_SECONDS)
    for what in WHATS:
        await schedules.schedule(tx, name_of(what), seconds * SECOND, given.enabled, given.batch)


async def list_all(tx: Tx, call: Call) -> Answer:
    """GET /api/admin/schedules."""
    page: Page = call.query
    begin = cursor.decode("schedules", page.cursor, 1)[0] if page.cursor else 0
    end = begin + page.limit
    shown = [await _shown(tx, what, await schedules.read(tx, name_of(what))) for what in WHATS[begin:end]]
    return Answer(Listing(shown, cursor.encode("schedules", end) if end < len(WHATS) else None))


async def history(tx: Tx, call: Call) -> Answer:
    """GET /api/admin/schedules/{name}/runs."""
    page: Page = call.query
    found = await runs.history(tx, _what(call), paging.before("runs", page), page.limit + 1)
    return Answer(paging.newest_first("runs", page, found))


class Writing:
    """PATCH /api/admin/schedules/{name}, and POST of its run."""

    def __init__(self, work: Queue) -> None:
        self._queue = work

    async def change(self, tx: Tx, call: Call, prepared: None) -> Answer:
        body: ChangeSchedule = call.body
        what = _what(call)
        found = await schedules.hold(tx, name_of(what))
        changed = await schedules.change(
            tx, self._queue, found, found.every_ms if body.every_seconds is UNSET else body.every_seconds * SECOND,
            found.enabled if body.enabled is UNSET else body.enabled,
            found.batch if body.batch is UNSET else body.batch)
        if changed != found:
            await record(tx, "schedule_changed", Actor.of(call), target=f"schedule {what}",
                         every_seconds=changed.every_ms // SECOND, enabled=changed.enabled, batch=changed.batch)
        return Answer(await _shown(tx, what, changed))

    async def run(self, tx: Tx, call: Call, prepared: None) -> Answer:
        what = _what(call)
        await self._queue.bring_forward(tx, KIND, what, tx.now)
        await record(tx, "schedule_run", Actor.of(call), target=f"schedule {what}")
        return Answer(await _shown(tx, what, await schedules.read(tx, name_of(what))), status=202)


def _what(call: Call) -> What:
    for what in WHATS:
        if what == call.name:
            return what
    raise Problem("not_found", f"There is no schedule of this name: there are {', '.join(WHATS)}.")


async def _shown(tx: Tx, what: What, stored: Stored) -> Schedule:
    return Schedule(what, stored.every_ms // SECOND, stored.enabled, stored.batch,
                    iso(stored.next_at) if stored.enabled else None, stored.last_error, await runs.last(tx, what))


def routes(work: Queue) -> list[Route]:
    """The declarations."""
    writing = Writing(work)
    return [
        Route("GET", "/api/admin/schedules", "The schedules of the import", "admin", Schedule, query=Page, listing=True,
              problems=("bad_cursor",), load=list_all),
        Route("PATCH", "/api/admin/schedules/{name}", "Change how often is imported, how much, and whether at all",
              "admin", Schedule, takes=ChangeSchedule, problems=("not_found",), store=writing.change),
        Route("POST", "/api/admin/schedules/{name}/run", "Import now, also when the schedule is disabled; one that is "
              "under way is the one", "admin", Schedule, 202, problems=("not_found",), store=writing.run),
        Route("GET", "/api/admin/schedules/{name}/runs", "The runs of a schedule, newest first", "admin", ImportRun,
              query=Page, listing=True, problems=("not_found", "bad_cursor"), load=history),
    ]
