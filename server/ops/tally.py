"""Counts what there is too much of to be counted whenever somebody asks, and writes the numbers down."""
from __future__ import annotations

from server.core.clock import MINUTE
from server.jobs import Decision, Done, Job, RetryPolicy
from server.storage import Database, Tx

KIND = "tally"
EVERY_MS = 10 * MINUTE
STEP = 20_000  # rows that one read goes through; then it is somebody else's turn

# Along an index each: those are small, and nothing of the rows themselves is read.
COUNT_MEMBERS = """
    SELECT count(*) AS n, max(referral_code) AS last FROM (
        SELECT referral_code FROM users WHERE referral_code > $1 ORDER BY referral_code LIMIT $2) AS step"""
COUNT_POSTS = """
    SELECT count(*) AS n, max(id) AS last FROM (
        SELECT id FROM posts WHERE like_count = $1 AND id > $2 ORDER BY id LIMIT $3) AS step"""
NEXT_LIKE_COUNT = "SELECT min(like_count) FROM posts WHERE like_count > $1"
WRITE_TALLY = """
    INSERT INTO tallies (name, n, at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET n = $2, at = $3"""


async def count_members(tx: Tx, behind: str, most: int) -> tuple[int, str]:
    """How many members there are behind one in the order of their codes, up to so many; and the last of them."""
    row = await tx.one(COUNT_MEMBERS, behind, most)
    assert row is not None
    return row["n"], row["last"] or behind


async def count_posts(tx: Tx, likes: int, behind: int, most: int) -> tuple[int, int]:
    """How many posts with so many likes each there are behind one, up to so many; and the last of them."""
    row = await tx.one(COUNT_POSTS, likes, behind, most)
    assert row is not None
    return row["n"], row["last"] or behind


async def next_like_count(tx: Tx, likes: int) -> int | None:
    """The next higher number of likes that a post has."""
    found: int | None = await tx.value(NEXT_LIKE_COUNT, likes)
    return found


class CountJob:
    """The job behind the schedule of the same name."""

    kind = KIND
    concurrency = 1
    policy = RetryPolicy(3, 60.0, 600.0)

    def __init__(self, database: Database, step: int = STEP) -> None:
        self._database, self._step = database, step

    async def load(self, tx: Tx, job: Job) -> bool:
        return True

    async def call(self, job: Job, loaded: bool) -> dict[str, int]:
        posts, likes = await self._posts_and_likes()
        return {"members": await self._members(), "posts": posts, "likes": likes}

    async def _members(self) -> int:
        total, n, last = 0, self._step, ""
        while n == self._step:
            n, last = await self._database.read(count_members, last, self._step)
            total += n
        return total

    async def _posts_and_likes(self) -> tuple[int, int]:
        """The likes are what the posts have of them together: one by one they are many more.

        A post that is liked meanwhile may be passed by or met twice, which the next count puts right.
        """
        posts = likes = 0
        each: int | None = 0
        while each is not None:
            n = await self._posts_with(each)
            posts, likes = posts + n, likes + n * each
            each = await self._database.read(next_like_count, each)
        return posts, likes

    async def _posts_with(self, likes: int) -> int:
        total, n, last = 0, self._step, 0
        while n == self._step:
            n, last = await self._database.read(count_posts, likes, last, self._step)
            total += n
        return total

    async def store(self, tx: Tx, job: Job, loaded: bool, result: dict[str, int]) -> Decision:
        for name, n in result.items():
            await tx.run(WRITE_TALLY, name, n, tx.now)
        return Done()

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        return None
