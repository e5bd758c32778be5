"""What can be asked of a Foyer: how it is sent, what must come back, and what the world is afterwards.

`check` compares the answer with the world as it is then and changes that; it raises AssertionError when a Foyer in this
state could not have answered so. It depends on nothing else, so operations can be tried in any order. Those which a
`kill -9` may interrupt also take None: it was done, and nobody heard the answer.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from unittest.mock import ANY

from tests.judges.model.world import Member, Post, World
from tests.support import Answer, Api


class Operation(Protocol):
    """One request."""

    async def send(self, api: Api) -> Answer:
        """Sends it."""

    def check(self, world: World, answer: Answer) -> None:
        """Compares, and changes the world."""


@dataclass(frozen=True)
class Caller:
    """With which session and token somebody asks."""

    member: int
    session: int
    token: str

    def __repr__(self) -> str:
        return f"<member {self.member}, session {self.session}>"


def token_of(by: Caller | None) -> str | None:
    """The token to send."""
    return by.token if by is not None else None


def refused(answer: Answer | None, status: int, code: str) -> None:
    """It must be this problem."""
    assert answer is None or (answer.status == status and answer.code == code), (answer.status, answer.body)


def data_of(answer: Answer, status: int = 200) -> Any:
    """It must be a success with this status; its data."""
    assert answer.status == status, (answer.status, answer.body)
    return answer.body["data"] if answer.body is not None else None


def let_in(world: World, by: Caller, answer: Answer | None) -> Member | None:
    """Who asks; None, and the answer must be a 401, when the session is over.

    The door is passed before the work begins, and a session that ends in between calls nobody back. So when both were
    under way together, either is right; not so when the member is gone.
    """
    passed = by.session in world.just_ended and answer is not None and answer.status != 401
    if world.sessions[by.session].open or (passed and by.member in world.members):
        return world.members[by.member]
    refused(answer, 401, "not_signed_in")
    return None


def found(world: World, post_id: int, answer: Answer | None) -> Post | None:
    """The post; None, and the answer must be a 404, when there is none."""
    if post_id in world.posts:
        return world.posts[post_id]
    refused(answer, 404, "not_found")
    return None


def same(expected: Any, shown: Any) -> None:
    """What is shown must be what is expected."""
    assert shown == expected, f"shown {shown}\nexpected {expected}"


@dataclass(frozen=True)
class WritePost:
    """POST /api/posts."""

    by: Caller
    body: dict[str, str]
    key: str | None = None

    async def send(self, api: Api) -> Answer:
        headers = {"Idempotency-Key": self.key} if self.key else {}
        return await api.post("/api/posts", self.body, token=self.by.token, headers=headers)

    def check(self, world: World, answer: Answer) -> None:
        member = let_in(world, self.by, answer)
        if member is None:
            return
        if member.email_status in ("invalid", "disposable"):
            return refused(answer, 403, "email_undeliverable")
        data = data_of(answer, 201)
        assert data["id"] not in world.posts and answer.headers["Location"] == f"/api/posts/{data['id']}"
        post = Post(data["id"], member.id, self.body["title"], self.body["text"], self.body.get("link"),
                    data["created_at"])
        world.posts[post.id] = post
        same(world.shown(post, member.id, data), data)


@dataclass(frozen=True)
class EditPost:
    """PATCH /api/posts/{id}."""

    by: Caller
    post: int
    changes: dict[str, str | None]

    async def send(self, api: Api) -> Answer:
        return await api.call("PATCH", f"/api/posts/{self.post}", json=self.changes, token=self.by.token)

    def check(self, world: World, answer: Answer | None) -> None:
        member = let_in(world, self.by, answer)
        post = found(world, self.post, answer) if member else None
        if member is None or post is None:
            return
        if post.author != member.id:
            return refused(answer, 403, "forbidden")
        for name, value in self.changes.items():
            setattr(post, name, value)
        if answer is None:
            post.edited_at = ANY if self.changes else post.edited_at
            return
        data = data_of(answer)
        if self.changes:
            assert data["edited_at"] >= (post.edited_at if isinstance(post.edited_at, str) else post.created_at)
            post.edited_at = data["edited_at"]
        same(world.shown(post, member.id, data), data)


@dataclass(frozen=True)
class DeletePost:
    """DELETE /api/posts/{id}."""

    by: Caller
    post: int

    async def send(self, api: Api) -> Answer:
        return await api.call("DELETE", f"/api/posts/{self.post}", token=self.by.token)

    def check(self, world: World, answer: Answer | None) -> None:
        member = let_in(world, self.by, answer)
        post = found(world, self.post, answer) if member else None
        if member is None or post is None:
            return
        if post.author != member.id:
            return refused(answer, 403, "forbidden")
        assert answer is None or answer.status == 204, answer.body
        del world.posts[post.id]


@dataclass(frozen=True)
class Like:
    """PUT or DELETE /api/posts/{id}/like."""

    by: Caller
    post: int
    on: bool = True

    async def send(self, api: Api) -> Answer:
        return await api.call("PUT" if self.on else "DELETE", f"/api/posts/{self.post}/like", token=self.by.token)

    def check(self, world: World, answer: Answer | None) -> None:
        member = let_in(world, self.by, answer)
        post = found(world, self.post, answer) if member else None
        if member is None or post is None:
            return
        if self.on and post.author == member.id:
            return refused(answer, 403, "own_post")
        (world.like if self.on else world.unlike)(member, post)
        if answer is not None:
            data = data_of(answer)
            same(world.shown(post, member.id, data), data)


@dataclass(frozen=True)
class Acknowledge:
    """POST /api/events/ack."""

    by: Caller
    seq: int

    async def send(self, api: Api) -> Answer:
        return await api.post("/api/events/ack", {"seq": self.seq}, token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        member = let_in(world, self.by, answer)
        if member is None:
            return
        data_of(answer, 204)
        # A number that was not given out yet changes nothing. What is still to come stands behind all these.
        if member.acked < self.seq <= len(member.log):
            member.acked = self.seq
