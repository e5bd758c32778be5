"""The state of the server in numbers, for administrators."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from server.admin.model import Counted, Imported, JobCounts, LastBackup, Space, Stats
from server.core.clock import iso, iso_or_none
from server.jobs import queue
from server.storage import Database, Tx
from server.web.route import Answer, Call, Route

COUNTED = 100_000  # what is more is taken from where it was counted in the background

NOT_CONFIGURED = {"state": "not_configured", "reason": "", "until": None}

READ_TALLIES = "SELECT name, n, at FROM tallies"
# How many were looked at, and how many of them count: not the likes that were taken back.
COUNTS = {
    "members": "SELECT count(*), count(*) FROM (SELECT id FROM users LIMIT $1) AS looked",
    "posts": "SELECT count(*), count(*) FROM (SELECT id FROM posts LIMIT $1) AS looked",
    "likes": """
        SELECT count(*), count(*) - count(taken_back_at) FROM (SELECT taken_back_at FROM likes LIMIT $1) AS looked""",
}
COUNT_ENDED_JOBS = "SELECT count(*) FROM (SELECT id FROM jobs WHERE finished_at > 0 LIMIT $1) AS looked"
LAST_BACKUP = "SELECT file, finished_at, size FROM backups WHERE error IS NULL ORDER BY id DESC LIMIT 1"


class Describes(Protocol):
    """An outside service whose state can be told."""

    def describe(self) -> Mapping[str, object]:
        """`state`, `reason`, `until` and the last error."""


@dataclass(frozen=True, slots=True)
class Server:
    """What is known of this process without the database. `providers`: None for one that is not configured."""

    version: str
    started_at: int
    sockets: Callable[[], int]
    providers: Mapping[str, Describes | None]


class _Tally(NamedTuple):
    """How many there are, and when that was counted; None: there are more, which nobody has counted yet."""

    n: int
    at: int | None


@dataclass(frozen=True, slots=True)
class _Stored:
    """What stands in the database."""

    tallies: Mapping[str, _Tally]
    jobs: JobCounts
    people: Imported
    last_backup: LastBackup | None


async def _stored(tx: Tx) -> _Stored:
    kept = {row["name"]: _Tally(row["n"], row["at"]) for row in await tx.all(READ_TALLIES)}
    people = Imported(*(kept[name].n if name in kept else 0 for name in Imported.__struct_fields__))
    tallies = {name: await _tally(tx, name, kept.get(name)) for name in COUNTS}
    return _Stored(tallies, await _jobs(tx), people, await _last_backup(tx))


async def _tally(tx: Tx, name: str, kept: _Tally | None) -> _Tally:
    if kept is not None and kept.n > COUNTED:
        return kept
    sql = COUNTS[name]
    row = await tx.one(sql, COUNTED + 1)
    looked, count = row or (0, 0)
    if looked <= COUNTED:
        return _Tally(count, tx.now)
    return _Tally(min(count, COUNTED), None)  # it has grown so far since it was counted, if it ever was


async def _jobs(tx: Tx) -> JobCounts:
    found = dict.fromkeys(("ready", "running", "failed"), 0)
    for (_, state), number in (await queue.counts(tx)).items():
        found[state] += number
    ended = int(await tx.value(COUNT_ENDED_JOBS, COUNTED + found["failed"]))
    return JobCounts(**found, done=max(0, ended - found["failed"]))


async def _last_backup(tx: Tx) -> LastBackup | None:
    row = await tx.one(LAST_BACKUP)
    return None if row is None else LastBackup(row["file"], iso(row["finished_at"]), row["size"])


def route(database: Database, server: Server) -> Route:
    """GET /api/admin/stats."""
    async def tell(call: Call) -> Answer:
        stored, size = await database.read(_stored), await database.size()
        return Answer(Stats(
            server.version, iso(server.started_at), **{name: tally.n for name, tally in stored.tallies.items()},
            counted=Counted(**{f"{name}_at": iso_or_none(tally.at) for name, tally in stored.tallies.items()}),
            jobs=stored.jobs, people=stored.people, sockets=server.sockets(),
            database=Space(size.bytes, size.wal_bytes), last_backup=stored.last_backup,
            providers={name: dict(provider.describe()) if provider else NOT_CONFIGURED
                       for name, provider in server.providers.items()}))

    return Route("GET", "/api/admin/stats", "The state of the server in numbers", "admin", Stats, tell=tell)
