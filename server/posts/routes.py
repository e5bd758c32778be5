"""The routes of posts and likes."""
from __future__ import annotations

from functools import partial

from server.posts import queries
from server.posts.liked import READ_AT_ONCE
from server.posts.memory import Kept, Memory, Shown, joined, kept
from server.posts.model import ChangePost, Feed, Liker, NewPost, Post
from server.posts.order import NEWEST
from server.posts.queries import Place
from server.posts.service import Posts, existing
from server.storage import Row, Tx
from server.web import cursor
from server.web.fields import MAX_ID
from server.web.paging import Page
from server.web.route import Answer, Call, Listing, Route

START = Place(NEWEST, MAX_ID)


class Reading:
    """The feed and single posts, from memory where that knows them."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def recall_feed(self, call: Call) -> Answer | None:
        call.stamp = self._memory.stamp
        query, by_likes = call.query, _by_likes(call.query)
        raw = self._memory.page(query, by_likes, call.me_id)
        if raw is None and _is_whole_feed(query) and self._put_together(call, query):
            raw = self._memory.page(query, by_likes, call.me_id)
        return Answer(raw=raw) if raw is not None else None

    def _put_together(self, call: Call, query: Feed) -> bool:
        """Makes a page that was not asked for before; False when not all that stands on it is known."""
        ids = self._memory.behind(_place(query).before_id, query.limit + 1)
        if ids is None:
            return False
        more = cursor.encode("new", ids[query.limit - 1]) if len(ids) > query.limit else None
        self._memory.fill_page(call.stamp, query, False, (tuple(ids[:query.limit]), more))
        return True

    async def load_feed(self, tx: Tx, call: Call) -> Answer:
        query: Feed = call.query
        place = _place(query)
        view = await queries.view(tx, query.author, query.unliked, query.sort == "likes", place, query.limit + 1,
                                  call.me_id)
        found = [self._shown(row) for row in await queries.feed(tx, view)]
        more = _cursor(query, *found[query.limit - 1][:2]) if len(found) > query.limit else None
        del found[query.limit:]
        tx.after_commit(partial(self._fill, call, place, found, more))
        if self._memory.unread_likes(call.me_id):
            likes = await queries.likes_of(tx, call.me_id, READ_AT_ONCE + 1)
            tx.after_commit(partial(self._memory.fill_likes, call.stamp, call.me_id, likes))
        return Answer(raw=joined([post[1:] for post in found], more))

    def _shown(self, row: Row) -> Shown:
        known = self._memory.with_likes(row["id"], row["like_count"])
        return row["id"], known or kept(queries.made(row)), bool(row["liked"])

    def _fill(self, call: Call, place: Place, posts: list[Shown], more: str | None) -> None:
        ids, query = [post_id for post_id, _, _ in posts], call.query
        self._memory.fill(call.stamp, posts, call.me_id)
        self._memory.fill_page(call.stamp, query, _by_likes(query), (tuple(ids), more))
        if _is_whole_feed(query):
            self._memory.fill_order(call.stamp, place.before_id, ids, to_the_end=more is None)

    def recall_post(self, call: Call) -> Answer | None:
        call.stamp = self._memory.stamp
        found = self._memory.post(call.id, call.me_id)
        return Answer(raw=_enveloped(found)) if found is not None else None

    async def load_post(self, tx: Tx, call: Call) -> Answer:
        post = await existing(tx, call.id)
        liked = bool(call.me_id) and await queries.likes(tx, call.me_id, call.id)
        made = kept(post)
        tx.after_commit(lambda: self._memory.fill(call.stamp, [(post.id, made, liked)], call.me_id))
        return Answer(raw=_enveloped(made.json(liked)))

    async def load_likers(self, tx: Tx, call: Call) -> Answer:
        await existing(tx, call.id)
        page: Page = call.query
        at, user_id = cursor.decode("likers", page.cursor, 2) if page.cursor else (MAX_ID, MAX_ID)
        found = await queries.likers(tx, call.id, (at, user_id), page.limit + 1)
        more = _behind(*found[page.limit - 1]) if len(found) > page.limit else None
        return Answer(Listing([liker for _, liker in found[:page.limit]], more))


class Writing:
    """What changes posts."""

    def __init__(self, posts: Posts, memory: Memory) -> None:
        self._posts, self._memory = posts, memory

    async def create(self, tx: Tx, call: Call, prepared: None) -> Answer:
        post_id, post = await self._posts.create(tx, call.me, call.body)
        return Answer(raw=_enveloped(post), status=201, location=f"/api/posts/{post_id}")

    async def change(self, tx: Tx, call: Call, prepared: None) -> Answer:
        post = await self._posts.change(tx, call.me, call.id, call.body)
        post.liked = await queries.likes(tx, call.me.id, call.id)
        return Answer(post)

    async def delete(self, tx: Tx, call: Call, prepared: None) -> Answer:
        await self._posts.delete(tx, call.me, call.id, call.address)
        return Answer(status=204)

    async def prepare_like(self, call: Call) -> Kept | None:
        return self._memory.head(call.id)

    async def like(self, tx: Tx, call: Call, prepared: Kept | None) -> Answer:
        return Answer(raw=_enveloped(await self._posts.like(tx, call.me, call.id, prepared)))

    async def unlike(self, tx: Tx, call: Call, prepared: None) -> Answer:
        return Answer(raw=_enveloped(await self._posts.unlike(tx, call.me, call.id)))


def routes(posts: Posts, memory: Memory) -> list[Route]:
    """The declarations."""
    reading, writing = Reading(memory), Writing(posts, memory)
    return [
        Route("GET", "/api/posts", "The feed, newest first", "anyone", Post, query=Feed, listing=True,
              problems=("bad_cursor",), recall=reading.recall_feed, load=reading.load_feed, express=True),
        Route("POST", "/api/posts", "Write a post", "member", Post, 201, takes=NewPost,
              problems=("email_unconfirmed",), also=((403, "email_undeliverable"),), store=writing.create,
              express=True),
        Route("GET", "/api/posts/{id}", "One post", "anyone", Post, problems=("not_found",),
              recall=reading.recall_post, load=reading.load_post, express=True),
        Route("PATCH", "/api/posts/{id}", "Change one's post", "member", Post, takes=ChangePost,
              problems=("not_found", "forbidden", "email_unconfirmed"), store=writing.change, express=True),
        Route("DELETE", "/api/posts/{id}", "Delete one's post", "member", status=204,
              problems=("not_found", "forbidden"), store=writing.delete, express=True),
        Route("PUT", "/api/posts/{id}/like", "Like a post", "member", Post,
              problems=("not_found", "own_post", "email_unconfirmed"), prepare=writing.prepare_like,
              store=writing.like, express=True),
        Route("DELETE", "/api/posts/{id}/like", "Take a like back", "member", Post, problems=("not_found",),
              store=writing.unlike, express=True),
        Route("GET", "/api/posts/{id}/likes", "Who liked a post, newest first", "open", Liker, query=Page,
              listing=True, problems=("not_found", "bad_cursor"), load=reading.load_likers, express=True),
    ]


def _by_likes(query: Feed) -> bool:
    """Whether a like changes what stands on the page."""
    return query.unliked or query.sort == "likes"


def _is_whole_feed(query: Feed) -> bool:
    return query.author is None and not _by_likes(query)


def _kind(query: Feed) -> str:
    return "likes" if query.sort == "likes" and not query.unliked else "new"


def _place(query: Feed) -> Place:
    if query.cursor is None:
        return START
    if _kind(query) == "likes":
        id_, likes = cursor.decode("likes", query.cursor, 2)
        return Place(id_, likes)
    return Place(cursor.decode("new", query.cursor, 1)[0], MAX_ID)


def _cursor(query: Feed, last_id: int, last: Kept) -> str:
    if _kind(query) == "likes":
        return cursor.encode("likes", last_id, last.like_count)
    return cursor.encode("new", last_id)


def _behind(at: int, liker: Liker) -> str:
    return cursor.encode("likers", at, liker.id)


def _enveloped(post: bytes) -> bytes:
    return b'{"data":' + post + b"}"
