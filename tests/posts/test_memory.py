"""What is answered from memory is what stands in the database, whatever happens at the same time."""
from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.posts import liked, memory, order
from server.web import cursor
from tests.support import PASSWORD, Answer, Served

# Behind posts that are there, that are gone, and that come some time.
PAGES = [f"/api/posts?limit={limit}&cursor={cursor.encode('new', at)}"
         for limit, at in ((2, 4), (5, 9), (3, 30), (20, 1))]
READS = ("/api/posts", "/api/posts?limit=3", *PAGES, "/api/posts?sort=likes", "/api/posts?unliked=true",
         "/api/posts?author=member-0",
         "/api/posts?author=member-1&sort=likes&limit=2", "/api/posts?author=member-2&unliked=true")
ALL_POSTS = """
    SELECT p.id, u.id AS author, u.username, u.name, u.avatar_url, p.title, p.text, p.like_count
    FROM posts p JOIN users u ON u.id = p.author_id ORDER BY p.id DESC"""


class Crowd:
    """Members who read and write at random."""

    def __init__(self, server: Served, seed: int) -> None:
        self.server, self.api, self.dice = server, server.api, random.Random(seed)
        self.tokens: list[str] = []
        self.ids: list[int] = []
        self.posts: dict[int, int] = {}  # post -> number of its author
        self.likes: set[tuple[int, int]] = set()  # number of the member, post

    async def gather(self, members: int = 4) -> Crowd:
        """Signs everybody up."""
        for number in range(members):
            session = await self.api.sign_up(f"member-{number}")
            self.tokens.append(session["access_token"])
            self.ids.append(session["user"]["id"])
        return self

    async def write(self) -> Answer:
        """One write at random."""
        number = self.dice.randrange(len(self.tokens))
        kinds: list[Callable[[int], Awaitable[Answer]]] = [self._post, self._like, self._like, self._unlike, self._edit,
                                                           self._rename]
        if len(self.posts) > 4:
            kinds.append(self._delete)
        return await self.dice.choice(kinds)(number)

    async def _post(self, number: int) -> Answer:
        answer = await self.api.post("/api/posts", {"title": str(self.dice.random()), "text": "text"},
                                     token=self.tokens[number])
        self.posts[answer.data["id"]] = number
        return answer

    def _any_post(self) -> int:
        return self.dice.choice([*self.posts, 0])

    async def _like(self, number: int) -> Answer:
        return await self.api.call("PUT", f"/api/posts/{self._any_post()}/like", token=self.tokens[number])

    async def _unlike(self, number: int) -> Answer:
        return await self.api.call("DELETE", f"/api/posts/{self._any_post()}/like", token=self.tokens[number])

    async def _edit(self, number: int) -> Answer:
        return await self.api.call("PATCH", f"/api/posts/{self._any_post()}", token=self.tokens[number],
                                   json={"title": str(self.dice.random())})

    async def _delete(self, number: int) -> Answer:
        post = self._any_post()
        answer = await self.api.call("DELETE", f"/api/posts/{post}", token=self.tokens[number])
        if answer.status == 204:
            del self.posts[post]
        return answer

    async def _rename(self, number: int) -> Answer:
        return await self.api.call("PATCH", "/api/me", json={"name": str(self.dice.random())},
                                   token=self.tokens[number])

    async def read(self) -> Answer:
        """One read at random."""
        path = self.dice.choice([*READS, f"/api/posts/{self._any_post()}"])
        return await self.api.get(path, token=self.dice.choice([None, *self.tokens]))

    async def compare(self) -> None:
        """Every answer, with and without what is remembered."""
        places = [(path, token) for path in (*READS, *[f"/api/posts/{post}" for post in self.posts])
                  for token in (None, *self.tokens)]
        remembered = [(await self.api.get(path, token=token)).raw for path, token in places]
        _forget(self.server.foyer.memory)
        for (path, token), known in zip(places, remembered):
            fresh = (await self.api.get(path, token=token)).raw
            assert json.loads(known) == json.loads(fresh), path
            assert known == fresh

    async def compare_with_rows(self) -> None:
        """The whole feed against the table."""
        feed = (await self.api.get("/api/posts?limit=100")).data
        rows = await self.server.foyer.database.read(_rows)
        assert [(post["id"], post["author"]["id"], post["author"]["username"], post["author"]["name"],
                 post["author"]["avatar_url"], post["title"], post["text"], post["like_count"])
                for post in feed] == rows[:100]


