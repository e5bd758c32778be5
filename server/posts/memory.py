"""Posts and pages kept in memory as encoded bytes, so that a feed is answered without a database.

Writes change or drop what they concern in their after-commit action. A read that began before such a commit must not
bring its stale page in afterwards: every change has a stamp, and what is filled in must have been read after the last
change that concerns it.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable

import msgspec

from server.posts.model import Post

MOST_BYTES = 32 * 1024 * 1024
MOST_PAGES = 2000
MOST_MEMBERS = 10_000
MOST_LIKES_EACH = 2000
MOST_STAMPS = 20_000

Page = tuple[tuple[int, ...], str | None]  # ids and the next cursor
_TAIL = len(b"false}")


def encoded(post: Post) -> bytes:
    """The post's JSON up to the value of `liked`, its last field."""
    return msgspec.json.encode(post)[:-_TAIL]


def whole(prefix: bytes, liked: bool) -> bytes:
    """The post's JSON for one reader."""
    return prefix + (b"true}" if liked else b"false}")


class Memory:
    """What is remembered of posts."""

    def __init__(self) -> None:
        self.stamp = 0
        self._posts: OrderedDict[int, tuple[bytes, int]] = OrderedDict()  # id -> (prefix, author)
        self._bytes = 0
        self._pages: dict[bool, dict[Hashable, Page]] = {False: {}, True: {}}  # whether likes change them
        self._liked: OrderedDict[int, dict[int, bool]] = OrderedDict()  # member -> post -> liked
        self._stamps: dict[Hashable, int] = {}
        self._floor = 0  # reads from before this one are not believed at all

    # -- reading

    def post(self, post_id: int, member_id: int) -> bytes | None:
        """The post's JSON for the member (0: for nobody in particular), if everything about it is known."""
        found = self._posts.get(post_id)
        if found is None:
            return None
        liked = self._liked.get(member_id, {}).get(post_id) if member_id else False
        return None if liked is None else whole(found[0], liked)

    def page(self, key: Hashable, by_likes: bool, member_id: int) -> bytes | None:
        """The whole answer for a page, if everything about it is known."""
        page = self._pages[by_likes].get(key)
        if page is None:
            return None
        posts = self._posts
        liked = self._liked.get(member_id) if member_id else None
        if member_id and liked is None:
            return None
        parts = []
        for post_id in page[0]:
            found = posts.get(post_id)
            flag = liked.get(post_id) if liked is not None else False
            if found is None or flag is None:
                return None
            parts.append(found[0] + (b"true}" if flag else b"false}"))
        return joined(parts, page[1])

    # -- filling, after a read that began at `stamp`

    def fill(self, stamp: int, posts: Iterable[Post], member_id: int, liked: frozenset[int]) -> None:
        """Remembers posts and which of them the member likes."""
        for post in posts:
            if self._fresh(stamp, ("post", post.id), ("author", post.author.id)):
                self._put(post.id, encoded(post), post.author.id)
            if member_id and self._fresh(stamp, ("likes", member_id)):
                self._set_liked(member_id, post.id, post.id in liked)

    def fill_page(self, stamp: int, key: Hashable, by_likes: bool, page: Page) -> None:
        """Remembers a page."""
        if self._fresh(stamp, ("pages", by_likes)):
            pages = self._pages[by_likes]
            if len(pages) >= MOST_PAGES:
                pages.clear()
            pages[key] = page

    def _fresh(self, stamp: int, *subjects: Hashable) -> bool:
        return stamp >= self._floor and all(self._stamps.get(subject, 0) <= stamp for subject in subjects)

    # -- changes, after a commit

    def post_changed(self, post_id: int, prefix: bytes, author_id: int) -> None:
        """The post has new content or another number of likes."""
        self._change(("post", post_id))
        self._put(post_id, prefix, author_id)

    def like_changed(self, post_id: int, prefix: bytes, author_id: int, member_id: int, liked: bool) -> None:
        """The member likes the post, or no longer does."""
        self._change(("post", post_id), ("likes", member_id), ("pages", True))
        self._put(post_id, prefix, author_id)
        if self._pages[True]:
            self._pages[True].clear()
        self._set_liked(member_id, post_id, liked)

    def posts_changed(self, gone: int | None = None) -> None:
        """There is a post more, or one less."""
        for by_likes, pages in self._pages.items():
            self._change(("pages", by_likes))
            pages.clear()
        if gone is not None:
            self._change(("post", gone))
            self._drop(gone)

    def author_changed(self, author_id: int) -> None:
        """The author's name or picture may be another one."""
        self._change(("author", author_id))
        for post_id in [id_ for id_, (_, author) in self._posts.items() if author == author_id]:
            self._drop(post_id)

    def _change(self, *subjects: Hashable) -> None:
        self.stamp += 1
        for subject in subjects:
            self._stamps[subject] = self.stamp
        if len(self._stamps) > MOST_STAMPS:
            self._stamps.clear()
            self._floor = self.stamp

    # -- keeping within bounds

    def _put(self, post_id: int, prefix: bytes, author_id: int) -> None:
        known = self._posts.get(post_id)
        self._bytes += len(prefix) - (len(known[0]) if known else 0)
        self._posts[post_id] = (prefix, author_id)
        while self._bytes > MOST_BYTES:
            self._drop(next(iter(self._posts)))

    def _drop(self, post_id: int) -> None:
        found = self._posts.pop(post_id, None)
        if found is not None:
            self._bytes -= len(found[0])

    def _set_liked(self, member_id: int, post_id: int, liked: bool) -> None:
        known = self._liked.get(member_id)
        if known is None:
            known = self._liked[member_id] = {}
            if len(self._liked) > MOST_MEMBERS:
                self._liked.popitem(last=False)
        elif len(known) >= MOST_LIKES_EACH:
            known.clear()
        known[post_id] = liked


def joined(posts: list[bytes], cursor: str | None) -> bytes:
    """The answer for a page of encoded posts."""
    return b'{"data":[' + b",".join(posts) + b'],"next":' + msgspec.json.encode(cursor) + b"}"
