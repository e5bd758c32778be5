"""The SQL of posts and likes."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from server.core.clock import iso, iso_or_none
from server.posts.model import Author, ExportedLike, ExportedPost, Liker, Post
from server.storage import Row, Tx

_COLUMNS = """
    SELECT p.id, p.author_id, u.username, u.name, u.avatar_url, p.title, p.text, p.link, p.created_at, p.edited_at,
        p.like_count"""
_FROM = """
    FROM posts p JOIN users u ON u.id = p.author_id """
# Whether member $3 likes each: with the page in one statement, since each statement has its price.
_LIKED = """, EXISTS (
        SELECT 1 FROM likes l WHERE l.user_id = $3 AND l.post_id = p.id AND l.taken_back_at IS NULL) AS liked"""
_PAGE = _COLUMNS + _LIKED + _FROM
READ_POST = _COLUMNS + ", 0 AS liked" + _FROM + "WHERE p.id = $1"
_NEWEST = "WHERE p.id < $1 ORDER BY p.id DESC LIMIT $2"
_MOST_LIKED = """
    WHERE p.like_count <= $4 AND (p.like_count < $4 OR p.id < $1) ORDER BY p.like_count DESC, p.id DESC LIMIT $2"""
_UNLIKED = "WHERE p.like_count = 0 AND p.id < $1 ORDER BY p.id DESC LIMIT $2"
_NEWEST_OF = "WHERE p.author_id = $4 AND p.id < $1 ORDER BY p.id DESC LIMIT $2"
_MOST_LIKED_OF = """
    WHERE p.author_id = $5 AND p.like_count <= $4 AND (p.like_count < $4 OR p.id < $1)
    ORDER BY p.like_count DESC, p.id DESC LIMIT $2"""
_UNLIKED_OF = "WHERE p.author_id = $4 AND p.like_count = 0 AND p.id < $1 ORDER BY p.id DESC LIMIT $2"
# By order, of all or `of` one author.
FEED = {
    "new": _PAGE + _NEWEST, "likes": _PAGE + _MOST_LIKED, "unliked": _PAGE + _UNLIKED,
    "new_of": _PAGE + _NEWEST_OF, "likes_of": _PAGE + _MOST_LIKED_OF, "unliked_of": _PAGE + _UNLIKED_OF,
}
FIND_AUTHOR = "SELECT id FROM users WHERE username_key = $1"
INSERT_POST = """
    INSERT INTO posts (author_id, title, text, link, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id"""
COUNT_POST = "UPDATE users SET post_count = post_count + $2 WHERE id = $1"
COUNT_NEW_POST = """
    UPDATE users SET post_count = post_count + 1 WHERE id = $1
    RETURNING id, username, name, avatar_url, email_status"""
UPDATE_POST = "UPDATE posts SET title = $2, text = $3, link = $4, edited_at = $5 WHERE id = $1"
# Of events that are no longer kept there is nothing to remember.
REMEMBER_MENTIONS = """
    INSERT INTO mentions (member_id, told_id, told, at) SELECT l.user_id, a.id, l.told, l.at
    FROM users a JOIN likes l ON l.post_id = $1 AND l.told > a.event_floor WHERE a.id = $2"""
HOLD_POST = "SELECT id FROM posts WHERE id = $1 /* postgres: FOR UPDATE */"
DELETE_POST = "DELETE FROM posts WHERE id = $1"
INSERT_LIKE = """
    INSERT INTO likes (post_id, user_id, at, told) SELECT p.id, u.id, $3, a.event_seq + 1
    FROM posts p JOIN users a ON a.id = p.author_id JOIN users u ON u.id = $2 WHERE p.id = $1
    /* postgres: FOR NO KEY UPDATE OF a */ -- or else the number is another's before we take it
    ON CONFLICT (user_id, post_id) DO NOTHING"""
LIKE_AGAIN = """
    UPDATE likes SET at = $3, taken_back_at = NULL
    WHERE post_id = $1 AND user_id = $2 AND taken_back_at IS NOT NULL"""
TAKE_BACK = """
    UPDATE likes SET taken_back_at = $3 WHERE post_id = $1 AND user_id = $2 AND taken_back_at IS NULL"""
COUNT_LIKE = "UPDATE posts SET like_count = like_count + $2 WHERE id = $1 RETURNING like_count, edited_at"
HAS_LIKED = "SELECT 1 FROM likes WHERE post_id = $1 AND user_id = $2 AND taken_back_at IS NULL"
LIKES_OF = "SELECT post_id, taken_back_at IS NULL FROM likes WHERE user_id = $1 LIMIT $2"
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


@dataclass(frozen=True, slots=True)
class View:
    """A page that somebody asks for: in which order, and the arguments of its statement."""

    order: str
    args: list[Any]


def made(row: Row) -> Post:
    """The post of a row."""
    id_, author_id, username, name, avatar_url, title, text, link, created_at, edited_at, like_count, liked = row
    return Post(id_, Author(author_id, username, name, avatar_url), title, text, link, iso(created_at),
                iso_or_none(edited_at), like_count, bool(liked))


async def post(tx: Tx, post_id: int) -> Post | None:
    """The post."""
    row = await tx.one(READ_POST, post_id)
    return made(row) if row else None


async def view(tx: Tx, author: str | None, unliked: bool, by_likes: bool, place: Place, limit: int,
               member_id: int) -> View:
    """The page that is asked for, as the member (0: nobody in particular) sees it."""
    order = "unliked" if unliked else "likes" if by_likes else "new"
    args: list[Any] = [place.before_id, limit, member_id]
    if order == "likes":
        args.append(place.before_likes)
    if author is not None:
        args.append(await tx.value(FIND_AUTHOR, author.lower()))
        order += "_of"
    return View(order, args)


async def feed(tx: Tx, page: View) -> list[Row]:
    """The posts of a page, as rows: many of them are known, and need not be `made`."""
    sql = FEED[page.order]
    return await tx.all(sql, *page.args)


async def count_new_post(tx: Tx, user_id: int) -> tuple[Author, str] | None:
    """Counts a post that is to be added; the member as its author, and what is known of their address."""
    row = await tx.one(COUNT_NEW_POST, user_id)
    return (Author(row["id"], row["username"], row["name"], row["avatar_url"]), row["email_status"]) if row else None


async def insert_post(tx: Tx, author_id: int, title: str, text: str, link: str | None) -> int:
    """Adds a post; returns its id."""
    return int(await tx.value(INSERT_POST, author_id, title, text, link, tx.now))


async def update_post(tx: Tx, post_id: int, title: str, text: str, link: str | None) -> None:
    """Writes the new content."""
    await tx.run(UPDATE_POST, post_id, title, text, link, tx.now)


async def delete_post(tx: Tx, post_id: int, author_id: int) -> bool:
    """Removes the post with its likes; False when somebody else has removed it meanwhile."""
    if await tx.value(HOLD_POST, post_id) is None:
        return False
    await tx.run(REMEMBER_MENTIONS, post_id, author_id)
    await tx.run(DELETE_POST, post_id)
    await tx.run(COUNT_POST, author_id, -1)
    return True


async def insert_like(tx: Tx, post_id: int, user_id: int) -> bool:
    """Adds a like, of which the author's next event is to tell.

    False when there was one before (even if it was taken back), or the post or the member is gone.
    """
    return await tx.run(INSERT_LIKE, post_id, user_id, tx.now) == 1


async def like_again(tx: Tx, post_id: int, user_id: int) -> bool:
    """Brings a like back that was taken back; False when there is none."""
    return await tx.run(LIKE_AGAIN, post_id, user_id, tx.now) == 1


async def take_like_back(tx: Tx, post_id: int, user_id: int) -> bool:
    """Takes a like back; False when there is none."""
    return await tx.run(TAKE_BACK, post_id, user_id, tx.now) == 1


async def count_like(tx: Tx, post_id: int, change: int) -> tuple[int, str | None]:
    """Counts one like more or less; the new number, and when the post was changed last."""
    row = await tx.one(COUNT_LIKE, post_id, change)
    assert row is not None, "the like stands in the table"
    return row["like_count"], iso_or_none(row["edited_at"])


async def likes(tx: Tx, user_id: int, post_id: int) -> bool:
    """Whether the member likes the post."""
    return await tx.value(HAS_LIKED, post_id, user_id) is not None


async def likes_of(tx: Tx, user_id: int, limit: int) -> dict[int, bool]:
    """Posts, and whether the member likes each or did before; all of them, when they are fewer than the limit."""
    return {post_id: bool(liked) for post_id, liked in await tx.all(LIKES_OF, user_id, limit)}


async def likers(tx: Tx, post_id: int, before: tuple[int, int], limit: int) -> list[tuple[int, Liker]]:
    """Who liked, newest first, each with the time of the like; behind the like with this time and member."""
    rows = await tx.all(READ_LIKERS, post_id, *before, limit)
    return [(row["at"], Liker(row["id"], row["username"], row["name"], row["avatar_url"], iso(row["at"])))
            for row in rows]


# -- a member who leaves, and one who wants to see what is kept

# The name stands in the data just as it was encoded.
ERASE_NAME = """
    UPDATE events SET data = replace(data, $2, $3) WHERE id IN (
        SELECT e.id FROM likes l JOIN posts p ON p.id = l.post_id
            JOIN events e ON e.user_id = p.author_id AND e.seq = l.told
            WHERE l.user_id = $1
        UNION ALL SELECT e.id FROM mentions m JOIN events e ON e.user_id = m.told_id AND e.seq = m.told
            WHERE m.member_id = $1)"""
# One that is being taken back, or brought back, must not be counted as it was before.
HOLD_LIKES_OF = "SELECT post_id FROM likes WHERE user_id = $1 /* postgres: FOR UPDATE */"
UNCOUNT_LIKES = """
    UPDATE posts SET like_count = like_count - 1
    WHERE id IN (SELECT post_id FROM likes WHERE user_id = $1 AND taken_back_at IS NULL) RETURNING id"""
DELETE_LIKES_OF = "DELETE FROM likes WHERE user_id = $1"
DELETE_POSTS_OF = "DELETE FROM posts WHERE author_id = $1"
PRUNE_MENTIONS = """
    DELETE FROM mentions WHERE (member_id, told_id, told) IN (
        SELECT member_id, told_id, told FROM mentions WHERE at < $1 ORDER BY at LIMIT $2)"""
EXPORT_POSTS = """
    SELECT id, title, text, link, created_at, edited_at, like_count FROM posts
    WHERE author_id = $1 AND id > $2 ORDER BY id LIMIT $3"""
EXPORT_LIKES = """
    SELECT post_id, at, taken_back_at FROM likes WHERE user_id = $1 AND post_id > $2 ORDER BY post_id LIMIT $3"""


async def erase_name(tx: Tx, member_id: int, named: str, unnamed: str) -> None:
    """Writes `unnamed` in the place of `named` in the events of others that tell of the member's likes."""
    await tx.run(ERASE_NAME, member_id, named, unnamed)


async def unlike_all_of(tx: Tx, member_id: int) -> frozenset[int]:
    """Removes all likes of the member, the traces of those taken back too; returns the posts that lost one."""
    await tx.run(HOLD_LIKES_OF, member_id)
    recounted = frozenset(row["id"] for row in await tx.all(UNCOUNT_LIKES, member_id))
    await tx.run(DELETE_LIKES_OF, member_id)
    return recounted


async def delete_posts_of(tx: Tx, member_id: int) -> None:
    """Removes all posts of a member who is about to be removed themselves, with the likes on them."""
    await tx.run(DELETE_POSTS_OF, member_id)


async def prune_mentions(tx: Tx, before: int, most: int) -> int:
    """Forgets who was named in events from `before`, once those are gone; at most so many, returns how many."""
    return await tx.run(PRUNE_MENTIONS, before, most)


async def exported_posts(tx: Tx, author_id: int, after: int, limit: int) -> list[ExportedPost]:
    """The author's posts behind one, oldest first, as they are exported."""
    return [ExportedPost(row["id"], row["title"], row["text"], row["link"], iso(row["created_at"]),
                         iso_or_none(row["edited_at"]), row["like_count"])
            for row in await tx.all(EXPORT_POSTS, author_id, after, limit)]


async def exported_likes(tx: Tx, member_id: int, after: int, limit: int) -> list[ExportedLike]:
    """The member's likes of posts behind one, as they are exported."""
    return [ExportedLike(row["post_id"], iso(row["at"]), iso_or_none(row["taken_back_at"]))
            for row in await tx.all(EXPORT_LIKES, member_id, after, limit)]
