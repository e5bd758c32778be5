"""The rules of posts and likes."""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from msgspec import UNSET

from server.audit import log
from server.audit.log import Actor
from server.core.clock import iso
from server.core.errors import Problem
from server.events import EventLog, EventType
from server.posts import queries
from server.posts.memory import Kept, Memory, kept
from server.posts.model import ChangePost, NewPost, Post
from server.storage import Tx
from server.web.route import Member, unauthorized


class Liking(msgspec.Struct):
    """Who liked."""

    id: int
    username: str


class LikeNews(msgspec.Struct):
    """The data of a `post_liked` event. `by`: nobody when the member has left since."""

    post_id: int
    by: Liking | None
    like_count: int


POST_LIKED = EventType("post_liked", LikeNews, "Somebody likes a post of the member's: one for each post and liker.")


class Posts:
    """What happens inside the transactions."""

    def __init__(self, memory: Memory, events: EventLog, undeliverable: tuple[str, ...],
                 check_may_write: Callable[[Tx, int], Awaitable[None]]) -> None:
        self._memory, self._events = memory, events
        self._undeliverable, self._check_may_write = undeliverable, check_may_write

    async def create(self, tx: Tx, member: Member, body: NewPost) -> tuple[int, bytes]:
        """Adds a post; gives its id and the post as JSON."""
        await self._check_may_write(tx, member.id)
        found = await queries.count_new_post(tx, member.id)
        if found is None:
            raise unauthorized()
        author, email_status = found
        if email_status in self._undeliverable:
            raise Problem("email_undeliverable", "Your e-mail address does not receive mail; change it first.",
                          status=403)
        post_id = await queries.insert_post(tx, member.id, body.title, body.text, body.link)
        made = kept(Post(post_id, author, body.title, body.text, body.link, iso(tx.now), None, 0, False))
        tx.after_commit(partial(self._memory.post_added, post_id, made))
        return post_id, made.json(False)

    async def change(self, tx: Tx, member: Member, post_id: int, body: ChangePost) -> Post:
        """Writes what was given; the author only."""
        stamp = self._memory.stamp
        await tx.lock(f"post {post_id}")
        post = await existing(tx, post_id)
        if post.author.id != member.id:
            raise Problem("forbidden", "Only its author can change a post.")
        await self._check_may_write(tx, member.id)
        if body.title is UNSET and body.text is UNSET and body.link is UNSET:
            return post
        link = post.link if body.link is UNSET else body.link
        await queries.update_post(tx, post_id, body.title or post.title, body.text or post.text, link)
        changed = await existing(tx, post_id)
        tx.after_commit(lambda: self._memory.post_changed(post_id, kept(changed), stamp))
        return changed

    async def delete(self, tx: Tx, member: Member, post_id: int, address: str) -> None:
        """Removes a post; its author, or an administrator, who does so from `address`."""
        post = await existing(tx, post_id)
        if post.author.id != member.id and member.role != "admin":
            raise Problem("forbidden", "Only its author or an administrator can delete a post.")
        if not await queries.delete_post(tx, post_id, post.author.id):
            raise no_such_post()
        if post.author.id != member.id:
            await log.record(tx, "post_deleted", Actor(member.id, address), post.author.id, f"post {post_id}")
        tx.after_commit(partial(self._memory.post_gone, post_id))

    async def like(self, tx: Tx, member: Member, post_id: int, known: Kept | None) -> bytes:
        """Likes a post; a second time changes nothing. The author is told once.

        `known`: the post as memory has it, which saves reading it; its count is not believed. Gives the post as JSON.
        """
        if known is None:
            stamp, known = self._memory.stamp, kept(await existing(tx, post_id))
            tx.after_commit(partial(self._memory.fill, stamp, [(post_id, known, False)], 0))
        if known.author_id == member.id:
            raise Problem("own_post", "One's own post cannot be liked.")
        await self._check_may_write(tx, member.id)
        if await queries.insert_like(tx, post_id, member.id):
            count, edited_at = await queries.count_like(tx, post_id, 1)
            news = LikeNews(post_id, Liking(member.id, member.username), count)
            await self._events.append(tx, known.author_id, POST_LIKED.name, POST_LIKED.encode(news))
        elif await queries.like_again(tx, post_id, member.id):
            count, edited_at = await queries.count_like(tx, post_id, 1)
        else:
            post = await existing(tx, post_id)
            if not await queries.likes(tx, member.id, post_id):
                raise unauthorized()  # the account is gone since the request came
            return kept(post).json(True)
        if edited_at != known.edited_at:  # it was changed since it was looked up
            known = kept(await existing(tx, post_id))
        return self._liked(tx, post_id, known, count, member, True)

    async def unlike(self, tx: Tx, member: Member, post_id: int) -> bytes:
        """Takes a like back; a second time changes nothing. Gives the post as JSON."""
        known = kept(await existing(tx, post_id))
        if not await queries.take_like_back(tx, post_id, member.id):
            return kept(await existing(tx, post_id)).json(False)  # another request may have done it since
        count, edited_at = await queries.count_like(tx, post_id, -1)
        if edited_at != known.edited_at:
            known = kept(await existing(tx, post_id))
        return self._liked(tx, post_id, known, count, member, False)

    def _liked(self, tx: Tx, post_id: int, known: Kept, count: int, member: Member, liked: bool) -> bytes:
        post = known.with_likes(count)
        tx.after_commit(partial(self._memory.like_changed, post_id, known, post, member.id, liked))
        return post.json(liked)


async def existing(tx: Tx, post_id: int) -> Post:
    """The post; raises Problem 404."""
    post = await queries.post(tx, post_id)
    if post is None:
        raise no_such_post()
    return post


def no_such_post() -> Problem:
    """The 404."""
    return Problem("not_found", "There is no such post.")
