"""The letters of accounts: which there are, and how many a mailbox may get."""
from __future__ import annotations

from typing import Any

from server.accounts import addresses, queries
from server.accounts.queries import Account
from server.core.errors import Problem
from server.core.units import Rate
from server.mail import Links, Outbox
from server.mail.links import Purpose
from server.providers.answers import AddressHash
from server.storage import Tx
from server.web.allowances import Allowance, Allowances

PER_MAILBOX = Rate(5, 3600)  # of letters that whoever names the address can have sent there, whatever account asks
PER_MEMBER = Rate(5, 3600)  # of each kind
UNCONFIRMED = Rate(20, 3600)  # reports to a mailbox that may be somebody else's


class Correspondence:
    """Writes to members."""

    def __init__(self, outbox: Outbox, links: Links, allowances: Allowances, address_hash: AddressHash) -> None:
        self._outbox, self._links = outbox, links
        self._allowances, self._address_hash = allowances, address_hash

    async def welcome(self, tx: Tx, user_id: int, username: str, email: str) -> None:
        """The first letter, to whoever signs up: its number is bounded by that of the sign-ups."""
        await self._with_link(tx, user_id, username, "confirm", "confirm", email)

    async def confirm(self, tx: Tx, account: Account) -> Problem | None:
        """Asks the member to confirm the address that is to count; the Problem 429 when there were enough letters."""
        refused = (await self._allowances.take_in(tx, Allowance("resend", PER_MEMBER, f"member {account.id}"))
                   or await self._one_more(tx, account.email_wanted or account.email))
        if refused is None:
            letter = "confirm_new" if account.email_wanted else "confirm"
            await self._with_link(tx, account.id, account.username, letter, "confirm",
                                  account.email_wanted or account.email)
        return refused

    async def reset(self, tx: Tx, account: Account) -> None:
        """A link to set a new password; nothing, when there were enough letters."""
        # Not by the mailbox: letters that somebody else can have sent there must not use this up.
        if await self._allowances.take_in(tx, Allowance("reset", PER_MEMBER, f"member {account.id}")) is None:
            await self._with_link(tx, account.id, account.username, "reset", "reset", account.email)

    async def address_changing(self, tx: Tx, account: Account, wanted: str) -> None:
        """Tells the old address that there is to be another one."""
        words = {"username": account.username, "hint": addresses.hint(wanted)}
        await self._outbox.send(tx, account.id, "address_changing", account.email, words)

    async def password_changed(self, tx: Tx, account: Account) -> None:
        """Tells the member that there is another password."""
        await self._outbox.send(tx, account.id, "password_changed", account.email, {"username": account.username})

    async def file_checked(self, tx: Tx, user_id: int, words: dict[str, Any]) -> int | None:
        """Tells what came of the check of a file; the mail's id, or None when the member wants no such mail, or an
        address that nobody has confirmed would get too many."""
        account = await queries.account(tx, user_id)
        if account is None or not account.mail_checks:
            return None
        if not account.confirmed and await self._allowances.take_in(
                tx, Allowance("mail_checks", UNCONFIRMED, f"member {user_id}")) is not None:
            return None
        return await self._outbox.send(tx, user_id, "file_checked", account.email,
                                       {"username": account.username, **words})

    async def _one_more(self, tx: Tx, email: str) -> Problem | None:
        subject = self._address_hash(addresses.mailbox(email))
        return await self._allowances.take_in(tx, Allowance("mailbox", PER_MAILBOX, subject))

    async def _with_link(self, tx: Tx, user_id: int, username: str, letter: str, purpose: Purpose, email: str) -> None:
        link = await self._links.make(tx, user_id, purpose, email)
        await self._outbox.send(tx, user_id, letter, email, {"username": username}, link)
