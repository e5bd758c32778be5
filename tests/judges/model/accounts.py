"""Operations on accounts: signing up, signing in and out, and changing oneself."""
from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

from tests.judges.model.operations import Caller, data_of, let_in, refused, same
from tests.judges.model.world import PROFILE, REJECTED, UNKNOWN_PEOPLE, Member, Session, World, tag_of, verdict
from tests.support import Answer, Api

HOUR = 3600


def session_of(access_token: str) -> int:
    """The session that a token belongs to."""
    claims = access_token.split(".")[1]
    return int(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sid"])


def pair_of(data: Any) -> dict[str, str]:
    """The tokens of an answer."""
    return {name: data[name] for name in ("access_token", "refresh_token", "expires_at")}


def signed_in(world: World, member: Member, data: Any) -> None:
    """A new session, and the member as they are."""
    session = session_of(data["access_token"])
    assert session not in world.sessions
    world.sessions[session] = Session(session, member.id, [pair_of(data)], time.monotonic())
    same(world.me(member, data["user"]), data["user"])


@dataclass(frozen=True)
class SignUp:
    """POST /api/signup."""

    username: str
    email: str
    password: str
    profile: tuple[tuple[str, str], ...] = ()
    key: str | None = None

    async def send(self, api: Api) -> Answer:
        body = {"username": self.username, "email": self.email, "password": self.password, **dict(self.profile)}
        return await api.post("/api/signup", body, headers={"Idempotency-Key": self.key} if self.key else {})

    def check(self, world: World, answer: Answer) -> None:
        if world.named(self.username):
            return refused(answer, 409, "username_taken")
        if world.addressed(self.email):
            return refused(answer, 409, "email_taken")
        if verdict(self.email)[0] in REJECTED:
            return refused(answer, 422, "email_undeliverable")
        data = data_of(answer, 201)
        member = self._member(data["user"])
        assert member.id not in world.members
        world.members[member.id] = member
        signed_in(world, member, data)

    def _member(self, user: Any) -> Member:
        now, later = verdict(self.email)
        profile: dict[str, str | None] = {**dict.fromkeys(PROFILE), **dict(self.profile)}
        member = Member(user["id"], self.username, self.email, self.password, user["created_at"],
                        user["referral_code"], profile, now)
        member.owed["enriched"] = "not_found" if tag_of(self.email) in UNKNOWN_PEOPLE else "found"
        if now == "pending":
            member.owed["email_verified"] = later
        return member


@dataclass(frozen=True)
class LogIn:
    """POST /api/login."""

    name: str
    password: str
    key: str | None = None

    async def send(self, api: Api) -> Answer:
        return await api.post("/api/login", {"username": self.name, "password": self.password},
                              headers={"Idempotency-Key": self.key} if self.key else {})

    def check(self, world: World, answer: Answer) -> None:
        member = world.addressed(self.name) if "@" in self.name else world.named(self.name)
        if member is None or member.password != self.password:
            return refused(answer, 401, "bad_credentials")
        signed_in(world, member, data_of(answer))


@dataclass(frozen=True)
class Refresh:
    """POST /api/token/refresh with the session's token of this generation, less than 30 s after the last one."""

    session: int
    generation: int
    token: str

    async def send(self, api: Api) -> Answer:
        return await api.post("/api/token/refresh", {"refresh_token": self.token})

    def check(self, world: World, answer: Answer) -> None:
        session = world.sessions[self.session]
        newest = len(session.pairs) - 1
        if not session.open:
            return refused(answer, 401, "token_invalid")
        if self.generation < newest - 1:
            refused(answer, 401, "token_reused")
            return world.end_sessions([session])
        data = data_of(answer)
        if self.generation == newest:
            assert data["refresh_token"] not in {pair["refresh_token"] for pair in session.pairs}
            session.pairs.append(pair_of(data))
            session.rotated = time.monotonic()
        same(session.pairs[-1], pair_of(data))


@dataclass(frozen=True)
class LogOut:
    """POST /api/logout."""

    by: Caller

    async def send(self, api: Api) -> Answer:
        return await api.post("/api/logout", token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        if let_in(world, self.by, answer):
            data_of(answer, 204)
            world.end_sessions([world.sessions[self.by.session]])


@dataclass(frozen=True)
class EndSession:
    """DELETE /api/sessions/{id}."""

    by: Caller
    session: int

    async def send(self, api: Api) -> Answer:
        return await api.call("DELETE", f"/api/sessions/{self.session}", token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        member = let_in(world, self.by, answer)
        if member is None:
            return
        session = world.sessions.get(self.session)
        if session is None or session.member != member.id or not session.open:
            return refused(answer, 404, "not_found")
        data_of(answer, 204)
        world.end_sessions([session])


@dataclass(frozen=True)
class ChangePassword:
    """POST /api/me/password."""

    by: Caller
    current: str
    new: str

    async def send(self, api: Api) -> Answer:
        return await api.post("/api/me/password", {"current": self.current, "new": self.new}, token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        member = let_in(world, self.by, answer)
        if member is None:
            return
        if self.current != member.password:
            return refused(answer, 403, "wrong_password")
        data_of(answer, 204)
        member.password = self.new
        world.forget_links(member.id, "reset")
        world.end_sessions(each for each in world.sessions_of(member.id) if each.id != self.by.session)


@dataclass(frozen=True)
class ChangeMe:
    """PATCH /api/me. `verdict`: what is said of the address instead of what its tag says."""

    by: Caller
    changes: tuple[tuple[str, str | None], ...]
    verdict: tuple[str, str] | None = None
    mail_checks: bool | None = None

    async def send(self, api: Api) -> Answer:
        wish = {} if self.mail_checks is None else {"mail_checks": self.mail_checks}
        return await api.call("PATCH", "/api/me", json={**dict(self.changes), **wish}, token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        member = let_in(world, self.by, answer)
        if member is None:
            return
        changes = dict(self.changes)
        email = changes.pop("email", None)
        refusal = self._want(world, member, email) if email is not None else None
        if refusal is not None:
            return refused(answer, *refusal)
        member.profile.update(changes)
        if self.mail_checks is not None:
            member.mail_checks = self.mail_checks
        data = data_of(answer)
        same(world.me(member, data), data)

    def _want(self, world: World, member: Member, email: str) -> tuple[int, str] | None:
        """The address counts once it is confirmed; the refusal when it is none to have."""
        if email == member.email:
            if member.wanted is not None:
                member.wanted = None
                world.forget_links(member.id, "confirm")
            return None
        if world.addressed(email) not in (None, member):
            return 409, "email_taken"
        judged = self.verdict or verdict(email)
        if judged[0] in REJECTED:
            return 422, "email_undeliverable"
        member.wanted, member.wanted_verdict = email, judged
        world.forget_links(member.id, "confirm")
        return None


@dataclass(frozen=True)
class DeleteMe:
    """DELETE /api/me."""

    by: Caller
    password: str

    async def send(self, api: Api) -> Answer:
        return await api.call("DELETE", "/api/me", json={"password": self.password}, token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        member = let_in(world, self.by, answer)
        if member is None:
            return
        if self.password != member.password:
            return refused(answer, 403, "wrong_password")
        data_of(answer, 204)
        world.erase(member)


@dataclass(frozen=True)
class AskAgain:
    """POST /api/me/enrichment, within the hour of the first one."""

    by: Caller

    async def send(self, api: Api) -> Answer:
        return await api.post("/api/me/enrichment", token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        if let_in(world, self.by, answer):
            refused(answer, 429, "rate_limited")
            assert 0 < int(answer.headers["Retry-After"]) <= HOUR
