"""The proof accepts what kept the rules, and nothing that did not: tampering breaks the rule it should."""

from collections.abc import Callable

import pytest

from bot.actor import DoneLike, Member
from bot.client import FoyerClient
from bot.plan import make_plan
from bot.proof import Evidence, Listed, Seen, judge
from bot.replay import Replay
from bot.words import draft


def evidence_of(seed: int = 3, members: int = 6, max_posts: int = 4, max_likes: int = 3) -> Evidence:
    """What an honest run against an honest server would leave."""
    plan = make_plan(members, max_posts, max_likes, seed)
    ids = {(author, n): 100 * author + n + 1 for author, count in enumerate(plan.posts) for n in range(count)}
    made = [[(ids[author, n], *draft(seed, author, n)) for n in range(count)]
            for author, count in enumerate(plan.posts)]
    likes = [DoneLike(like.member, ids[like.post]) for like in plan.likes]
    people = [Member(f"m{n}", FoyerClient.__new__(FoyerClient), ["found"]) for n in range(members)]
    likers = {post: [f"m{member}" for member, liked in likes[::-1] if liked == post] for post in ids.values()}
    listed = [[Listed(*post, len(likers[post[0]]), likers[post[0]]) for post in posts] for posts in made]
    seen = [Seen(f"m{n}", "found", [], listed[n]) for n in range(members)]
    return Evidence(members, max_posts, max_likes, plan.stopped, people, list(plan.posts), made, likes, seen)


def broken(evidence: Evidence) -> set[str]:
    return {rule for rule, kept in judge(evidence).items() if not kept}


@pytest.mark.parametrize("seed", range(60))
def test_an_honest_run_is_proven(seed: int) -> None:
    assert broken(evidence_of(seed, members=1 + seed % 9, max_likes=seed % 5)) == set()


def test_likes_of_strangers_do_not_matter() -> None:
    evidence = evidence_of()
    for seen in evidence.seen:
        for post in seen.posts:
            post.likers.insert(0, "somebody")
            post.like_count += 1
    assert broken(evidence) == set()


def test_a_search_that_outlasts_the_waiting_is_no_fault() -> None:
    evidence = evidence_of()
    evidence.members[0].enriched, evidence.members[0].pending = [], True
    evidence.seen[0].enrichment = "running"
    assert broken(evidence) == set()
    evidence.seen[0].enrichment, evidence.seen[0].later = "found", ["found"]
    assert broken(evidence) == set()
    evidence.seen[0].later = []
    assert broken(evidence) == {"enriched_exactly_once"}


def first_post(evidence: Evidence) -> tuple[int, Listed]:
    """A member with a post, and the post."""
    author = next(index for index, seen in enumerate(evidence.seen) if seen.posts)
    return author, evidence.seen[author].posts[0]


def own_like(evidence: Evidence) -> None:
    author, post = first_post(evidence)
    post.likers.append(f"m{author}")
    post.like_count += 1


def extra_like(evidence: Evidence) -> None:
    author, post = first_post(evidence)
    name = next(f"m{n}" for n in range(6) if n != author and f"m{n}" not in post.likers)
    post.likers.append(name)
    post.like_count += 1


def lost_like(evidence: Evidence) -> None:
    post = next(post for seen in evidence.seen for post in seen.posts if post.likers)
    post.likers.pop()
    post.like_count -= 1


def wrong_count(evidence: Evidence) -> None:
    first_post(evidence)[1].like_count += 1


def listed_twice(evidence: Evidence) -> None:
    post = next(post for seen in evidence.seen for post in seen.posts if post.likers)
    post.likers.append(post.likers[0])
    post.like_count += 1


def done_twice(evidence: Evidence) -> None:
    evidence.likes.append(evidence.likes[-1])


def wrong_order(evidence: Evidence) -> None:
    evidence.likes.reverse()


