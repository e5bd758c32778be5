"""What clients were told, and whether it is still so afterwards."""
from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support import PASSWORD, Answer, Api

CONFIRM = "/api/email/confirm"
STATUS = {CONFIRM: 204, "/api/signup": 201, "/api/posts": 201}
GONE = (aiohttp.ClientError, ConnectionError, asyncio.TimeoutError)
TAGS = ("", "", "", "+later", "+nobody")  # how the stand-ins treat the address: at once, 202 twice, unknown


class Refused(Exception):
    """The server answered with a status that was not expected."""


@dataclass
class Member:
    """Somebody whose sign-up was acknowledged."""

    id: int
    name: str
    token: str
    email: str
    email_status: str


@dataclass
class Asked:
    """A request whose answer did not come: asked again with the same key, it must have one effect."""

    path: str
    body: dict[str, Any]
    key: str
    by: Member | None = None


@dataclass
class Book:
    """All that was acknowledged."""

    members: list[Member] = field(default_factory=list)
    posts: dict[int, tuple[Member, str]] = field(default_factory=dict)
    # What may be: one state when the last answer came, two when the server died before it.
    likes: dict[int, dict[int, set[bool]]] = field(default_factory=dict)
    ever_liked: set[tuple[int, int]] = field(default_factory=set)
    confirmed: set[int] = field(default_factory=set)  # members
    letters: dict[str, set[str]] = field(default_factory=dict)  # by address: the Message-IDs that arrived there
    links: dict[str, str] = field(default_factory=dict)  # by address: the token that came and was not used yet
    unanswered: list[Asked] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    touched: set[int] = field(default_factory=set)  # posts written since the last comparison
    compared: int = 0  # how many members were

    def told(self, asked: Asked, answer: Answer) -> None:
        """Notes the answer to a sign-up, a confirmation or a post."""
        if answer.status != STATUS[asked.path]:
            raise Refused(asked.path, answer.status, answer.body)
        if asked.by is None:
            user = answer.data["user"]
            self.members.append(Member(user["id"], user["username"], answer.data["access_token"], user["email"],
                                       user["email_status"]))
        elif asked.path == CONFIRM:
            self.confirmed.add(asked.by.id)
        else:
            assert answer.data["id"] not in self.posts, "two posts have the same id"
            self.posts[answer.data["id"]] = (asked.by, asked.body["title"])
            self.touched.add(answer.data["id"])
        self.counts[asked.path] += 1

    async def open_letters(self, api: Api, sandbox: str) -> None:
        """Notes what has arrived at the mail sink."""
        for letter in await api.letters(sandbox):
            [address] = letter["to"]
            if address not in self.letters:
                self.links[address] = letter["links"][0].partition("#token=")[2]
            self.letters.setdefault(address, set()).add(letter["message_id"])

    def line(self) -> str:
        """The numbers, for the report."""
        return (f"{self.counts.total()} acknowledged writes: {self.counts['/api/signup']} sign-ups, "
                f"{self.counts[CONFIRM]} confirmations, {self.counts['/api/posts']} posts, "
                f"{self.counts['like']} likes, {self.counts['unlike']} unlikes; "
                f"{self.counts['unanswered']} unanswered ones asked again")


class Load:
    """One client among several. Its members act for nobody else at the same time, so the last answer counts."""

    def __init__(self, api: Api, book: Book, rng: random.Random, share: int, of: int, sign_ups: int) -> None:
        self._api, self._book, self._rng = api, book, rng
        self._share, self._of, self._sign_ups = share, of, sign_ups

    async def run(self) -> None:
        """Writes until the server is gone."""
        try:
            while True:
                await self._step()
        except GONE:
            pass

    async def _step(self) -> None:
        mine = [member for member in self._book.members if member.id % self._of == self._share]
        if not mine or (self._sign_ups and self._rng.random() < 0.2):
            self._sign_ups -= 1
            await self.ask(sign_up(self._rng))
            return
        member = self._rng.choice(mine)
        if member.email in self._book.links and self._rng.random() < 0.3:
            body = {"token": self._book.links.pop(member.email)}
            await self.ask(Asked(CONFIRM, body, word(self._rng), member))
        elif not self._book.posts or self._rng.random() < 0.3:
            body = {"title": word(self._rng), "text": "Some text"}
            await self.ask(Asked("/api/posts", body, word(self._rng), member))
        else:
            await self._like(member)

    async def ask(self, asked: Asked) -> None:
        """Signs up, confirms or posts."""
        try:
            answer = await self._api.post(asked.path, asked.body, headers={"Idempotency-Key": asked.key},
                                          token=asked.by.token if asked.by else None)
        except GONE:
            self._book.unanswered.append(asked)
            self._book.counts["unanswered"] += 1
            raise
        self._book.told(asked, answer)

    async def _like(self, member: Member) -> None:
        # The newest posts, so that members meet at the same rows.
        others = [id_ for id_ in list(self._book.posts)[-30:] if self._book.posts[id_][0] is not member]
        if others:
            post = self._rng.choice(others)
            like = self._rng.random() < 0.75
            await self._set(member, post, like, self._rng.choice((1, 1, 2, 3)))

    async def _set(self, member: Member, post: int, like: bool, times: int) -> None:
        """Likes or takes back, several times at once: it must be as if it were done once."""
        states = self._book.likes.setdefault(post, {}).setdefault(member.id, {False})
        states.add(like)
        self._book.touched.add(post)
        if like:
            self._book.ever_liked.add((post, member.id))
        method = "PUT" if like else "DELETE"
        calls = [self._api.call(method, f"/api/posts/{post}/like", token=member.token) for _ in range(times)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, Answer):
                self._note(answer, states, like)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    def _note(self, answer: Answer, states: set[bool], like: bool) -> None:
        if answer.status != 200 or answer.data["liked"] is not like:
            raise Refused(answer.status, answer.body)
        # Of several equal ones the first answer settles it: the others change nothing, answered or not.
        states.clear()
        states.add(like)
        self._book.counts["like" if like else "unlike"] += 1