async def _rows(tx: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await tx.all(ALL_POSTS)]


def _forget(known: memory.Memory) -> None:
    """Empties everything that is remembered."""
    stamp = known.stamp
    known.__init__()  # type: ignore[misc]
    known.stamp = known._floor = stamp + 1


@pytest.fixture(autouse=True)
async def crowd(server: Served) -> Crowd:
    return await Crowd(server, 20261121).gather()


async def test_after_each_write_everything_is_fresh(crowd: Crowd) -> None:
    for _ in range(60):
        assert (await crowd.write()).status in (200, 201, 204, 403, 404)
        await crowd.compare_with_rows()
        if crowd.dice.random() < 0.2:
            await crowd.compare()


async def test_reads_and_writes_at_once_leave_nothing_stale(crowd: Crowd) -> None:
    for turn in range(40):
        work: list[Awaitable[Answer]] = [crowd.write() if crowd.dice.random() < 0.4 else crowd.read()
                                         for _ in range(30)]
        assert all(answer.status < 500 for answer in await asyncio.gather(*work))
        await crowd.compare_with_rows()
        if turn % 3 == 0:
            await crowd.compare()


async def test_a_member_reads_what_they_wrote_while_others_write(crowd: Crowd) -> None:
    post = (await crowd.api.write_post(crowd.tokens[0]))["id"]
    path = f"/api/posts/{post}"

    async def flip(number: int) -> None:
        for turn in range(30):
            liked = turn % 2 == 0
            await crowd.api.call("PUT" if liked else "DELETE", f"{path}/like", token=crowd.tokens[number])
            one, all_ = await asyncio.gather(crowd.api.get(path, token=crowd.tokens[number]),
                                             crowd.api.get("/api/posts", token=crowd.tokens[number]))
            assert one.data["liked"] == all_.data[0]["liked"] == liked
    await asyncio.gather(*[flip(number) for number in (1, 2, 3)])


async def test_a_like_count_is_never_behind_for_who_saw_it(crowd: Crowd) -> None:
    post = (await crowd.api.write_post(crowd.tokens[0]))["id"]
    seen = [0]

    async def watch() -> None:
        while seen[-1] < 3:
            seen.append((await crowd.api.get(f"/api/posts/{post}")).data["like_count"])
    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        for token in crowd.tokens[1:]:
            group.create_task(crowd.api.call("PUT", f"/api/posts/{post}/like", token=token))
    assert seen == sorted(seen)


async def test_small_bounds_change_no_answer(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in ((memory, "MOST_BYTES", 700), (memory, "MOST_PAGES", 2), (memory, "MOST_STAMPS", 5),
                                (liked, "MOST_MEMBERS", 2), (liked, "MOST_EACH", 2), (liked, "MOST_IN_ALL", 3),
                                (order, "MOST_LINKS", 3)):
        monkeypatch.setattr(module, name, value)
    for _ in range(40):
        await asyncio.gather(*[crowd.write() if number % 3 == 0 else crowd.read() for number in range(9)])
    await crowd.compare_with_rows()
    await crowd.compare()


async def test_a_write_that_fails_changes_nothing_that_is_remembered(crowd: Crowd) -> None:
    await crowd.api.write_post(crowd.tokens[0])
    before = (await crowd.api.get("/api/posts")).raw
    body = {"username": "member-0", "email": "x@example.org", "password": PASSWORD}
    assert (await crowd.api.post("/api/signup", body)).status == 409
    post = next(iter((await crowd.api.get("/api/posts")).data))["id"]
    assert (await crowd.api.call("PATCH", f"/api/posts/{post}", json={"title": "x"},
                                 token=crowd.tokens[1])).status == 403
    assert (await crowd.api.call("PUT", f"/api/posts/{post}/like", token=crowd.tokens[0])).status == 403
    assert (await crowd.api.get("/api/posts")).raw == before
