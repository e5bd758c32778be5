"""Posts and pages kept in memory as encoded bytes, so that a feed is answered without a database.

Writes change or drop what they concern in their after-commit action. A read that began before such a commit must not
bring its stale page in afterwards: every change has a stamp, and what is filled in must have been read after the last
change that concerns it.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from server.posts.liked import Liked
from server.posts.model import Post
from server.posts.order import NEWEST, Order

MOST_BYTES = 32 * 1024 * 1024
MOST_WHOLE_BYTES = 8 * 1024 * 1024
MOST_PAGES = 2000
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
    edited_at: str | None

    def json(self, liked: bool) -> bytes:
        """The post's JSON for one reader."""
        return self.prefix + (b"true}" if liked else b"false}")

    def with_likes(self, like_count: int) -> Kept:
        """The same post with another number of likes."""
        prefix = b'%b%d,"liked":' % (self.prefix[:self.head], like_count)
        return Kept(prefix, self.head, like_count, self.author_id, self.edited_at)


def kept(post: Post) -> Kept:
    """The post as it is kept."""
    encoded = msgspec.json.encode(post)
    end = encoded.rindex(_LIKED) + len(_LIKED)
    return Kept(encoded[:end], encoded.rindex(_COUNT) + len(_COUNT), post.like_count, post.author.id, post.edited_at)


Shown = tuple[int, Kept, bool]  # a post's id, the post, and whether its reader likes it


