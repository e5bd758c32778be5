"""The SQL of members and posts as administrators look for them.

A search looks through a window of rows by their ids (see `web.windows`), so each list has three statements: the whole
of it, where the window ends, and what of it is looked for.
"""
from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from server.accounts import addresses
from server.accounts.queries import name_key
from server.admin.model import KnownMember
from server.core.clock import iso, iso_or_none
from server.posts import queries as posts
from server.posts.model import Post
from server.storage import Row, Tx
from server.web import windows
from server.web.windows import Window, pattern

_MEMBER = """
    SELECT id, username, name, email, email_status, email_confirmed_at, role, suspended_at, created_at, post_count
    FROM users """
READ_MEMBER = _MEMBER + "WHERE id = $1"
READ_MEMBER_BY_NAME = _MEMBER + "WHERE username_key = $1"
READ_MEMBER_BY_EMAIL = _MEMBER + "WHERE email_key = $1"
LIST_MEMBERS = _MEMBER + "WHERE id < $1 ORDER BY id DESC LIMIT $2"
WINDOW_OF_MEMBERS = """
    SELECT min(id), count(*) FROM (SELECT id FROM users WHERE id < $1 ORDER BY id DESC LIMIT $2) AS looked"""
# The keys are folded already. $5: one who is shown elsewhere.
SEARCH_MEMBERS = _MEMBER + """
    WHERE id < $1 AND id >= $2 AND id <> $5 AND (
        username_key LIKE $3 ESCAPE '!' OR email_key LIKE $3 ESCAPE '!' OR lower(name) LIKE $3 ESCAPE '!')
    ORDER BY id DESC LIMIT $4"""
IS_ADMINISTRATOR = "SELECT 1 FROM users WHERE id = $1 AND role = 'admin' AND suspended_at IS NULL"
SUSPEND = "UPDATE users SET suspended_at = $2 WHERE id = $1 AND suspended_at IS NULL"
RESTORE = "UPDATE users SET suspended_at = NULL WHERE id = $1 AND suspended_at IS NOT NULL"
# Whether member $3 likes each stands last, as in the feed.
_POST = """
    SELECT p.id, p.author_id, u.username, u.name, u.avatar_url, p.title, p.text, p.link, p.created_at, p.edited_at,
        p.like_count, EXISTS (
            SELECT 1 FROM likes l WHERE l.user_id = $3 AND l.post_id = p.id AND l.taken_back_at IS NULL)
    FROM posts p JOIN users u ON u.id = p.author_id """
LIST_POSTS = _POST + "WHERE p.id < $1 ORDER BY p.id DESC LIMIT $2"
WINDOW_OF_POSTS = """
    SELECT min(id), count(*) FROM (SELECT id FROM posts WHERE id < $1 ORDER BY id DESC LIMIT $2) AS looked"""
SEARCH_POSTS = _POST + """
    WHERE p.id < $1 AND p.id >= $4 AND (lower(p.title) LIKE $5 ESCAPE '!' OR u.username_key LIKE $5 ESCAPE '!')
    ORDER BY p.id DESC LIMIT $2"""


def _member(row: Row) -> KnownMember:
    return KnownMember(row["id"], row["username"], row["name"], row["email"], row["email_status"],
                       iso_or_none(row["email_confirmed_at"]), row["role"], iso_or_none(row["suspended_at"]),
                       iso(row["created_at"]), row["post_count"])


async def member(tx: Tx, member_id: int) -> KnownMember | None:
    """The member."""
    row = await tx.one(READ_MEMBER, member_id)
    return None if row is None else _member(row)


async def member_called(tx: Tx, text: str) -> KnownMember | None:
    """The member whose name or address this is, to the letter but for case."""
    row = await tx.one(READ_MEMBER_BY_NAME, name_key(text)) if text.isascii() else None
    address = addresses.parse(text)
    if row is None and address is not None:
        row = await tx.one(READ_MEMBER_BY_EMAIL, address.key)
    return None if row is None else _member(row)


async def members(tx: Tx, before: int, limit: int) -> list[KnownMember]:
    """Members, newest first."""
    return [_member(row) for row in await tx.all(LIST_MEMBERS, before, limit)]


async def members_with(tx: Tx, part: str, before: int, limit: int,
                       but: int) -> tuple[Sequence[KnownMember], Window]:
    """Members whose names or address hold this, but for one, and where was looked for them."""
    looked = windows.window(await tx.one(WINDOW_OF_MEMBERS, before, windows.SIZE), before)
    folded = pattern(unicodedata.normalize("NFKC", part).casefold())
    rows = await tx.all(SEARCH_MEMBERS, before, looked.first, folded, limit, but)
    return [_member(row) for row in rows], looked


async def is_administrator(tx: Tx, member_id: int) -> bool:
    """Whether the member is an administrator still."""
    return await tx.value(IS_ADMINISTRATOR, member_id) is not None


async def suspend(tx: Tx, member_id: int) -> bool:
    """Suspends the member; False when they are suspended, or gone."""
    return await tx.run(SUSPEND, member_id, tx.now) == 1


async def restore(tx: Tx, member_id: int) -> bool:
    """Takes a suspension back; False when there is none."""
    return await tx.run(RESTORE, member_id) == 1


async def newest_posts(tx: Tx, before: int, limit: int, reader: int) -> list[Post]:
    """Posts, newest first, as the reader sees them."""
    return [posts.made(row) for row in await tx.all(LIST_POSTS, before, limit, reader)]


async def posts_with(tx: Tx, part: str, before: int, limit: int, reader: int) -> tuple[Sequence[Post], Window]:
    """Posts whose title or author's name holds this, and where was looked for them."""
    looked = windows.window(await tx.one(WINDOW_OF_POSTS, before, windows.SIZE), before)
    rows = await tx.all(SEARCH_POSTS, before, limit, reader, looked.first, pattern(part))
    return [posts.made(row) for row in rows], looked
