"""What a Foyer should hold and say, as plain data: operations change it, and every answer is compared with it."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import ANY

AT_ONCE = ("post_liked", "email_confirmed")  # events that are written with what they tell of
PUBLIC = ("name", "title", "company", "bio", "location", "site", "avatar_url")
PROFILE = (*PUBLIC, "birth_date")
ENDED = frozenset({"found", "not_found", "failed", "not_configured"})  # how an enrichment can end

# What the stand-in says of an address with this tag (`ada+later@...`): at once, and in the end.
VERDICTS = {"later": ("pending", "valid"), "claimed": ("unknown", "unknown"),
            **{status: (status, status) for status in ("accept_all", "webmail", "invalid", "disposable")}}
REJECTED = ("invalid", "disposable")
UNKNOWN_PEOPLE = ("nobody", "claimed")


class OneOf:
    """Equal to each of some values."""

    def __init__(self, *values: Any) -> None:
        self._values = values

    def __eq__(self, other: object) -> bool:
        return other in self._values

    def __repr__(self) -> str:
        return f"<one of {self._values}>"


def tag_of(email: str) -> str:
    """The tag of an address, or nothing."""
    local = email.rpartition("@")[0]
    return local.rpartition("+")[2] if "+" in local else ""


def verdict(email: str) -> tuple[str, str]:
    """The address's status when it is given, and in the end."""
    return VERDICTS.get(tag_of(email), ("valid", "valid"))


@dataclass(repr=False)
class Session:
    """A sign-in. `pairs`: its tokens, one pair for each generation."""

    id: int
    member: int
    pairs: list[dict[str, str]]
    rotated: float
    open: bool = True

    def __repr__(self) -> str:
        return f"<session {self.id} of member {self.member}>"


@dataclass(frozen=True)
class MailLink:
    """A link that was sent by mail: whose, to which page and to which address."""

    member: int
    page: str
    email: str


@dataclass(repr=False)
class Member:
    """A member. `wanted`: the address that counts once it is confirmed. `log` holds the frames of all their events;
    `news` the types and data of those that come next, in their order; `owed` the events that come some time, by type,
    with the status that each brings."""

    id: int
    username: str
    email: str
    password: str
    created_at: str
    referral_code: str
    profile: dict[str, str | None]
    email_status: str
    confirmed_at: Any = None  # ANY until the event has said when
    wanted: str | None = None
    wanted_verdict: tuple[str, str] = ("", "")
    enrichment: Any = None
    log: list[Any] = field(default_factory=list)
    news: list[tuple[str, Any]] = field(default_factory=list)
    owed: dict[str, str] = field(default_factory=dict)
    acked: int = 0
    mail_checks: bool = True

    def __repr__(self) -> str:
        return f"<member {self.id}, {self.username}>"

    def author(self, shown: Any) -> Any:
        """The member as an author or a liker. What an enrichment may be filling just now is taken as it is shown."""
        return {"id": self.id, "username": self.username, "name": self._now("name", shown),
                "avatar_url": self._now("avatar_url", shown)}

    def _now(self, name: str, shown: Any) -> Any:
        value = self.profile[name]
        return shown[name] if value is None and "enriched" in self.owed else value

    def prove(self) -> None:
        """The member has a letter that was sent to their address; told once."""
        if self.confirmed_at is None:
            self.confirmed_at = ANY
            status = OneOf(self.email_status, self.owed.get("email_verified"))  # the verdict may have come meanwhile
            told = {"email": self.email, "email_status": status, "email_confirmed_at": ANY}
            self.news.append(("email_confirmed", told))

    def fill(self, fields: dict[str, Any]) -> None:
        """What an enrichment found, where the member has written nothing."""
        for name in PROFILE:
            if name in fields and self.profile[name] is None:
                self.profile[name] = fields[name]["value"]


@dataclass
class Post:
    """A post. `likes`: who likes it, the latest last, with the time once it was seen; `told`: whom the author knows."""

    id: int
    author: int
    title: str
    text: str
    link: str | None
    created_at: str
    edited_at: str | None = None
    likes: dict[int, str | None] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)

    def key(self, by_likes: bool) -> tuple[int, int]:
        """What the feed is sorted by, the largest first."""
        return (len(self.likes) if by_likes else 0, self.id)


