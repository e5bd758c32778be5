"""Who likes what, as far as it is known."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

MOST_MEMBERS = 10_000
MOST_EACH = 2000
MOST_IN_ALL = 400_000
READ_AT_ONCE = 500  # how many of a member's likes are read to know all of them


class _Likes:
    """One member's. `whole`: what is not in `posts` is not liked; None: nobody has tried to read them all."""

    __slots__ = ("posts", "whole")

    def __init__(self) -> None:
        self.posts: dict[int, bool] = {}
        self.whole: bool | None = None


class Liked:
    """The likes of members, those that came last longest."""

    def __init__(self) -> None:
        self._members: OrderedDict[int, _Likes] = OrderedDict()
        self._count = 0

    def flags(self, member_id: int, post_ids: Iterable[int]) -> list[bool] | None:
        """Whether the member likes each of the posts; None when that is not known of all."""
        known = self._members.get(member_id)
        if known is None:
            return None
        if known.whole:
            return [known.posts.get(post_id, False) for post_id in post_ids]
        try:
            return [known.posts[post_id] for post_id in post_ids]
        except KeyError:
            return None

    def unread(self, member_id: int) -> bool:
        """Whether all likes of the member should be read. For any thread."""
        known = self._members.get(member_id)
        return known is None or known.whole is None

    def learn_all(self, member_id: int, likes: Mapping[int, bool]) -> None:
        """The first likes of the member: all, unless they are more than are read at once."""
        self.forget(member_id)
        known = self._members[member_id] = _Likes()
        known.whole = len(likes) <= READ_AT_ONCE
        self.learn(member_id, likes)

    def learn(self, member_id: int, likes: Mapping[int, bool]) -> None:
        """Whether the member likes these posts."""
        known = self._members.get(member_id)
        if known is None:
            known = self._members[member_id] = _Likes()
        self._count -= len(known.posts)
        known.posts.update(likes)
        if known.whole:  # what is not liked need not be kept
            for post_id in [post_id for post_id, liked in likes.items() if not liked]:
                del known.posts[post_id]
        if len(known.posts) > MOST_EACH:
            known.posts, known.whole = dict(likes), False
        self._count += len(known.posts)
        while len(self._members) > MOST_MEMBERS or (self._count > MOST_IN_ALL and len(self._members) > 1):
            self.forget(next(iter(self._members)))

    def forget(self, member_id: int) -> None:
        """Nothing is known of the member any more."""
        known = self._members.pop(member_id, None)
        if known is not None:
            self._count -= len(known.posts)

    def forget_all(self) -> None:
        """Nothing is known."""
        self._members.clear()
        self._count = 0
