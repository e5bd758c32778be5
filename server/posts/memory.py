"""Posts and pages kept in memory as encoded bytes, so that a feed is answered without a database.

Writes change or drop what they concern in their after-commit action. A read that began before such a commit must not
bring its stale page in afterwards: every change has a stamp, and what is filled in must have been read after the last
change that concerns it.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from server.posts.model import Post

MOST_BYTES = 32 * 1024 * 1024
MOST_WHOLE_BYTES = 8 * 1024 * 1024
MOST_PAGES = 2000
MOST_MEMBERS = 10_000
MOST_LIKES_EACH = 2000
MOST_STAMPS = 20_000

Page = tuple[tuple[int, ...], str | None]  # ids and the next cursor
_COUNT, _LIKED = b'"like_count":', b'"liked":'


class Kept(NamedTuple):
    """A post as bytes: the JSON up to the value of `liked`, its last field. What likes change, the number before that,
    stands behind `head` bytes that they do not change, so a like needs no second look at the post."""

    prefix: bytes
    head: int
    like_count: int
    author_id: int

    def json(self, liked: bool) -> bytes:
        """The post's JSON for one reader."""
        return self.prefix + (b"true}" if liked else b"false}")

    def with_likes(self, like_count: int) -> Kept:
        """The same post with another number of likes."""
        prefix = b'%b%d,"liked":' % (self.prefix[:self.head], like_count)
        return Kept(prefix, self.head, like_count, self.author_id)


def kept(post: Post) -> Kept:
    """The post as it is kept."""
    encoded = msgspec.json.encode(post)
    end = encoded.rindex(_LIKED) + len(_LIKED)
    return Kept(encoded[:end], encoded.rindex(_COUNT) + len(_COUNT), post.like_count, post.author.id)


Shown = tuple[int, Kept, bool]  # a post's id, the post, and whether its reader likes it


