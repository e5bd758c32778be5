"""The rules of referrals: who counts, and who gets what for it."""
from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from server import settings
from server.events import EventLog, EventType
from server.providers.answers import AddressHash
from server.referrals import queries
from server.referrals.codes import folded
from server.core.mailbox import mailbox_of
from server.referrals.model import Credited, Reason, ReferralSummary
from server.referrals.queries import Entry, Referral
from server.storage import Tx
from server.web.route import unauthorized

Outcome = Literal["none", "applied", "unknown_code"]
REFERRAL_CREDITED = EventType(
    "referral_credited", Credited, "The member got a reward for a referral: one for each entry of their ledger.")


class Referrals:
    """What happens inside the transactions.

    On PostgreSQL the inviter's row is held first, the mailbox after it: whoever wants one of them has the others that
    come before.
    """

    def __init__(self, settings: settings.Referrals, events: EventLog, mailbox_hash: AddressHash,
                 confirmed_only: bool) -> None:
        self._settings, self._events, self._mailbox_hash = settings, events, mailbox_hash
        self._confirmed_only = confirmed_only

    async def join(self, tx: Tx, invitee_id: int, email_key: str, code: str | None) -> Outcome:
        """Writes down by whose code somebody has just signed up, and lets it count unless that waits for a confirmed
        address; a code that brings nobody is told and stops nothing."""
        if code is None or not code.strip():
            return "none"
        found = folded(code)
        inviter_id = await queries.hold_inviter(tx, found, invitee_id) if found else None
        if inviter_id is None:
            return "unknown_code"
        mailbox = self._mailbox_hash(mailbox_of(email_key).key)
        referral = await queries.insert_referral(tx, inviter_id, invitee_id, mailbox)
        if not self._confirmed_only:
            await self._count(tx, referral, email_key)
        return "applied"

    async def confirmed(self, tx: Tx, invitee_id: int, email_key: str) -> None:
        """The member's address was confirmed: their sign-up counts if it did not so far; harmless a second time."""
        if not await queries.hold_member(tx, invitee_id):
            return
        referral = await queries.uncounted(tx, invitee_id)
        # An inviter who leaves at this moment takes the referral along.
        if referral is not None and await queries.hold_member(tx, referral.inviter_id):
            await self._count(tx, referral, email_key)

    async def summary(self, tx: Tx, member_id: int, link: Callable[[str], str]) -> ReferralSummary:
        """Where the member stands; `link` makes one of their code. Raises Problem 401 when they are gone since they
        asked."""
        found = await queries.standing(tx, member_id)
        if found is None:
            raise unauthorized()
        tally, target = found.tally, self._settings.inviter_target
        missing = max(1, (tally.rewarded + 1) * target - tally.counted)
        return ReferralSummary(found.code, link(found.code), found.balance, self._settings.currency, found.invited,
                               tally.counted, tally.rewarded, missing)

    async def _count(self, tx: Tx, referral: Referral, email_key: str) -> None:
        """Lets the sign-up count, once, and pays what is due for it; nothing happens when it must not count."""
        mailbox = mailbox_of(email_key)
        hashed = self._mailbox_hash(mailbox.key)
        await tx.lock(f"mailbox {hashed}")  # or else of two at once the unique index stops one, and it is all run again
        if await queries.has_counted(tx, hashed) or \
                await queries.is_anothers(tx, mailbox, referral, self._confirmed_only):
            return
        tally = await queries.count(tx, referral, hashed, self._settings.per_day)
        if tally is None:
            return
        await self._credit(tx, referral.invitee_id, f"invitee:{referral.invitee_id}", "invitee_reward",
                           self._settings.invitee_reward)
        due = tally.counted // self._settings.inviter_target
        for number in range(tally.rewarded + 1, due + 1):
            await self._credit(tx, referral.inviter_id, f"inviter:{referral.inviter_id}:{number}", "inviter_reward",
                               self._settings.inviter_reward)
        if due > tally.rewarded:
            await queries.set_rewarded(tx, referral.inviter_id, due)

    async def _credit(self, tx: Tx, user_id: int, key: str, reason: Reason, amount: int) -> None:
        entry = Entry(user_id, key, reason, amount, self._settings.currency, self._settings.inviter_target)
        id_, balance = await queries.insert_entry(tx, entry)
        news = Credited(id_, amount, entry.currency, reason, balance)
        await self._events.append(tx, user_id, REFERRAL_CREDITED.name, REFERRAL_CREDITED.encode(news))
