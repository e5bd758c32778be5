"""A member's posts and likes go; what is remembered of posts knows it at once, whatever happens meanwhile."""
from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from server.core.clock import DAY, iso, now_ms
from server.events import log as events
from server.ops import check
from server.posts import memory, queries
from server.posts.memory import Kept, kept
from server.posts.model import Author, Post
from server.storage import Tx
from tests.accounts.test_erasure import leave, like
from tests.support import Served
from tests.ws.support import QUIET

PATHS = ("/api/posts", "/api/posts?limit=3", "/api/posts?sort=likes", "/api/posts?unliked=true",
         "/api/posts?author=member-0")


class Crowd:
    """Members with posts and likes, and what each of them is shown."""

    def __init__(self, served: Served, sessions: list[Any], posts: list[Any]) -> None:
        self.served, self.sessions, self.posts = served, sessions, posts
        self.tokens: list[str] = [session["access_token"] for session in sessions]

    async def seen(self, tokens: list[str]) -> list[bytes]:
        """Every page and post, as these members and a stranger see them."""
        paths = (*PATHS, *[f"/api/posts/{post['id']}" for post in self.posts])
        answers = [await self.served.api.get(path, token=token) for path in paths for token in (None, *tokens)]
        return [b"" if answer.status == 404 else answer.raw for answer in answers]

    async def compare(self, tokens: list[str]) -> None:
        """What is remembered is what is stored."""
        remembered = await self.seen(tokens)
        self.served.foyer.memory.everything_changed()
        assert remembered == await self.seen(tokens)
        assert await self.served.foyer.database.read(check.broken) == []


@pytest.fixture
async def crowd(server: Served) -> Crowd:
    sessions = [await server.api.sign_up(f"member-{number}") for number in range(4)]
    tokens, dice = [session["access_token"] for session in sessions], random.Random(7)
    posts = [await server.api.write_post(tokens[number % 4], f"Post {number}") for number in range(12)]
    for token in tokens:
        for post in dice.sample(posts, 8):
            await like(server, token, post)
    return Crowd(server, sessions, posts)


async def test_what_was_remembered_is_fresh_at_once(crowd: Crowd) -> None:
    for gone in range(3):
        rest = crowd.tokens[gone + 1:]
        await crowd.seen([crowd.tokens[gone], *rest])
        assert (await leave(crowd.served, crowd.tokens[gone])).status == 204
        await crowd.compare(rest)
    feed = (await crowd.served.api.get("/api/posts")).data
    assert {(post["author"]["username"], post["like_count"]) for post in feed} == {("member-3", 0)}


async def test_who_reads_and_likes_meanwhile_leaves_nothing_stale(crowd: Crowd) -> None:
    dice = random.Random(8)
    for gone in range(3):
        rest = crowd.tokens[gone + 1:]
        work: list[Any] = [crowd.served.api.get(dice.choice(PATHS), token=dice.choice([None, *rest]))
                           for _ in range(40)]
        work += [like(crowd.served, dice.choice(crowd.tokens[gone:]), dice.choice(crowd.posts),
                      dice.choice(["PUT", "DELETE"])) for _ in range(20)]
        dice.shuffle(work)
        answers = await asyncio.gather(*work[:30], leave(crowd.served, crowd.tokens[gone]), *work[30:])
        assert answers[30].status == 204 and all(answer.status < 500 for answer in answers)
        await crowd.compare(rest)


def _post(id_: int, author: int, liked: bool = False) -> tuple[int, Kept, bool]:
    return id_, kept(Post(id_, Author(author, "a", None, None), "t", "x", None, iso(0), None, 0, False)), liked


def test_a_read_that_began_before_brings_nothing_back() -> None:
    known = memory.Memory()
    stamp = known.stamp
    known.member_erased(1, frozenset([2]))
    known.fill(stamp, [_post(1, 1), _post(2, 5, True), _post(3, 5)], 1)
    known.fill_page(stamp, "key", False, ((1, 2), None))
    assert [known.head(id_) for id_ in (1, 2, 3)] == [None] * 3 and known.page("key", False, 0) is None
    known.fill(known.stamp, [_post(2, 5)], 0)
    assert known.post(2, 0) is not None and known.post(2, 1) is None


def test_only_what_is_concerned_is_forgotten() -> None:
    known = memory.Memory()
    known.fill(0, [_post(1, 1), _post(2, 5), _post(3, 5, True)], 7)
    known.member_erased(1, frozenset([2]))
    assert [known.head(id_) is None for id_ in (1, 2, 3)] == [True, True, False]
    liked = known.post(3, 7)
    assert liked is not None and json.loads(liked)["liked"]


# -- where the name stands in the events of others


async def _run(served: Served, sql: str, *args: Any) -> list[tuple[Any, ...]]:
    async def run(tx: Tx) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await tx.all(sql, *args)]
    return await served.foyer.database.write(run)


async def test_a_like_knows_the_event_that_tells_of_it(crowd: Crowd) -> None:
    rows = await _run(crowd.served, """
        SELECT count(*), count(CASE WHEN e.data LIKE '%"post_id":' || l.post_id || ',"by":{"id":' || l.user_id || ',%'
            THEN 1 END)
        FROM likes l JOIN posts p ON p.id = l.post_id JOIN events e ON e.user_id = p.author_id AND e.seq = l.told""")
    likes = await _run(crowd.served, "SELECT count(*) FROM likes")
    assert rows == [(*likes[0], *likes[0])] and likes[0][0] > 20


async def test_mentions_are_kept_as_long_as_the_events(crowd: Crowd) -> None:
    served, now = crowd.served, now_ms()
    post = crowd.posts[0]
    likers = await _run(served, "SELECT user_id, told FROM likes WHERE post_id = $1 ORDER BY told", post["id"])
    await _run(served, "UPDATE events SET at = $1 WHERE user_id = $2 AND seq <= $3 RETURNING 1", now - 31 * DAY,
               post["author"]["id"], likers[0][1])
    await served.foyer.database.write(events.prune, now - 30 * DAY)
    await served.api.call("DELETE", f"/api/posts/{post['id']}", token=crowd.tokens[0])
    assert await _run(served, "SELECT member_id, told FROM mentions ORDER BY told") == likers[1:]
    await _run(served, "UPDATE mentions SET at = $1 WHERE member_id = $2 RETURNING 1", now - 31 * DAY, likers[1][0])
    await served.foyer.database.write(queries.prune_mentions, now - 30 * DAY, 100)
    assert await _run(served, "SELECT member_id, told FROM mentions ORDER BY told") == likers[2:]


async def test_a_like_that_was_repeated_after_it_was_taken_back(serve: Any) -> None:
    served = await serve(QUIET)
    token, ada = [(await served.api.sign_up(name))["access_token"] for name in ("leaver", "ada")]
    posts = [await served.api.write_post(ada) for _ in range(3)]
    for post in posts:
        for method in ("PUT", "DELETE", "PUT", "PUT"):
            await like(served, token, post, method)
    await served.api.call("DELETE", f"/api/posts/{posts[1]['id']}", token=ada)
    assert (await leave(served, token)).status == 204
    events = (await served.api.get("/api/events?after=0", token=ada)).data
    assert [event["data"]["by"] for event in events if event["type"] == "post_liked"] == [None] * 3
    assert b"leaver" not in (await served.api.get("/api/events?after=0", token=ada)).raw
