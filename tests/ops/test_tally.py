"""What is counted in the background: right, a piece at a time, and soon after the first start."""
from __future__ import annotations

import pytest

from server.core.clock import MINUTE
from server.ops import tally
from server.ops.tally import CountJob
from server.storage import Tx
from tests.jobs.support import Yard
from tests.support import Served

MEMBER = """
    INSERT INTO users (id, username, username_key, email, email_key, email_status, password_hash, referral_code,
        created_at)
    VALUES ($1, $2, $2, $2, $2, 'valid', '', $2, 0)"""
POST = "INSERT INTO posts (author_id, title, text, created_at, like_count) VALUES (1, 't', 't', 0, $1)"


async def fill(yard: Yard, members: int, liked: list[int]) -> None:
    """So many members, and posts that are liked so often."""
    async def write(tx: Tx) -> None:
        for number in range(1, members + 1):
            await tx.run(MEMBER, number, f"code {number * 7919 % 1000}")
        for likes in liked:
            await tx.run(POST, likes)
    await yard.database.write(write)


async def count(yard: Yard, step: int) -> dict[str, tuple[int, int]]:
    """Runs the job; the tallies and when they were written."""
    await yard.start(CountJob(yard.database, step))  # type: ignore[arg-type]
    await yard.add("", kind=tally.KIND)
    yard.queue.wake()
    await yard.ended("done")

    async def read(tx: Tx) -> dict[str, tuple[int, int]]:
        return {row["name"]: (row["n"], row["at"]) for row in await tx.all("SELECT name, n, at FROM tallies")}
    return await yard.database.read(read)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 7, 12, 100])
async def test_it_counts_right_whatever_the_size_of_a_piece(yard: Yard, step: int) -> None:
    await fill(yard, 12, [0] * 4 + [3] * 3 + [1] + [4] * 4)
    now = yard.moment.ms
    assert await count(yard, step) == {"members": (12, now), "posts": (12, now), "likes": (9 + 1 + 16, now)}


async def test_nothing_is_counted_as_nothing(yard: Yard) -> None:
    now = yard.moment.ms
    assert await count(yard, 5) == {"members": (0, now), "posts": (0, now), "likes": (0, now)}


async def test_a_later_count_takes_the_place_of_the_earlier_one(yard: Yard) -> None:
    await count(yard, 5)
    await yard.stop()
    await fill(yard, 3, [2, 0])
    yard.moment.ms += 8 * MINUTE
    await yard.start(CountJob(yard.database))  # type: ignore[arg-type]
    await yard.add("", kind=tally.KIND)
    await yard.ended("done", "done")

    async def read(tx: Tx) -> list[tuple[str, int]]:
        return [(row["name"], row["n"]) for row in await tx.all("SELECT name, n FROM tallies ORDER BY name")]
    assert await yard.database.read(read) == [("likes", 2), ("members", 3), ("posts", 2)]


async def test_no_read_goes_through_more_than_a_piece(yard: Yard) -> None:
    await fill(yard, 12, [0] * 12)
    assert await yard.database.read(tally.count_members, "", 5) == (5, "code 352")
    assert await yard.database.read(tally.count_posts, 0, 0, 5) == (5, 5)
    assert await yard.database.read(tally.count_posts, 0, 10, 5) == (2, 12)
    assert await yard.database.read(tally.next_like_count, 0) is None


async def test_a_new_server_counts_soon_and_then_again_and_again(server: Served) -> None:
    async def read(tx: Tx) -> tuple[int, int]:
        row = await tx.one("SELECT every_ms, next_at FROM schedules WHERE name = 'tally'")
        assert row is not None
        return row["every_ms"], row["next_at"] - tx.now
    every, wait = await server.foyer.database.read(read)
    assert every == 10 * MINUTE and 0 < wait <= MINUTE
