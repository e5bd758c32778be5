"""Who posts how often and who likes what, decided before the first request. Pure: numbers in, numbers out."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Stopped = Literal["no_unliked_posts", "nobody_can_like"]


class PostRef(NamedTuple):
    """The n-th post of a member, both counted from 0; members in the order of their sign-up."""

    author: int
    n: int


class Like(NamedTuple):
    member: int
    post: PostRef


@dataclass(frozen=True)
class Plan:
    """How many posts each member makes, the likes in their order, and why they end."""

    posts: tuple[int, ...]
    likes: tuple[Like, ...]
    stopped: Stopped


def make_plan(members: int, max_posts: int, max_likes: int, seed: int) -> Plan:
    """Plans a run.

    Arguments: how many members, the most posts and the most likes of each, and the seed. The same arguments
    give the same plan.
    """
    rng = random.Random(f"foyer-bot:{seed}:posts")
    posts = tuple(rng.randint(0, max_posts) for _ in range(members))
    likes, stopped = plan_likes(posts, max_likes, random.Random(f"foyer-bot:{seed}:likes"))
    return Plan(posts, likes, stopped)


def plan_likes(posts: Sequence[int], max_likes: int, rng: random.Random) -> tuple[tuple[Like, ...], Stopped]:
    """Plans the likes for members who have these numbers of posts; gives them and why there are no more.

    One pass over the members is enough: what a member may like only ever shrinks, so that one who has been
    passed over stays passed over.
    """
    board = _Board(posts)
    likes: list[Like] = []
    for member in sorted(range(len(posts)), key=lambda index: (-posts[index], index)):
        mine: set[PostRef] = set()
        while len(mine) < max_likes and (post := board.pick(member, mine, rng)) is not None:
            board.like(post)
            mine.add(post)
            likes.append(Like(member, post))
    return tuple(likes), "nobody_can_like" if board.unliked else "no_unliked_posts"


class _Board:
    """The posts that may be liked now: all those of the members who still have one without a like.

    They stand in a list without order, so that picking one and taking one out cost the same for any size.
    """

    def __init__(self, posts: Sequence[int]) -> None:
        self.unliked = {PostRef(author, n) for author, count in enumerate(posts) for n in range(count)}
        self._posts = posts
        self._unliked_of = list(posts)
        self._pool = sorted(self.unliked)
        self._place = {post: place for place, post in enumerate(self._pool)}

    def pick(self, member: int, liked: set[PostRef], rng: random.Random) -> PostRef | None:
        """Picks uniformly what the member may like; None when there is nothing."""
        # While most of the pool is allowed, drawing until one fits is quicker than listing them, and as fair.
        if len(self._pool) > 2 * (len(liked) + self._posts[member]):
            while True:
                post = rng.choice(self._pool)
                if post.author != member and post not in liked:
                    return post
        allowed = [post for post in self._pool if post.author != member and post not in liked]
        return rng.choice(allowed) if allowed else None

    def like(self, post: PostRef) -> None:
        """Notes a like; the author's posts leave the pool with the last one that had none."""
        if post not in self.unliked:
            return
        self.unliked.remove(post)
        self._unliked_of[post.author] -= 1
        if self._unliked_of[post.author] == 0:
            for n in range(self._posts[post.author]):
                self._take_out(PostRef(post.author, n))

    def _take_out(self, post: PostRef) -> None:
        place, last = self._place.pop(post), self._pool.pop()
        if last != post:
            self._pool[place] = last
            self._place[last] = place