def word(rng: random.Random) -> str:
    """Something that nobody else has."""
    return f"w{rng.getrandbits(80):020x}"


def sign_up(rng: random.Random) -> Asked:
    """The sign-up of somebody new."""
    name = word(rng)
    body = {"username": name, "email": f"{name}{rng.choice(TAGS)}@example.org", "password": PASSWORD}
    return Asked("/api/signup", body, word(rng))


class Audit:
    """Compares a server with the book."""

    def __init__(self, api: Api, book: Book) -> None:
        self._api, self._book = api, book

    async def everything(self, besides: Collection[int] = ()) -> None:
        """Nothing acknowledged is missing, nothing is there twice. `besides`: posts that are not in the book."""
        await self._members(self._book.members)
        found = {post["id"]: post for post in await self.listed("/api/posts")}
        for id_ in self._book.posts:
            assert id_ in found, f"post {id_} is gone"
            await self._post(id_, found[id_])
        # Also what was asked again: a second post would be one that nobody was told of.
        assert set(found) - set(besides) == set(self._book.posts), "posts were made twice"

    async def latest(self) -> None:
        """The same of what was written since the last time."""
        posts, self._book.touched = self._book.touched, set()
        await self._members(self._book.members[self._book.compared:])
        self._book.compared = len(self._book.members)
        for id_ in posts:
            await self._post(id_, (await self._api.get(f"/api/posts/{id_}")).data)

    async def _members(self, members: list[Member]) -> None:
        for member in members:
            me = (await self._api.get("/api/me", token=member.token)).data
            assert (me["id"], me["username"]) == (member.id, member.name), "a member is somebody else"
            assert me["email_confirmed_at"] or member.id not in self._book.confirmed, "a confirmation is gone"

    async def _post(self, id_: int, post: Any) -> None:
        author, title = self._book.posts[id_]
        assert (post["author"]["id"], post["title"]) == (author.id, title), "a post is not what was acknowledged"
        states = self._book.likes.get(id_, {})
        likers = await self.likers(id_) if states or post["like_count"] else []
        assert len(likers) == len(set(likers)), "somebody likes a post twice"
        assert post["like_count"] == len(likers), "the count is not the number of likes"
        assert set(likers) <= set(states), "somebody likes a post without having asked for it"
        for member_id, possible in states.items():
            assert (member_id in likers) in possible, f"like of post {id_} by {member_id}: acknowledged {possible}"

    async def likers(self, id_: int) -> list[int]:
        """The ids of all who like a post."""
        return [liker["id"] for liker in await self.listed(f"/api/posts/{id_}/likes")]

    async def listed(self, path: str, token: str | None = None) -> list[Any]:
        """All of a list, page by page."""
        found, query = [], "?limit=100"
        while True:
            answer = await self._api.get(path + query, token=token)
            found += answer.data
            if answer.body["next"] is None:
                return found
            query = f"?limit=100&cursor={answer.body['next']}"

    async def events(self, member: Member) -> list[Any]:
        """The member's events, which must be numbered 1, 2, 3 ..."""
        found: list[Any] = []
        while True:
            after = found[-1]["seq"] if found else 0
            answer = await self._api.get(f"/api/events?after={after}", token=member.token)
            assert answer.body["gap"] is None
            if not answer.data:
                break
            found += answer.data
        assert [event["seq"] for event in found] == list(range(1, len(found) + 1)), "a gap"
        return found

    async def ended(self, member: Member) -> bool:
        """Whether the member's enrichment, address check and letter have come to their end."""
        me = (await self._api.get("/api/me", token=member.token)).data
        return (me["enrichment"]["status"] not in ("queued", "running") and me["email_status"] != "pending"
                and (await self._mail(member))["status"] != "queued")

    async def _mail(self, member: Member) -> Any:
        """The one letter that the member was written."""
        [mail] = (await self._api.get("/api/me/export", token=member.token)).data["mails"]
        return mail

    async def written_to(self, member: Member) -> None:
        """The letter arrived, and if it did so twice, that can be seen."""
        mail = await self._mail(member)
        # It may have come, and have been used, before the server could note that it was sent.
        assert mail["status"] == "sent" or (mail["status"] == "failed" and member.id in self._book.confirmed), mail
        assert len(self._book.letters[member.email]) == 1, self._book.letters[member.email]

    async def told(self, member: Member) -> None:
        """The member was told of everything exactly once."""
        events = await self.events(member)
        kinds = Counter(event["type"] for event in events)
        assert kinds["enriched"] == 1, kinds
        assert kinds["email_verified"] == (member.email_status == "pending"), kinds
        assert kinds["email_confirmed"] == (member.id in self._book.confirmed), kinds
        likes = Counter((event["data"]["post_id"], event["data"]["by"]["id"])
                        for event in events if event["type"] == "post_liked")
        assert not likes or max(likes.values()) == 1, "an author was told twice of the same liker"
        mine = {pair for pair in self._book.ever_liked if self._book.posts[pair[0]][0] is member}
        assert set(likes) <= mine
        # What is liked for certain must have been told.
        assert {pair for pair in mine if self._book.likes[pair[0]][pair[1]] == {True}} <= set(likes)