@dataclass
class World:
    """All of it."""

    members: dict[int, Member] = field(default_factory=dict)
    posts: dict[int, Post] = field(default_factory=dict)
    sessions: dict[int, Session] = field(default_factory=dict)
    unheard: set[int] = field(default_factory=set)  # posts with likes that changed without an event since the last one
    just_ended: set[int] = field(default_factory=set)  # sessions: what was under way with them may have been let in
    free: list[str] = field(default_factory=list)  # addresses of those who left
    links: dict[str, MailLink] = field(default_factory=dict)  # by token, those that are good
    useless: list[str] = field(default_factory=list)  # tokens that were good once

    # -- looking up

    def named(self, name: str) -> Member | None:
        """Who has this user name, in whatever case."""
        return next((each for each in self.members.values() if each.username.lower() == name.lower()), None)

    def addressed(self, email: str) -> Member | None:
        """Who has this address, in whatever case."""
        return next((each for each in self.members.values() if each.email.lower() == email.lower()), None)

    def sessions_of(self, member: int) -> list[Session]:
        """The member's open sessions, newest first."""
        return [each for _, each in sorted(self.sessions.items(), reverse=True) if each.member == member and each.open]

    def posts_of(self, member: int) -> list[Post]:
        """What the member has written."""
        return [post for post in self.posts.values() if post.author == member]

    def unsettled(self) -> list[Member]:
        """Those who are still to be told of something."""
        return [member for member in self.members.values() if member.news or member.owed]

    # -- what is shown

    def shown(self, post: Post, reader: int | None, shown: Any) -> Any:
        """The post as this reader must see it; `shown`: what they do see."""
        return {"id": post.id, "author": self.members[post.author].author(shown["author"]), "title": post.title,
                "text": post.text, "link": post.link, "created_at": post.created_at, "edited_at": post.edited_at,
                "like_count": len(post.likes), "liked": reader in post.likes}

    def me(self, member: Member, shown: Any) -> Any:
        """The member as they must see themselves; what is being found out just now is taken as it is shown."""
        told = {"id": member.id, "username": member.username, "created_at": member.created_at, "email": member.email,
                "email_status": member.email_status, "email_confirmed_at": member.confirmed_at,
                "email_pending": member.wanted, "role": "member",
                "referral_code": member.referral_code, "post_count": len(self.posts_of(member.id)),
                "enrichment": member.enrichment, "mail_checks": member.mail_checks, **member.profile}
        if "enriched" in member.owed:
            told |= {name: shown[name] for name in PROFILE if member.profile[name] is None}
            told["enrichment"] = shown["enrichment"]
        if member.owed.get("email_verified") == shown["email_status"]:
            told["email_status"] = shown["email_status"]
        return told

    def profile(self, member: Member, shown: Any) -> Any:
        """The member as everybody sees them."""
        me = self.me(member, {"email_status": None, "enrichment": None, "birth_date": None, **shown})
        return {name: me[name] for name in ("id", "username", *PUBLIC, "created_at", "post_count")}

    def feed(self, author: str | None, unliked: bool, by_likes: bool) -> list[Post]:
        """The whole feed behind these filters."""
        writer = self.named(author) if author is not None else None
        posts = [post for post in self.posts.values() if not (unliked and post.likes) and (
            author is None or (writer is not None and post.author == writer.id))]
        return sorted(posts, key=lambda post: post.key(by_likes), reverse=True)

    # -- changes that several operations share

    def end_sessions(self, sessions: Iterable[Session]) -> None:
        """Their tokens are refused from now on."""
        for session in sessions:
            session.open = False
            self.just_ended.add(session.id)

    def forget_links(self, member: int, page: str) -> None:
        """The member's links of this kind are good for nothing any more."""
        for token, link in list(self.links.items()):
            if (link.member, link.page) == (member, page):
                del self.links[token]
                self.useless.append(token)

    def like(self, member: Member, post: Post) -> None:
        """The author hears of the first time, and of no other."""
        if member.id in post.likes:
            return
        post.likes[member.id] = None
        if member.id in post.told:
            self.unheard.add(post.id)
            return
        post.told.add(member.id)
        self.unheard.discard(post.id)
        by = {"id": member.id, "username": member.username}
        data = {"post_id": post.id, "by": by, "like_count": len(post.likes)}
        self.members[post.author].news.append(("post_liked", data))

    def unlike(self, member: Member, post: Post) -> None:
        """Nobody is told."""
        if post.likes.pop(member.id, "none") != "none":
            self.unheard.add(post.id)

    def erase(self, member: Member) -> None:
        """Nothing of the member stays, not even their name in what others were told."""
        del self.members[member.id]
        self.end_sessions(self.sessions_of(member.id))
        for page in ("confirm", "reset"):
            self.forget_links(member.id, page)
        self.free.append(member.email)
        for post in list(self.posts.values()):
            if post.author == member.id:
                del self.posts[post.id]
            else:
                self.unlike(member, post)
                post.told.discard(member.id)
        for other in self.members.values():
            for data in [*(data for _, data in other.news), *(event["data"] for event in other.log)]:
                if data.get("by") and data["by"]["id"] == member.id:
                    data["by"] = None

    # -- events

    def heard(self, member: Member, frames: list[Any], whole: bool) -> None:
        """The member's next events are these; `whole`: nothing is to come after them."""
        news, owed = list(member.news), dict(member.owed)
        for frame in frames:
            assert frame["seq"] == len(member.log) + 1, ("a gap or a repetition", frame, len(member.log))
            assert not member.log or member.log[-1]["at"] <= frame["at"], (member.log[-1], frame)
            if frame["type"] in AT_ONCE:
                assert news and (frame["type"], frame["data"]) == news.pop(0), (frame, member.news)
                if frame["type"] == "email_confirmed" and frame["data"]["email"] == member.email:
                    member.confirmed_at = frame["data"]["email_confirmed_at"]
            else:
                status = owed.pop(frame["type"], None)
                assert status is not None, ("nothing of this kind was to come", frame)
                self._learn(member, frame, status)
            member.log.append(frame)
        assert not whole or not (news or owed), ("these did not come", news, owed)
        member.news, member.owed = news, owed

    def _learn(self, member: Member, frame: Any, status: str) -> None:
        data = frame["data"]
        if frame["type"] == "enriched":
            assert data["status"] == status and data["next_attempt_at"] is None, frame
            assert bool(data["fields"]) == (status == "found"), frame
            member.enrichment = data
            member.fill(data["fields"])
        else:
            assert data == {"email_status": status}, frame
            member.email_status = status
