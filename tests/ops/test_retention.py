"""How long things are kept: exactly as long as the settings say, and never so much is forgotten at once that others
have to wait."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from server.core.clock import DAY, HOUR, SECOND
from server.core.errors import ConfigError
from server.events import EventLog, Nudges
from server.jobs import Done, Job, Retry
from server.ops import backups, check, housekeeping
from server.ops.housekeeping import HousekeepingJob
from server.settings import Retention
from server.storage import Tx
from server.web import idempotency
from server.web.idempotency import Kept
from tests.conftest import Serve
from tests.events.support import Log
from tests.jobs.support import Yard
from tests.support import settings, until

# No two alike, so that none is taken for another.
KEPT = Retention(events=40 * 86400.0, idempotency=2 * 3600.0, jobs=3 * 86400.0, imports=5 * 86400.0, audit=50 * 86400.0)
JOB = Job(1, housekeeping.KIND, "", 1, None, 0)


@dataclass(frozen=True)
class Kind:
    """Rows of a kind: how long they are kept, how one of a moment is made, and where its moment stands."""

    kept_ms: int
    insert: str
    column: str = "at"


KINDS = {
    "jobs": Kind(3 * DAY, """
        INSERT INTO jobs (kind, key, body, state, run_at, created_at, finished_at)
        VALUES ('k', '', '{}', 'failed', 0, 0, $1)""", "finished_at"),
    "idempotency": Kind(2 * HOUR, """
        INSERT INTO idempotency (scope, key, body_hash, status, answer, created_at)
        VALUES ('s', (SELECT CAST(count(*) AS TEXT) FROM idempotency), '', 200, $2, $1)""", "created_at"),
    "import_runs": Kind(5 * DAY, """
        INSERT INTO import_runs (schedule, status, started_at, finished_at) VALUES ('users', 'done', $1, $1)""",
                        "started_at"),
    "audit": Kind(50 * DAY, "INSERT INTO audit (at, act) VALUES ($1, 'signed_in')"),
    "backups": Kind(backups.KEPT_MS, """
        INSERT INTO backups (file, started_at, finished_at, size) VALUES ('f', 0, $1, 1)""", "finished_at"),
}


async def fill(yard: Yard, kind: str, ages: list[int]) -> None:
    """Adds a row of each age."""
    insert, more = KINDS[kind].insert, [b""] if kind == "idempotency" else []

    async def write(tx: Tx) -> None:
        for age in ages:
            await tx.run(insert, tx.now - age, *more)
    await yard.database.write(write)


async def ages(yard: Yard, kind: str) -> list[int]:
    """How old the rows are that are left, the oldest first."""
    async def read(tx: Tx) -> list[int]:
        rows = await tx.all(f"SELECT {KINDS[kind].column} AS moment FROM {kind} ORDER BY moment")
        return [tx.now - row["moment"] for row in rows]
    return await yard.database.read(read)


async def once(yard: Yard) -> Any:
    """One transaction of housekeeping; how it goes on."""
    return await yard.database.write(HousekeepingJob(KEPT).store, JOB, True, None)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_each_kind_goes_exactly_at_its_age(yard: Yard, kind: str) -> None:
    kept = KINDS[kind].kept_ms
    await fill(yard, kind, [kept + DAY, kept + 1, kept, kept - 1, 0])
    assert await once(yard) == Done()
    assert await ages(yard, kind) == [kept, kept - 1, 0]


async def test_an_open_job_and_the_last_import_stay_however_old(yard: Yard) -> None:
    await yard.add("x", kind="nobody's", run_at=0)
    await fill(yard, "import_runs", [400 * DAY, 300 * DAY])
    yard.moment.ms += 100 * DAY
    assert await once(yard) == Done()
    assert await ages(yard, "import_runs") == [400 * DAY] and await yard.states() == ["ready"]


async def test_events_and_who_is_named_in_them_wait_as_long_as_the_settings_say(yard: Yard) -> None:
    log = Log(yard.database, EventLog(Nudges()), yard.moment)
    for member in (1, 2):
        await log.add_member(member)

    async def mention(tx: Tx) -> None:
        await tx.run("INSERT INTO mentions (member_id, told_id, told, at) VALUES (2, 1, 1, $1)", tx.now)
    await yard.database.write(mention)
    yard.moment.ms += 40 * DAY
    await log.append("file_checked")
    await once(yard)
    assert await log.kept() == [1, 2] and await mentions(yard) == 1
    yard.moment.ms += 1
    await once(yard)
    assert await log.kept() == [2] and await mentions(yard) == 0
    assert (await log.page(0)).gap == 2 and await yard.database.read(check.broken) == []


async def mentions(yard: Yard) -> int:
    """How many there are."""
    async def read(tx: Tx) -> int:
        return int(await tx.value("SELECT count(*) FROM mentions"))
    return await yard.database.read(read)


async def test_acknowledged_events_go_after_a_day_also_when_others_go_sooner(yard: Yard) -> None:
    log = Log(yard.database, EventLog(Nudges()), yard.moment)
    await log.add_member(1)
    await log.append("file_checked")
    await log.ack(1)
    brief = HousekeepingJob(Retention(events=3600.0))
    yard.moment.ms += HOUR
    await yard.database.write(brief.store, JOB, True, None)
    assert await log.kept() == [1, 2]
    yard.moment.ms += 1
    await yard.database.write(brief.store, JOB, True, None)
    assert await log.kept() == [] and await yard.database.read(check.broken) == []


async def test_of_few_members_with_many_events_some_go_at_a_time(yard: Yard) -> None:
    log = Log(yard.database, EventLog(Nudges()), yard.moment)
    for member in (1, 2):
        await log.add_member(member)
        await log.append(*["file_checked"] * 99, member=member)
    yard.moment.ms += 31 * DAY
    assert [await log.prune(2) for _ in range(4)] == [2, 2, 1, 0]
    await log.sound()


async def test_an_answer_is_given_again_as_long_as_the_settings_say(yard: Yard) -> None:
    key = idempotency.key_of("k", "POST /x", 1, b"", b"secret", 2 * HOUR)
    await yard.database.write(idempotency.keep, key, Kept(201, None, b"first"))
    yard.moment.ms += 2 * HOUR - 1
    assert await yard.database.read(idempotency.find, key) == Kept(201, None, b"first")
    yard.moment.ms += 1
    assert await yard.database.read(idempotency.find, key) is None


async def test_a_server_keeps_answers_as_its_settings_say(serve: Serve) -> None:
    for kept, posts in (("24 h", 1), ("1 ms", 2)):
        served = await serve({"retention.idempotency": kept})
        token = (await served.api.sign_up())["access_token"]
        ids = [(await served.api.post("/api/posts", {"title": "t", "text": "t"}, token=token,
                                      headers={"Idempotency-Key": f"key-{posts}"})).data["id"] for _ in range(2)]
        assert len(set(ids)) == posts
        await served.stop()


async def test_what_is_much_is_forgotten_in_pieces(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PRUNED_AT_ONCE", 10)
    for kind in KINDS:
        await fill(yard, kind, [KINDS[kind].kept_ms + 1 + number for number in range(7)] + [0])

    async def rows() -> int:
        return sum([len(await ages(yard, kind)) for kind in KINDS])
    left, gone = await rows(), []
    while await once(yard) == Retry(SECOND, "more is left", burn=False):
        gone.append(left - (left := await rows()))
    assert gone == [10, 10, 10] and await rows() == len(KINDS)


async def test_the_job_goes_on_until_nothing_is_left(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PRUNED_AT_ONCE", 3)
    await fill(yard, "audit", [51 * DAY] * 7)
    await yard.start(HousekeepingJob(KEPT))  # type: ignore[arg-type]
    await yard.add("", kind=housekeeping.KIND)
    for left in (4, 1, 0):

        async def are_left(left: int = left) -> bool:
            return len(await ages(yard, "audit")) == left
        await until(are_left)
        yard.later(1)
    await yard.ended("done")
    assert (await yard.rows())[0]["attempts"] == 1


@pytest.mark.parametrize("name", ["events", "idempotency", "jobs", "imports", "audit"])
def test_a_time_that_no_clock_reaches_is_refused(tmp_path: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[retention\] {name}: expected at most 36500 d"):
        settings(tmp_path, {f"retention.{name}": "36501 d"})
