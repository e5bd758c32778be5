"""The order of the feed as far as it is known: behind each post the next older one.

With it any page of the newest posts is put together from memory, also one that nobody has asked for yet.
"""
from __future__ import annotations

from collections.abc import Sequence

from server.web.fields import MAX_ID

NEWEST = MAX_ID  # where the feed begins: in front of every post
_NONE = 0  # behind the oldest post
MOST_LINKS = 200_000


class Order:
    """A chain of ids that only deletions, and posts that come late, break."""

    def __init__(self) -> None:
        self._older: dict[int, int] = {}

    def behind(self, post_id: int, count: int) -> list[int] | None:
        """The `count` posts behind one, or all when they are fewer; None when not all of them are known."""
        found: list[int] = []
        while len(found) < count:
            older = self._older.get(post_id)
            if older is None:
                return None
            if older == _NONE:
                break
            found.append(older)
            post_id = older
        return found

    def learn(self, begin: int, ids: Sequence[int], to_the_end: bool) -> None:
        """These posts stand one after the other behind `begin`; `to_the_end`: and none behind them."""
        if len(self._older) > MOST_LINKS:
            self._older.clear()
        chain = [begin, *ids, _NONE] if to_the_end else [begin, *ids]
        if begin != NEWEST and begin > self._older.get(NEWEST, _NONE):
            del chain[0]  # a made-up place: a post that comes later may stand behind it
        self._older.update(zip(chain, chain[1:]))

    def added(self, post_id: int) -> bool:
        """There is a new post; False when it may stand between two that are known."""
        newest = self._older.get(NEWEST)
        if newest is not None and newest < post_id:
            self._older[post_id] = newest
            self._older[NEWEST] = post_id
            return True
        self._older.clear()
        return False

    def broken(self) -> None:
        """Posts are gone."""
        self._older.clear()
