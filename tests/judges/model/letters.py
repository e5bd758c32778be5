"""The rules of mailboxes: what members do with the letters that they get."""
from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.judges.model import chance
from tests.judges.model.accounts import ChangeMe
from tests.judges.model.chance import anyone, pick
from tests.judges.model.mailed import Forgot, Resend
from tests.judges.model.operations import WritePost
from tests.judges.model.stage import Stage

LATE_REFUSAL = {"verifier": ["202-empty", "202-empty", "invalid"]}


class Letters(Stage):
    """Confirming, taking another address, and a forgotten password."""

    @precondition(lambda self: self.world.members)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        """A link is followed: a good one, one that was used, or none at all."""
        self.run(self.ask(chance.confirm(data, self.world)))

    @anyone
    @rule(data=st.data())
    def resend(self, data: st.DataObject) -> None:
        """Another letter; the link of the one before stays good."""
        by = chance.somebody(data, self.world)
        member = self.world.members[by.member]
        self.run(self.with_letter(Resend(by), by.member, member.wanted or member.email, "confirm"))

    @anyone
    @rule(data=st.data(), tag=chance.tags)
    def change_address(self, data: st.DataObject, tag: str) -> None:
        """Another address, judged at once, which counts once it is confirmed; now and then somebody else's or the one
        that it is."""
        by = chance.somebody(data, self.world)
        fresh = f"new{next(self.numbers)}{tag and '+' + tag}@example.org"
        wanted = [member.wanted for member in self.world.members.values() if member.wanted]
        taken = [member.email for member in self.world.members.values()]
        email = pick(data, [fresh, fresh, *wanted, *taken], "email")
        self.run(self._want(ChangeMe(by, (("email", email),)), email))

    @anyone
    @rule(data=st.data())
    def take_a_dead_address(self, data: st.DataObject) -> None:
        """An address about which the verifier says only later that no mail arrives there."""
        email = f"dead{next(self.numbers)}@example.org"
        operation = ChangeMe(chance.somebody(data, self.world), (("email", email),), ("pending", "invalid"))
        self.run(self._judged_late(operation, email))

    async def _want(self, operation: ChangeMe, email: str) -> None:
        if email == self.world.members[operation.by.member].email:
            await self.ask(operation)  # then there is nothing to confirm, and no letter
        else:
            await self.with_letter(operation, operation.by.member, email, "confirm")

    async def _judged_late(self, operation: ChangeMe, email: str) -> None:
        await self.api.switch(self.place.server.sandbox, "hunter", **LATE_REFUSAL)
        await self._want(operation, email)
        await self.ask(chance.confirmation_of(self.world, email))
        await self.api.switch(self.place.server.sandbox, "hunter")
        await self.ask(WritePost(operation.by, {"title": "Mail?", "text": "None arrives"}))

    @precondition(lambda self: self.world.members)
    @rule(data=st.data())
    def forget_password(self, data: st.DataObject) -> None:
        """A member asks for a new password; or somebody whom nobody knows, and hears the same."""
        member = pick(data, self.world.members.values(), "member")
        nobodys = member.wanted or "no-one@example.org"
        email = pick(data, [member.email, member.email.upper(), nobodys], "email")
        known = self.world.addressed(email)
        if known is None:
            self.run(self.ask(Forgot(email)))
        else:
            self.run(self.with_letter(Forgot(email), known.id, known.email, "reset"))

    @precondition(lambda self: self.world.links)
    @rule(data=st.data())
    def reset_password(self, data: st.DataObject) -> None:
        """A new password by a link: all sessions end."""
        self.run(self.ask(chance.reset(data, self.world)))
