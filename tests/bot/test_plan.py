"""The plan against a slow reading of the rules that shares no code with it."""

import random
import time
from collections import Counter

import pytest

from bot.plan import Like, PostRef, make_plan, plan_likes


class Rules:
    """Section 7 of the contract, word by word, counting everything afresh each time."""

    def __init__(self, posts: list[int], max_likes: int) -> None:
        self.posts, self.max_likes = posts, max_likes
        self.likes: list[Like] = []

    def all_posts(self) -> list[PostRef]:
        return [PostRef(author, n) for author, count in enumerate(self.posts) for n in range(count)]

    def unliked(self) -> list[PostRef]:
        liked = [like.post for like in self.likes]
        return [post for post in self.all_posts() if post not in liked]

    def choices(self, member: int) -> list[PostRef]:
        """What the member may like now."""
        mine = [like.post for like in self.likes if like.member == member]
        if len(mine) >= self.max_likes:
            return []
        authors = {post.author for post in self.unliked()} - {member}
        return [post for post in self.all_posts() if post.author in authors and post not in mine]

    def next_member(self) -> int | None:
        able = [member for member in range(len(self.posts)) if self.choices(member)]
        return min(able, key=lambda member: (-self.posts[member], member), default=None)

    def check(self, like: Like) -> None:
        assert self.unliked(), "the bot had to stop"
        assert like.member == self.next_member()
        assert like.post in self.choices(like.member)
        self.likes.append(like)

    def end(self) -> str:
        if not self.unliked():
            return "no_unliked_posts"
        assert self.next_member() is None, "somebody could still like"
        return "nobody_can_like"


@pytest.mark.parametrize("part", range(10))
def test_thousands_of_small_plans_keep_the_rules(part: int) -> None:
    rng = random.Random(part)
    reasons: Counter[str] = Counter()
    for _ in range(250):
        posts = [rng.randint(0, rng.choice([1, 3, 5])) for _ in range(rng.randint(1, 6))]
        rules = Rules(posts, rng.randint(0, 6))
        likes, stopped = plan_likes(posts, rules.max_likes, rng)
        for like in likes:
            rules.check(like)
        assert rules.end() == stopped
        reasons[stopped] += 1
    assert len(reasons) == 2


@pytest.mark.parametrize("posts, max_likes, likes, stopped", [
    ([], 5, 0, "no_unliked_posts"),
    ([0, 0], 5, 0, "no_unliked_posts"),
    ([3], 5, 0, "nobody_can_like"),
    ([1, 1], 0, 0, "nobody_can_like"),
    ([1, 1], 1, 2, "no_unliked_posts"),
    ([2, 0], 1, 1, "nobody_can_like"),
    ([0, 2], 9, 2, "no_unliked_posts"),
])
def test_edges(posts: list[int], max_likes: int, likes: int, stopped: str) -> None:
    planned, reason = plan_likes(posts, max_likes, random.Random(1))
    assert (len(planned), reason) == (likes, stopped)


def test_the_first_to_like_has_most_posts_and_ties_go_by_sign_up() -> None:
    likes, _ = plan_likes([1, 3, 0, 3], 2, random.Random(1))
    order = list(dict.fromkeys(like.member for like in likes))
    assert order == [1, 3, 0, 2][:len(order)] and len(order) >= 2


@pytest.mark.parametrize("posts", [[3, 2, 2], [8, 8, 8, 8, 8, 8]])
def test_picks_are_uniform_over_posts(posts: list[int]) -> None:
    """Both ways of picking: from a list when little is left, by drawing when the pool is large."""
    runs = 6000
    firsts = Counter(plan_likes(posts, 1, random.Random(run))[0][0].post for run in range(runs))
    expected = runs / sum(posts[1:])
    chi_square = sum((count - expected) ** 2 / expected for count in firsts.values())
    # The 0.9999 quantile is 23.5 for 3 degrees of freedom and 77 for 39: fixed seeds, so never by chance.
    assert len(firsts) == sum(posts[1:])
    assert chi_square < (23.5 if len(firsts) == 4 else 77)


def test_second_picks_prefer_no_author() -> None:
    """Member 0 likes one of three posts, then one of the other two, liked members' posts or not."""
    pairs = Counter(tuple(like.post for like in plan_likes([3, 2, 1], 2, random.Random(run))[0][:2])
                    for run in range(6000))
    a, b, c = PostRef(1, 0), PostRef(1, 1), PostRef(2, 0)
    assert set(pairs) == {(a, b), (b, a), (a, c), (b, c), (c, a), (c, b)}
    assert all(abs(count - 1000) < 120 for count in pairs.values())


def test_an_author_without_unliked_posts_is_left_alone() -> None:
    for run in range(200):
        likes, _ = plan_likes([2, 1, 1], 2, random.Random(run))
        assert len({like.post for like in likes[:2]}) == 2 and likes[0].member == likes[1].member == 0
        assert all(like.post.author == 0 for like in likes[2:])


def test_the_same_seed_gives_the_same_plan() -> None:
    assert make_plan(20, 5, 10, 7) == make_plan(20, 5, 10, 7)
    assert len({make_plan(20, 5, 10, seed) for seed in range(20)}) == 20


def test_numbers_of_posts_reach_from_none_to_the_maximum() -> None:
    assert set(make_plan(500, 4, 0, 1).posts) == {0, 1, 2, 3, 4}


def test_a_large_plan_is_quick() -> None:
    start = time.process_time()
    plan = make_plan(500, 10, 20, 1)
    assert time.process_time() - start < 1
    assert max(Counter(like.member for like in plan.likes).values()) <= 20
