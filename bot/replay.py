"""The rules of liking once more, written apart from the plan: replays likes and says which were right."""

from collections.abc import Iterable, Sequence

from bot.plan import Stopped


class Replay:
    """A run's likes, step by step.

    Arguments: the post ids of each member, in the order of sign-up, and the most likes of one member.
    """

    def __init__(self, posts: Sequence[Sequence[int]], max_likes: int) -> None:
        self._posts = posts
        self._max_likes = max_likes
        self._author = {post: author for author, own in enumerate(posts) for post in own}
        self._without_like = {author: set(own) for author, own in enumerate(posts) if own}
        self._liked: list[set[int]] = [set() for _ in posts]
        self._queue = sorted(range(len(posts)), key=lambda member: -len(posts[member]))

    def run(self, likes: Iterable[tuple[int, int]]) -> tuple[bool, bool]:
        """Replays likes, each a member and a post id.

        Gives whether each was the turn of its member, and whether each was allowed to that member.
        """
        in_order = allowed = True
        for member, post in likes:
            in_order = in_order and self._next() == member
            allowed = allowed and self._is_allowed(member, post)
            self._note(member, post)
        return in_order, allowed

    def right_end(self) -> Stopped | None:
        """Says why there must be no further like now; None while there has to be one."""
        if not self._without_like:
            return "no_unliked_posts"
        return "nobody_can_like" if self._next() is None else None

    def _next(self) -> int | None:
        """Whose turn it is: the first in the queue below the maximum who finds something to like."""
        while self._queue and len(self._liked[self._queue[0]]) >= self._max_likes:
            self._queue.pop(0)
        return next((member for member in self._queue if self._can_like(member)), None)

    def _can_like(self, member: int) -> bool:
        return len(self._liked[member]) < self._max_likes and any(
            not self._liked[member].issuperset(self._posts[author])
            for author in self._without_like if author != member
        )

    def _is_allowed(self, member: int, post: int) -> bool:
        author = self._author.get(post)
        return (author is not None and author != member and author in self._without_like
                and post not in self._liked[member] and len(self._liked[member]) < self._max_likes)

    def _note(self, member: int, post: int) -> None:
        self._liked[member].add(post)
        author = self._author.get(post)
        if author in self._without_like:
            self._without_like[author].discard(post)
            if not self._without_like[author]:
                del self._without_like[author]
