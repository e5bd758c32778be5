"""Whether a mailbox is the member's own: proving it, taking another one, and what has to wait for that."""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import msgspec

from server.accounts import addresses, queries
from server.accounts.correspondence import Correspondence
from server.accounts.model import Accepted, ConfirmEmail, EmailStatus
from server.accounts.queries import Account
from server.accounts.verification import Judgement, Verification
from server.audit.log import Actor, record
from server.core.clock import iso
from server.core.errors import FieldError, Problem
from server.events import EventLog, EventType
from server.mail import Link, Links, links
from server.storage import Tx, member_lock
from server.web.route import Answer, Call, Route, unauthorized

Confirmed = Callable[[Tx, int, str], Awaitable[None]]  # member, folded address


class EmailConfirmed(msgspec.Struct):
    """The data of an `email_confirmed` event."""

    email: str
    email_status: EmailStatus
    email_confirmed_at: str


EMAIL_CONFIRMED = EventType("email_confirmed", EmailConfirmed, "The member has shown that the mailbox is theirs.")


class Confirmation:
    """Confirms addresses. `needed`: what has to wait for it (`[auth] require_confirmed_email`); `confirmed` is called
    in the transaction that confirms."""

    def __init__(self, correspondence: Correspondence, letters: Links, events: EventLog, verification: Verification,
                 needed: str, confirmed: Confirmed) -> None:
        self.correspondence = correspondence
        self._links, self._events, self._verification = letters, events, verification
        self._confirmed = confirmed
        self.to_write, self.to_sign_in = needed != "no", needed == "login"

    async def check_may_write(self, tx: Tx, user_id: int) -> None:
        """Raises Problem 403 when the member may not post or like before the address is confirmed."""
        if self.to_write and not await queries.is_confirmed(tx, user_id):
            raise unconfirmed()

    async def want(self, tx: Tx, account: Account, address: addresses.Address, judgement: Judgement) -> None:
        """Another address, which counts once it is confirmed; raises Problem 429 when there were enough letters."""
        await self._verification.remember(tx, address.key, judgement)
        await queries.want_email(tx, account.id, address.email, judgement.status)
        await links.forget(tx, account.id, "confirm")
        wanting = msgspec.structs.replace(account, email_wanted=address.email)
        refused = await self.correspondence.confirm(tx, wanting)
        if refused is not None:
            raise refused
        await self.correspondence.address_changing(tx, account, address.email)

    async def keep(self, tx: Tx, account: Account) -> None:
        """The address stays what it is: another one that was wanted is no longer."""
        if account.email_wanted is not None:
            await queries.want_email(tx, account.id, None, None)
            await links.forget(tx, account.id, "confirm")

    async def ask_again(self, tx: Tx, user_id: int) -> None:
        """Another letter; raises Problem 409 when there is nothing to confirm, 429 when there were enough."""
        await tx.lock(member_lock(user_id))
        account = await queries.account(tx, user_id)
        if account is None:
            raise unauthorized()
        if account.confirmed and account.email_wanted is None:
            raise Problem("email_confirmed", "There is nothing to confirm.")
        refused = await self.correspondence.confirm(tx, account)
        if refused is not None:
            raise refused

    async def confirm(self, tx: Tx, token: str, address: str) -> None:
        """Takes a link; raises Problem 422 for one that is not good, 409 when the address is somebody else's by now."""
        link = await self._links.find(tx, "confirm", token)
        if link is None:
            raise bad_link()
        await tx.lock(member_lock(link.user_id))
        account = await queries.account(tx, link.user_id)
        if account is None or not await links.use(tx, link):
            raise bad_link()
        if link.email == account.email_wanted:
            await self._move(tx, account)
            await record(tx, "email_changed", Actor(None, address), account.id)
        elif not await self.prove(tx, account, link):
            raise bad_link()
        await links.forget(tx, account.id, "confirm")

    async def prove(self, tx: Tx, account: Account, link: Link) -> bool:
        """The member has a letter that was sent to their address; False when that is another one by now."""
        if link.email != account.email:
            return False
        if await queries.confirm_email(tx, account.id):
            await self._tell(tx, account.id)
        return True

    async def _move(self, tx: Tx, account: Account) -> None:
        address = addresses.parse(account.email_wanted or "")
        assert address is not None and account.email_wanted_status is not None, "both were written together"
        judgement = Judgement(account.email_wanted_status)
        if not await queries.change_email(tx, account.id, address.email, address.key, judgement.status):
            raise Problem("email_taken", "The address belongs to somebody else by now.",
                          errors=[FieldError("email", "email_taken", "is taken")])
        await links.forget(tx, account.id, "reset")  # the old mailbox has no power over the account any more
        await self._verification.begin(tx, account.id, address.key, judgement)
        await self._tell(tx, account.id)

    async def _tell(self, tx: Tx, user_id: int) -> None:
        account = await queries.account(tx, user_id)
        assert account is not None, "it was changed a moment ago"
        data = EmailConfirmed(account.email, cast(EmailStatus, account.email_status), iso(tx.now))
        await self._events.append(tx, user_id, EMAIL_CONFIRMED.name, EMAIL_CONFIRMED.encode(data))
        await self._confirmed(tx, user_id, account.email_key)


def unconfirmed() -> Problem:
    """The 403 of what needs a confirmed address."""
    return Problem("email_unconfirmed", "Confirm your e-mail address first: the link is in the mail that went there.")


def bad_link() -> Problem:
    """The one answer to every token of a mail that is not good, whatever is wrong with it."""
    sentence = "is not, or no longer, that of a link: it works once, and not for ever"
    return Problem("token_invalid", f"The token {sentence}.", status=422,
                   errors=[FieldError("token", "token_invalid", sentence)])


def routes(confirmation: Confirmation) -> list[Route]:
    """The declarations."""
    async def confirm(tx: Tx, call: Call, prepared: None) -> Answer:
        body: ConfirmEmail = call.body
        await confirmation.confirm(tx, body.token, call.address)
        return Answer(status=204)

    async def resend(tx: Tx, call: Call, prepared: None) -> Answer:
        await confirmation.ask_again(tx, call.me.id)
        return Answer(Accepted(), status=202)

    return [
        Route("POST", "/api/email/confirm", "Confirm an address with the token of a mail's link", "open", status=204,
              takes=ConfirmEmail, problems=("email_taken",), also=((422, "token_invalid"),), store=confirm),
        Route("POST", "/api/email/resend", "Another mail with a link to confirm the address", "member", Accepted, 202,
              problems=("email_confirmed",), store=resend),
    ]