class Memory:
    """What is remembered of posts."""

    def __init__(self) -> None:
        self.stamp = 0
        self._posts: OrderedDict[int, Kept] = OrderedDict()
        self._bytes = 0
        self._wholes: dict[Page, bytes] = {}
        self._whole_bytes = 0
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
        return None if liked is None else found.json(liked)

    def head(self, post_id: int) -> Kept | None:
        """The post as it is kept."""
        return self._posts.get(post_id)

    def shown(self, places: Iterable[tuple[int, int, bool]]) -> list[Shown] | None:
        """The posts of these ids, as a snapshot has them in which they have so many likes and the reader likes them or
        not; None unless all are here. For any thread."""
        found = []
        for post_id, like_count, liked in places:
            post = self._posts.get(post_id)
            if post is None or post.like_count != like_count:
                return None
            found.append((post_id, post, liked))
        return found

    def page(self, key: Hashable, by_likes: bool, member_id: int) -> bytes | None:
        """The whole answer for a page, if everything about it is known."""
        page = self._pages[by_likes].get(key)
        if page is None:
            return None
        flags: list[bool | None] = []
        if member_id:
            liked = self._liked.get(member_id)
            flags = list(map(liked.get, page[0])) if liked is not None else [None]
            if None in flags:
                return None
        return self._whole(page, flags) if True in flags else self._unliked(page)

    def _unliked(self, page: Page) -> bytes | None:
        """The page for all who like nothing on it, which is nearly everybody: made once until a post changes."""
        whole = self._wholes.get(page)
        if whole is None:
            whole = self._whole(page, [False] * len(page[0]))
            if whole is not None:
                self._whole_bytes += len(whole)
                if self._whole_bytes > MOST_WHOLE_BYTES:
                    self._forget_wholes()
                self._wholes[page] = whole
        return whole

    def _whole(self, page: Page, flags: Sequence[bool | None]) -> bytes | None:
        found = [post for post in map(self._posts.get, page[0]) if post is not None]
        return joined(zip(found, flags), page[1]) if len(found) == len(page[0]) else None

    def _forget_wholes(self) -> None:
        self._wholes.clear()
        self._whole_bytes = 0

    # -- filling, after a read that began at `stamp`

    def fill(self, stamp: int, posts: Sequence[Shown], member_id: int) -> None:
        """Remembers posts as the member saw them."""
        for post_id, post, _ in posts:
            known = self._posts.get(post_id) is post
            if not known and self._fresh(stamp, ("post", post_id), ("author", post.author_id)):
                self._put(post_id, post)
        if member_id and self._fresh(stamp, ("likes", member_id)):
            self._set_liked(member_id, {post_id: liked for post_id, _, liked in posts})

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

    def post_changed(self, post_id: int, post: Kept) -> None:
        """The post is new or has new content."""
        self._change(("post", post_id))
        self._put(post_id, post)

    def post_added(self, post_id: int, post: Kept) -> None:
        """There is a new post."""
        self.posts_changed()
        self.post_changed(post_id, post)

    def like_changed(self, post_id: int, like_count: int, member_id: int, liked: bool) -> None:
        """The member likes the post, or no longer does."""
        self._change(("post", post_id), ("likes", member_id), ("pages", True))
        known = self._posts.get(post_id)
        if known is not None:
            self._put(post_id, known.with_likes(like_count))
        if self._pages[True]:
            self._pages[True].clear()
        self._set_liked(member_id, {post_id: liked})

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
        for post_id in [id_ for id_, post in self._posts.items() if post.author_id == author_id]:
            self._drop(post_id)

    def member_erased(self, member_id: int, recounted: Collection[int]) -> None:
        """The member is gone, with their posts and with their likes of the `recounted` posts."""
        self.stamp += 1
        self._floor = self.stamp  # they are too many to have a stamp each: no read that is under way is believed
        self._stamps.clear()
        for pages in self._pages.values():
            pages.clear()
        self._forget_wholes()
        self._liked.pop(member_id, None)
        touched = [id_ for id_, post in self._posts.items() if post.author_id == member_id or id_ in recounted]
        for post_id in touched:
            self._drop(post_id)

    def everything_changed(self) -> None:
        """Somebody wrote past us: nothing that is here, or was read before now, is believed any more."""
        self.stamp += 1
        self._floor = self.stamp
        self._posts.clear()
        self._liked.clear()
        self._stamps.clear()
        for pages in self._pages.values():
            pages.clear()
        self._bytes = 0
        self._forget_wholes()

    def _change(self, *subjects: Hashable) -> None:
        self.stamp += 1
        for subject in subjects:
            self._stamps[subject] = self.stamp
        if len(self._stamps) > MOST_STAMPS:
            self._stamps.clear()
            self._floor = self.stamp

    # -- keeping within bounds

    def _put(self, post_id: int, post: Kept) -> None:
        self._drop(post_id)
        self._posts[post_id] = post
        self._bytes += len(post.prefix)
        while self._bytes > MOST_BYTES:
            self._drop(next(iter(self._posts)))

    def _drop(self, post_id: int) -> None:
        found = self._posts.pop(post_id, None)
        if found is not None:
            self._bytes -= len(found.prefix)
            if self._wholes:
                self._forget_wholes()

    def _set_liked(self, member_id: int, liked: dict[int, bool]) -> None:
        known = self._liked.get(member_id)
        if known is None:
            self._liked[member_id] = liked
            if len(self._liked) > MOST_MEMBERS:
                self._liked.popitem(last=False)
            return
        if len(known) >= MOST_LIKES_EACH:
            known.clear()
        known.update(liked)


def joined(posts: Iterable[tuple[Kept, bool | None]], cursor: str | None) -> bytes:
    """The answer for a page: posts, and whether the reader likes each."""
    encoded = [post.prefix + (b"true}" if liked else b"false}") for post, liked in posts]
    return b'{"data":[' + b",".join(encoded) + b'],"next":' + msgspec.json.encode(cursor) + b"}"