def stopped_early(evidence: Evidence) -> None:
    """The last like is missing everywhere: consistent, but the bot had to go on."""
    member, post_id = evidence.likes.pop()
    post = next(post for seen in evidence.seen for post in seen.posts if post.id == post_id)
    post.likers.remove(f"m{member}")
    post.like_count -= 1


def wrong_reason(evidence: Evidence) -> None:
    evidence.stopped = "nobody_can_like" if evidence.stopped == "no_unliked_posts" else "no_unliked_posts"


def changed_text(evidence: Evidence) -> None:
    first_post(evidence)[1].text += "!"


def lost_post(evidence: Evidence) -> None:
    next(seen for seen in evidence.seen if seen.posts and not seen.posts[0].likers).posts.pop(0)


def too_many_posts(evidence: Evidence) -> None:
    seen = max(evidence.seen, key=lambda seen: len(seen.posts))
    seen.posts.extend(Listed(9000 + n, "t", "t", 0, []) for n in range(4))


def too_many_likes(evidence: Evidence) -> None:
    evidence.max_likes -= 1


def not_signed_up(evidence: Evidence) -> None:
    evidence.seen[0].username = "else"


def too_few_members(evidence: Evidence) -> None:
    evidence.members_wanted += 1


def never_enriched(evidence: Evidence) -> None:
    evidence.members[0].enriched = []


def enriched_again(evidence: Evidence) -> None:
    evidence.seen[0].later = ["found"]


def other_status(evidence: Evidence) -> None:
    evidence.members[0].enriched = ["not_found"]


@pytest.mark.parametrize("tamper, rules", [
    (own_like, {"no_own_likes", "like_counts_agree"}),
    (extra_like, {"like_counts_agree"}),
    (lost_like, {"like_counts_agree"}),
    (wrong_count, {"like_counts_agree"}),
    (listed_twice, {"no_double_likes", "like_counts_agree"}),
    (done_twice, {"no_double_likes", "like_counts_agree", "every_like_allowed"}),
    (wrong_order, {"order_of_likers"}),
    (stopped_early, {"stopped_rightly"}),
    (wrong_reason, {"stopped_rightly"}),
    (changed_text, {"posts_as_planned"}),
    (lost_post, {"posts_as_planned"}),
    (too_many_posts, {"posts_within_limit", "posts_as_planned"}),
    (too_many_likes, {"likes_within_limit", "every_like_allowed", "order_of_likers"}),
    (not_signed_up, {"members_signed_up"}),
    (too_few_members, {"members_signed_up"}),
    (never_enriched, {"enriched_exactly_once"}),
    (enriched_again, {"enriched_exactly_once"}),
    (other_status, {"enrichment_agrees"}),
])
def test_tampering_is_found(tamper: Callable[[Evidence], None], rules: set[str]) -> None:
    # Some tampering needs a post without a like, some a run that ended because there was none.
    kinds = [evidence_of(seed, max_likes=likes) for seed in range(1, 8) for likes in (2, 3)]
    evidence = next(kind for kind in kinds if (kind.stopped == "nobody_can_like") == (tamper is lost_post))
    assert broken(evidence) == set()
    tamper(evidence)
    assert rules <= broken(evidence)


@pytest.mark.parametrize("likes, order, allowed", [
    ([(0, 21)], True, True),
    ([(0, 11)], True, False),
    ([(0, 99)], True, False),
    ([(1, 11)], False, True),
    ([(0, 21), (0, 21)], True, False),
    ([(0, 21), (0, 31)], True, True),
    ([(0, 21), (0, 22)], True, True),
    ([(0, 21), (0, 22), (0, 31)], False, False),
    ([(0, 21), (1, 11)], False, True),
    ([(0, 21), (0, 22), (1, 22)], True, False),
    ([(0, 21), (0, 22), (1, 11)], True, True),
])
def test_replayed_by_hand(likes: list[tuple[int, int]], order: bool, allowed: bool) -> None:
    """Three members with the posts 11 12 13, 21 22 and 31, two likes each."""
    assert Replay([[11, 12, 13], [21, 22], [31]], 2).run(likes) == (order, allowed)
