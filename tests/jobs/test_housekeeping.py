"""What housekeeping forgets and what it leaves."""
from __future__ import annotations

from typing import Any

from server.core.clock import DAY, HOUR
from server.events import EventLog, Nudges
from server.ops import check
from server.ops.housekeeping import KIND, HousekeepingJob
from server.providers import answers
from server.settings import Retention
from server.storage import Tx
from tests.events.support import Log
from tests.jobs.support import Yard
from tests.support import until

SESSION = """
    INSERT INTO sessions (user_id, nonce, generation, issued_at, device, address, created_at, expires_at)
    VALUES ($1, 'n', 1, 0, 'd', 'a', 0, $2)"""
KEPT_ANSWER = """
    INSERT INTO idempotency (scope, key, body_hash, status, answer, created_at) VALUES ('s', $1, 'h', 200, $3, $2)"""


async def filled(yard: Yard) -> Log:
    log = Log(yard.database, EventLog(Nudges()), yard.moment)
    for member in (1, 2):
        await log.add_member(member)
        await log.append("post_liked", "file_checked", member=member)
    await log.ack(2, member=1)

    async def fill(tx: Tx) -> None:
        for number, expires in enumerate((tx.now - 31 * DAY, tx.now - 29 * DAY, tx.now + DAY)):
            await tx.run(SESSION, 1 + number % 2, expires)
        for number, age in enumerate((25 * HOUR, 23 * HOUR, 0)):
            await tx.run(KEPT_ANSWER, f"k{number}", tx.now - age, b"")
        await answers.remember_not_found(tx, "x", "clearbit")
        await answers.remember_claimed(tx, "y")
    await yard.database.write(fill)
    return log


async def count(yard: Yard, table: str) -> int:
    async def read(tx: Tx) -> int:
        return int(await tx.value(f"SELECT count(*) FROM {table}"))
    return await yard.database.read(read)


async def counts(yard: Yard) -> dict[str, int]:
    return {table: await count(yard, table) for table in ("sessions", "idempotency", "provider_answers", "events")}


async def run(yard: Yard) -> None:
    await yard.add("", kind=KIND)
    if not yard.workers:
        await yard.start(HousekeepingJob(Retention()))  # type: ignore[arg-type]
    yard.queue.wake()

    async def is_done() -> Any:
        return {row["state"] for row in await yard.rows() if row["kind"] == KIND} == {"done"}
    await until(is_done)
    assert await yard.database.read(check.broken) == []


async def test_it_forgets_what_is_old_and_nothing_else(yard: Yard) -> None:
    log = await filled(yard)
    await run(yard)
    assert await counts(yard) == {"sessions": 2, "idempotency": 2, "provider_answers": 2, "events": 6}
    yard.moment.ms += DAY + HOUR
    await run(yard)
    assert await counts(yard) == {"sessions": 1, "idempotency": 0, "provider_answers": 2, "events": 4}
    assert await log.kept(1) == [3] and await log.kept(2) == [1, 2, 3]
    yard.moment.ms += 31 * DAY
    await run(yard)
    assert await counts(yard) == {"sessions": 0, "idempotency": 0, "provider_answers": 1, "events": 0}
    assert await yard.database.read(answers.claimed, "y")


async def test_ended_jobs_are_kept_a_week_and_open_ones_for_good(yard: Yard) -> None:
    await yard.add("waits", kind="nobody's")
    await run(yard)
    yard.moment.ms += 6 * DAY
    await run(yard)
    assert await yard.states() == ["ready", "done", "done"]
    yard.moment.ms += 2 * DAY
    await run(yard)
    assert await yard.states() == ["ready", "done", "done"]  # the first one of housekeeping itself is gone
    assert (await yard.rows())[0]["kind"] == "nobody's"


async def test_many_members_are_done_in_pieces(yard: Yard) -> None:
    log = Log(yard.database, EventLog(Nudges()), yard.moment)
    for member in range(1, 11):
        await log.add_member(member)
    yard.moment.ms += 31 * DAY
    assert [await log.prune(3) for _ in range(5)] == [3, 3, 3, 1, 0]
    await log.sound()
