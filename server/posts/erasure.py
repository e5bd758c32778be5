"""What becomes of a member's posts and likes when the member leaves."""
from __future__ import annotations

from functools import partial

import msgspec

from server.posts import queries
from server.posts.memory import Memory
from server.posts.service import Liking
from server.storage import Tx

NOBODY = '"by":null'


class PostsErasure:
    """Erases within the transaction that erases the member."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def erase(self, tx: Tx, member_id: int, username: str) -> None:
        """Removes the member's posts and likes, and their name from what others were told of these likes."""
        # While the likes are there: they say whom it was told.
        await queries.erase_name(tx, member_id, named(member_id, username), NOBODY)
        recounted = await queries.unlike_all_of(tx, member_id)
        await queries.delete_posts_of(tx, member_id)
        tx.after_commit(partial(self._memory.member_erased, member_id, recounted))


def named(member_id: int, username: str) -> str:
    """How a `post_liked` event names the member, letter by letter."""
    return '"by":' + msgspec.json.encode(Liking(member_id, username)).decode()
