"""The SQL of posts and likes."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from server.core.clock import iso, iso_or_none
from server.posts.model import Author, Liker, Post
from server.storage import Row, Tx

_POST = """
    SELECT p.id, p.author_id, u.username, u.name, u.avatar_url, p.title, p.text, p.link, p.created_at, p.edited_at,
        p.like_count
    FROM posts p JOIN users u ON u.id = p.author_id """
READ_POST = _POST + "WHERE p.id = $1"
NEWEST = _POST + "WHERE p.id < $1 ORDER BY p.id DESC LIMIT $2"
MOST_LIKED = _POST + """
    WHERE p.like_count <= $3 AND (p.like_count < $3 OR p.id < $1) ORDER BY p.like_count DESC, p.id DESC LIMIT $2"""
NEWEST_UNLIKED = _POST + "WHERE p.like_count = 0 AND p.id < $1 ORDER BY p.id DESC LIMIT $2"
NEWEST_OF = _POST + "WHERE p.author_id = $3 AND p.id < $1 ORDER BY p.id DESC LIMIT $2"
MOST_LIKED_OF = _POST + """
    WHERE p.author_id = $4 AND p.like_count <= $3 AND (p.like_count < $3 OR p.id < $1)
    ORDER BY p.like_count DESC, p.id DESC LIMIT $2"""
NEWEST_UNLIKED_OF = _POST + """
    WHERE p.author_id = $3 AND p.like_count = 0 AND p.id < $1 ORDER BY p.id DESC LIMIT $2"""
FIND_AUTHOR = "SELECT id FROM users WHERE username_key = $1"
INSERT_POST = """
    INSERT INTO posts (author_id, title, text, link, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id"""
COUNT_POST = "UPDATE users SET post_count = post_count + $2 WHERE id = $1"
READ_EMAIL_STATUS = "SELECT email_status FROM users WHERE id = $1"
UPDATE_POST = "UPDATE posts SET title = $2, text = $3, link = $4, edited_at = $5 WHERE id = $1"
DELETE_POST = "DELETE FROM posts WHERE id = $1"
INSERT_LIKE = """
    INSERT INTO likes (post_id, user_id, at) SELECT id, $2, $3 FROM posts WHERE id = $1
    ON CONFLICT (user_id, post_id) DO NOTHING"""
LIKE_AGAIN = """
    UPDATE likes SET at = $3, taken_back_at = NULL
    WHERE post_id = $1 AND user_id = $2 AND taken_back_at IS NOT NULL"""
TAKE_BACK = """
    UPDATE likes SET taken_back_at = $3 WHERE post_id = $1 AND user_id = $2 AND taken_back_at IS NULL"""
COUNT_LIKE = "UPDATE posts SET like_count = like_count + $2 WHERE id = $1 RETURNING like_count"
HAS_LIKED = "SELECT 1 FROM likes WHERE post_id = $1 AND user_id = $2 AND taken_back_at IS NULL"
READ_LIKERS = """
    SELECT u.id, u.username, u.name, u.avatar_url, l.at
    FROM likes l JOIN users u ON u.id = l.user_id
    WHERE l.post_id = $1 AND l.taken_back_at IS NULL AND l.at <= $2 AND (l.at < $2 OR l.user_id < $3)
    ORDER BY l.at DESC, l.user_id DESC LIMIT $4"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: behind the post with this id, and with that many likes when sorted by likes."""

    before_id: int
    before_likes: int


def _post(row: Row) -> Post:
    author = Author(row["author_id"], row["username"], row["name"], row["avatar_url"])
    return Post(row["id"], author, row["title"], row["text"], row["link"], iso(row["created_at"]),
                iso_or_none(row["edited_at"]), row["like_count"], False)


async def post(tx: Tx, post_id: int) -> Post | None:
    """The post."""
    row = await tx.one(READ_POST, post_id)
    return _post(row) if row else None


async def feed(tx: Tx, author: str | None, unliked: bool, by_likes: bool, place: Place, limit: int) -> list[Post]:
    """A page of posts."""
    rest: list[Any] = []
    if by_likes and not unliked:
        sql, rest = MOST_LIKED, [place.before_likes]
    else:
        sql = NEWEST_UNLIKED if unliked else NEWEST
    if author is not None:
        sql = {MOST_LIKED: MOST_LIKED_OF, NEWEST_UNLIKED: NEWEST_UNLIKED_OF, NEWEST: NEWEST_OF}[sql]
        rest.append(await tx.value(FIND_AUTHOR, author.lower()))
    return [_post(row) for row in await tx.all(sql, place.before_id, limit, *rest)]


async def insert_post(tx: Tx, author_id: int, title: str, text: str, link: str | None) -> int:
    """Adds a post and counts it; returns its id."""
    await tx.run(COUNT_POST, author_id, 1)
    return int(await tx.value(INSERT_POST, author_id, title, text, link, tx.now))


async def email_status(tx: Tx, user_id: int) -> str:
    """What is known of the member's address."""
    return str(await tx.value(READ_EMAIL_STATUS, user_id))


async def update_post(tx: Tx, post_id: int, title: str, text: str, link: str | None) -> None:
    """Writes the new content."""
    await tx.run(UPDATE_POST, post_id, title, text, link, tx.now)


async def delete_post(tx: Tx, post_id: int, author_id: int) -> None:
    """Removes the post with its likes."""
    await tx.run(DELETE_POST, post_id)
    await tx.run(COUNT_POST, author_id, -1)


async def insert_like(tx: Tx, post_id: int, user_id: int) -> bool:
    """Adds a like; False when there was one before (even if it was taken back), or there is no such post."""
    return await tx.run(INSERT_LIKE, post_id, user_id, tx.now) == 1


async def like_again(tx: Tx, post_id: int, user_id: int) -> bool:
    """Brings a like back that was taken back; False when there is none."""
    return await tx.run(LIKE_AGAIN, post_id, user_id, tx.now) == 1


async def take_like_back(tx: Tx, post_id: int, user_id: int) -> bool:
    """Takes a like back; False when there is none."""
    return await tx.run(TAKE_BACK, post_id, user_id, tx.now) == 1


async def count_like(tx: Tx, post_id: int, change: int) -> int:
    """Counts one like more or less; the new number."""
    return int(await tx.value(COUNT_LIKE, post_id, change))


async def liked_among(tx: Tx, user_id: int, post_ids: list[int]) -> frozenset[int]:
    """Which of the posts the member likes."""
    return frozenset([id_ for id_ in post_ids if await tx.value(HAS_LIKED, id_, user_id) is not None])


async def likers(tx: Tx, post_id: int, before: tuple[int, int], limit: int) -> list[tuple[int, Liker]]:
    """Who liked, newest first, each with the time of the like; behind the like with this time and member."""
    rows = await tx.all(READ_LIKERS, post_id, *before, limit)
    return [(row["at"], Liker(row["id"], row["username"], row["name"], row["avatar_url"], iso(row["at"])))
            for row in rows]
