"""Operations that change nothing: what a Foyer shows."""
from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.judges.model.operations import Caller, data_of, found, let_in, refused, same, token_of
from tests.judges.model.world import Member, World
from tests.support import Answer, Api

WHOLE = 100  # the largest page


def path_of(path: str, **query: Any) -> str:
    """The path with those parameters that are given."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


@dataclass(frozen=True)
class ReadPost:
    """GET /api/posts/{id}."""

    by: Caller | None
    post: int

    async def send(self, api: Api) -> Answer:
        return await api.get(f"/api/posts/{self.post}", token=token_of(self.by))

    def check(self, world: World, answer: Answer) -> None:
        if self.by is not None and let_in(world, self.by, answer) is None:
            return
        post = found(world, self.post, answer)
        if post is not None:
            data = data_of(answer)
            same(world.shown(post, self.by.member if self.by else None, data), data)


@dataclass(frozen=True)
class Behind:
    """Where a page begins: behind the post with this key, by this cursor."""

    key: tuple[int, int]
    cursor: str


@dataclass(frozen=True)
class ReadFeed:
    """GET /api/posts."""

    by: Caller | None = None
    author: str | None = None
    unliked: bool = False
    sort: str = "new"
    limit: int = 20
    behind: Behind | None = None

    @property
    def by_likes(self) -> bool:
        """Whether the number of likes decides the order: where it is always zero, it does not."""
        return self.sort == "likes" and not self.unliked

    async def send(self, api: Api) -> Answer:
        path = path_of("/api/posts", author=self.author, unliked="true" if self.unliked else None,
                       sort=self.sort if self.sort != "new" else None, limit=self.limit,
                       cursor=self.behind.cursor if self.behind else None)
        return await api.get(path, token=token_of(self.by))

    def check(self, world: World, answer: Answer) -> None:
        if self.by is not None and let_in(world, self.by, answer) is None:
            return
        data, reader = data_of(answer), self.by.member if self.by else None
        left = [post for post in world.feed(self.author, self.unliked, self.by_likes)
                if self.behind is None or post.key(self.by_likes) < self.behind.key]
        same([post.id for post in left[:self.limit]], [each["id"] for each in data])
        for post, each in zip(left, data):
            same(world.shown(post, reader, each), each)
        assert (answer.body["next"] is not None) == (len(left) > self.limit), (len(left), answer.body["next"])


@dataclass(frozen=True)
class ReadLikers:
    """GET /api/posts/{id}/likes. Times are learned from a whole list and hold from then on."""

    post: int
    limit: int = WHOLE
    behind: Behind | None = None

    async def send(self, api: Api) -> Answer:
        return await api.get(path_of(f"/api/posts/{self.post}/likes", limit=self.limit,
                                     cursor=self.behind.cursor if self.behind else None))

    def check(self, world: World, answer: Answer) -> None:
        post = found(world, self.post, answer)
        if post is None:
            return
        data = data_of(answer)
        if self.behind is None and self.limit == WHOLE:
            self._learn(post.likes, data)
        by_time = sorted(((at or "", id_) for id_, at in post.likes.items()), reverse=True)
        first = next((at for at, each in enumerate(by_time) if self.behind and each[1] == self.behind.key[1]), -1) + 1
        page = by_time[first:first + self.limit]
        same([{**world.members[id_].author(each), "liked_at": at} for (at, id_), each in zip(page, data)], data)
        assert len(page) == len(data) and (answer.body["next"] is not None) == (len(by_time) > first + self.limit)

    def _learn(self, likes: dict[int, str | None], data: Any) -> None:
        times = {each["id"]: each["liked_at"] for each in data}
        assert times.keys() == likes.keys(), (times, likes)
        for id_, known in likes.items():
            assert known in (None, times[id_]), (known, times)
            likes[id_] = times[id_]
        in_order = [times[id_] for id_ in likes]
        assert in_order == sorted(in_order), ("a later like has an earlier time", in_order)


@dataclass(frozen=True)
class ReadMe:
    """GET /api/me."""

    by: Caller

    async def send(self, api: Api) -> Answer:
        return await api.get("/api/me", token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        member = let_in(world, self.by, answer)
        if member is not None:
            data = data_of(answer)
            same(world.me(member, data), data)


@dataclass(frozen=True)
class ReadProfile:
    """GET /api/users/{username}."""

    name: str

    async def send(self, api: Api) -> Answer:
        return await api.get(f"/api/users/{self.name}")

    def check(self, world: World, answer: Answer) -> None:
        member = world.named(self.name)
        if member is None:
            return refused(answer, 404, "not_found")
        data = data_of(answer)
        same(world.profile(member, data), data)


@dataclass(frozen=True)
class ReadMembers:
    """GET /api/users: newest first, or by name."""

    q: str | None = None
    limit: int = 20
    behind: tuple[str, str] | None = None  # the name on which the page before ended, and the cursor

    async def send(self, api: Api) -> Answer:
        return await api.get(path_of("/api/users", q=self.q, limit=self.limit,
                                     cursor=self.behind[1] if self.behind else None))

    def check(self, world: World, answer: Answer) -> None:
        data = data_of(answer)
        left = self._all(world)
        names = [member.username for member in left]
        left = left[names.index(self.behind[0]) + 1 if self.behind else 0:]
        same([member.id for member in left[:self.limit]], [each["id"] for each in data])
        for member, each in zip(left, data):
            same(world.profile(member, each), each)
        assert (answer.body["next"] is not None) == (len(left) > self.limit), (len(left), answer.body["next"])

    def _all(self, world: World) -> list[Member]:
        if self.q is None:
            return sorted(world.members.values(), key=lambda member: -member.id)
        named = [each for each in world.members.values() if each.username.lower().startswith(self.q.lower())]
        return sorted(named, key=lambda member: member.username.lower())


@dataclass(frozen=True)
class ReadSessions:
    """GET /api/sessions."""

    by: Caller

    async def send(self, api: Api) -> Answer:
        return await api.get(path_of("/api/sessions", limit=WHOLE), token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        member = let_in(world, self.by, answer)
        if member is not None:
            shown = [(each["id"], each["current"]) for each in data_of(answer)]
            same([(each.id, each.id == self.by.session) for each in world.sessions_of(member.id)], shown)


@dataclass(frozen=True)
class ReadEvents:
    """GET /api/events. `after` is a number that was given out, or one far above, or none."""

    by: Caller
    after: int | None = None
    limit: int = WHOLE
    cursor: str | None = None  # in place of `after`, which it stands for

    async def send(self, api: Api) -> Answer:
        after = self.after if self.cursor is None else None
        return await api.get(path_of("/api/events", after=after, limit=self.limit, cursor=self.cursor),
                             token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        member = let_in(world, self.by, answer)
        if member is None:
            return
        data, gap = data_of(answer), answer.body["gap"]
        after = member.acked if self.after is None else self.after
        fewest = len(member.log) + len(member.news)  # what is owed may be there or not
        if after > fewest + len(member.owed):
            assert not data and fewest < gap <= fewest + len(member.owed) + 1, (after, answer.body)
            return
        same(None, gap)  # what was acknowledged stays for a day
        known = member.log[after:after + self.limit]
        same(known, data[:len(known)])
        self._rest(member, world, data[len(known):], after + len(data), answer.body["next"] is not None)

    def _rest(self, member: Member, world: World, frames: list[Any], last: int, more: bool) -> None:
        """The events that the world has not heard of yet must be those that are to come."""
        trial = copy.deepcopy(member)
        if frames:
            world.heard(trial, frames, whole=False)
        left = last < len(member.log) or bool(trial.news)
        assert more or not left, "there is more, and the page does not say so"
        assert left or trial.owed or not more, "there is nothing more, and the page says that there is"
