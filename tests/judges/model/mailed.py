"""Operations that end at a mailbox or begin there: confirming an address, and a forgotten password."""
from __future__ import annotations

from dataclasses import dataclass

from tests.judges.model.operations import Caller, data_of, let_in, refused
from tests.judges.model.world import Member, World
from tests.support import Answer, Api

NONE = "A" * 22  # looks like a token, and is nobody's


@dataclass(frozen=True)
class Confirm:
    """POST /api/email/confirm."""

    token: str
    key: str | None = None

    async def send(self, api: Api) -> Answer:
        headers = {"Idempotency-Key": self.key} if self.key else {}
        return await api.post("/api/email/confirm", {"token": self.token}, headers=headers)

    def check(self, world: World, answer: Answer) -> None:
        link = world.links.get(self.token)
        if link is None or link.page != "confirm":
            return refused(answer, 422, "token_invalid")
        member = world.members[link.member]
        if link.email == member.wanted:
            if world.addressed(link.email) not in (None, member):
                return refused(answer, 409, "email_taken")
            self._move(world, member, link.email)
        elif link.email == member.email:
            member.prove()
        else:
            return refused(answer, 422, "token_invalid")
        data_of(answer, 204)
        world.forget_links(member.id, "confirm")

    def _move(self, world: World, member: Member, email: str) -> None:
        now, later = member.wanted_verdict
        member.email, member.email_status, member.wanted = email, now, None
        member.owed.pop("email_verified", None)
        if now == "pending":
            member.owed["email_verified"] = later
        member.confirmed_at = None
        member.prove()
        world.forget_links(member.id, "reset")


@dataclass(frozen=True)
class Resend:
    """POST /api/email/resend."""

    by: Caller

    async def send(self, api: Api) -> Answer:
        return await api.post("/api/email/resend", token=self.by.token)

    def check(self, world: World, answer: Answer) -> None:
        member = let_in(world, self.by, answer)
        if member is None:
            return
        if member.confirmed_at is not None and member.wanted is None:
            return refused(answer, 409, "email_confirmed")
        assert data_of(answer, 202) == {"accepted": True}


@dataclass(frozen=True)
class Forgot:
    """POST /api/password/forgot: the same answer for everybody and nobody."""

    email: str

    async def send(self, api: Api) -> Answer:
        return await api.post("/api/password/forgot", {"email": self.email})

    def check(self, world: World, answer: Answer) -> None:
        assert data_of(answer, 202) == {"accepted": True}


@dataclass(frozen=True)
class Reset:
    """POST /api/password/reset."""

    token: str
    new: str

    async def send(self, api: Api) -> Answer:
        return await api.post("/api/password/reset", {"token": self.token, "password": self.new})

    def check(self, world: World, answer: Answer) -> None:
        link = world.links.get(self.token)
        if link is None or link.page != "reset":
            return refused(answer, 422, "token_invalid")
        data_of(answer, 204)
        member = world.members[link.member]
        member.password = self.new
        world.end_sessions(world.sessions_of(member.id))
        world.forget_links(member.id, "reset")
        if link.email == member.email:
            member.prove()