class Memory:
    """What is remembered of posts."""

    def __init__(self) -> None:
        self.stamp = 0
        self.elsewhere: Callable[[str, int], None] | None = None  # tells the other processes what has changed
        self._posts: OrderedDict[int, Kept] = OrderedDict()
        self._bytes = 0
        self._wholes: dict[Page, bytes] = {}
        self._whole_bytes = 0
        self._pages: dict[bool, dict[Hashable, Page]] = {False: {}, True: {}}  # whether likes change them
        self._order = Order()
        self._liked = Liked()
        self._stamps: dict[Hashable, int] = {}
        self._floor = 0  # reads from before this one are not believed at all

    # -- reading

    def post(self, post_id: int, member_id: int) -> bytes | None:
        """The post's JSON for the member (0: for nobody in particular), if everything about it is known."""
        found = self._posts.get(post_id)
        liked = self._liked.flags(member_id, (post_id,)) if member_id else [False]
        return found.json(liked[0]) if found is not None and liked is not None else None

    def head(self, post_id: int) -> Kept | None:
        """The post as it is kept."""
        return self._posts.get(post_id)

    def with_likes(self, post_id: int, like_count: int) -> Kept | None:
        """The post, if it is known with so many likes. For any thread."""
        found = self._posts.get(post_id)
        return found if found is not None and found.like_count == like_count else None

    def page(self, key: Hashable, by_likes: bool, member_id: int) -> bytes | None:
        """The whole answer for a page, if everything about it is known."""
        page = self._pages[by_likes].get(key)
        if page is None:
            return None
        liked = self._liked.flags(member_id, page[0]) if member_id else []
        if liked is None:
            return None
        return self._whole(page, liked) if True in liked else self._unliked(page)

    def behind(self, post_id: int, count: int) -> list[int] | None:
        """The ids of the next older posts, if they are known; those of the newest ones behind `NEWEST`."""
        return self._order.behind(post_id, count)

    def unread_likes(self, member_id: int) -> bool:
        """Whether all likes of the member should be read. For any thread."""
        return bool(member_id) and self._liked.unread(member_id)

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

    def _whole(self, page: Page, flags: Sequence[bool]) -> bytes | None:
        found = [post for post in map(self._posts.get, page[0]) if post is not None]
        return joined(zip(found, flags), page[1]) if len(found) == len(page[0]) else None

    def _forget_wholes(self) -> None:
        if self._wholes:
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
            self._liked.learn(member_id, {post_id: liked for post_id, _, liked in posts})

    def fill_likes(self, stamp: int, member_id: int, likes: Mapping[int, bool]) -> None:
        """Remembers what the member likes."""
        if self._fresh(stamp, ("likes", member_id)):
            self._liked.learn_all(member_id, likes)

    def fill_page(self, stamp: int, key: Hashable, by_likes: bool, page: Page) -> None:
        """Remembers a page."""
        if self._fresh(stamp, ("pages", by_likes)):
            pages = self._pages[by_likes]
            if len(pages) >= MOST_PAGES:
                pages.clear()
            pages[key] = page

    def fill_order(self, stamp: int, begin: int, ids: Sequence[int], to_the_end: bool) -> None:
        """Remembers which posts stand behind one; `to_the_end`: and that no others do."""
        if self._fresh(stamp, ("pages", False) if begin == NEWEST else ("order",)):
            self._order.learn(begin, ids, to_the_end)

    def _fresh(self, stamp: int, *subjects: Hashable) -> bool:
        if stamp == self.stamp:
            return True  # nothing has changed at all
        return stamp >= self._floor and all(self._stamps.get(subject, 0) <= stamp for subject in subjects)

    # -- changes, after a commit

    def post_changed(self, post_id: int, post: Kept, stamp: int) -> None:
        """The post has new content; what it says of its author was read after `stamp`."""
        self._change(("post", post_id))
        if self._fresh(stamp, ("author", post.author_id)):
            self._put(post_id, post)
        else:
            self._drop(post_id)
        self._tell("post", post_id)

    def post_added(self, post_id: int, post: Kept) -> None:
        """There is a new post."""
        self._add(post_id)
        self._put(post_id, post)
        self._tell("added", post_id)

    def _add(self, post_id: int) -> None:
        self._forget_pages()
        if not self._order.added(post_id):
            self._change(("order",))

    def like_changed(self, post_id: int, before: Kept, post: Kept, member_id: int, liked: bool) -> None:
        """The member likes the post, or no longer does. `before`: the post that the new one was made of."""
        self._change(("post", post_id), ("likes", member_id), ("pages", True))
        known = self._posts.get(post_id)
        if known is not None:
            self._put(post_id, post if known is before else known.with_likes(post.like_count))
        self._pages[True].clear()
        self._liked.learn(member_id, {post_id: liked})
        self._tell("post", post_id)
        self._tell("likes", member_id)

    def post_gone(self, post_id: int) -> None:
        """There is a post less."""
        self._remove(post_id)
        self._tell("gone", post_id)

    def _remove(self, post_id: int) -> None:
        self._forget_pages()
        self._change(("post", post_id), ("order",))
        self._order.broken()
        self._drop(post_id)

    def _forget_pages(self) -> None:
        self._change(("pages", False), ("pages", True))
        for pages in self._pages.values():
            pages.clear()

    def author_changed(self, author_id: int) -> None:
        """The author's name or picture may be another one."""
        self._forget_author(author_id)
        self._tell("author", author_id)

    def _forget_author(self, author_id: int) -> None:
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
        self._order.broken()
        self._liked.forget(member_id)
        touched = [id_ for id_, post in self._posts.items() if post.author_id == member_id or id_ in recounted]
        for post_id in touched:
            self._drop(post_id)
        self._tell("everything", member_id)

    # -- what others have changed

    def heard(self, what: str, id_: int) -> None:
        """Another process has told of a change."""
        match what:
            case "post":
                self._change(("post", id_), ("pages", True))
                self._drop(id_)
                self._pages[True].clear()
            case "likes":
                self._change(("likes", id_))
                self._liked.forget(id_)
            case "added":
                self._add(id_)
            case "gone":
                self._remove(id_)
            case "author":
                self._forget_author(id_)
            case _:
                self.everything_changed()

    def _tell(self, what: str, id_: int) -> None:
        if self.elsewhere is not None:
            self.elsewhere(what, id_)

    def everything_changed(self) -> None:
        """Somebody wrote past us: nothing that is here, or was read before now, is believed any more."""
        self.stamp += 1
        self._floor = self.stamp
        self._posts.clear()
        self._order.broken()
        self._liked.forget_all()
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
        known = self._posts.get(post_id)
        self._posts[post_id] = post
        self._bytes += len(post.prefix)
        if known is not None:
            self._bytes -= len(known.prefix)
            self._forget_wholes()
        while self._bytes > MOST_BYTES:
            self._drop(next(iter(self._posts)))

    def _drop(self, post_id: int) -> None:
        found = self._posts.pop(post_id, None)
        if found is not None:
            self._bytes -= len(found.prefix)
            self._forget_wholes()


def joined(posts: Iterable[tuple[Kept, bool]], cursor: str | None) -> bytes:
    """The answer for a page: posts, and whether the reader likes each."""
    encoded = [post.prefix + (b"true}" if liked else b"false}") for post, liked in posts]
    return b'{"data":[' + b",".join(encoded) + b'],"next":' + msgspec.json.encode(cursor) + b"}"
