"""The SQL of referrals and of the ledger."""
from __future__ import annotations

from dataclasses import dataclass

from server.core.clock import DAY, iso, iso_or_none
from server.core.mailbox import Mailbox
from server.referrals.model import (
    CodeStatus, ExportedEntry, ExportedInvited, InvitedMember, Inviter, LedgerEntry, Reason,
)
from server.storage import Tx

# Whoever counts for an inviter, or writes into a member's ledger, holds their row: one after the other, and not while
# they leave. Of two members the one who came later is held first.
HOLD_MEMBER = "SELECT id FROM users WHERE id = $1 /* postgres: FOR NO KEY UPDATE */"
HOLD_INVITER = """
    SELECT id FROM users WHERE referral_code = $1 AND suspended_at IS NULL AND id <> $2
    /* postgres: FOR NO KEY UPDATE */"""
FIND_CODE = "SELECT username, name FROM users WHERE referral_code = $1 AND suspended_at IS NULL"
INSERT_REFERRAL = """
    INSERT INTO referrals (inviter_id, invitee_id, mailbox, joined_at) VALUES ($1, $2, $3, $4) RETURNING id"""
COUNT_INVITED = """
    INSERT INTO inviters (user_id, invited) VALUES ($1, 1)
    ON CONFLICT (user_id) DO UPDATE SET invited = inviters.invited + 1"""
FIND_UNCOUNTED = "SELECT id, inviter_id FROM referrals WHERE invitee_id = $1 AND counted_at IS NULL"
HAS_COUNTED = "SELECT 1 FROM counted_mailboxes WHERE mailbox = $1"
KEEP_COUNTED = "INSERT INTO counted_mailboxes (mailbox, at) VALUES ($1, $2)"
# The pattern is not bound whole: SQLite would compile the statement again for each other one.
# Where addresses are confirmed, one that is not says nothing about whose mailbox it is; but nobody invites themselves.
IS_ANOTHERS = """
    SELECT 1 FROM users
    WHERE (email_key = $1 OR email_key >= $2 AND email_key < $3 AND email_key LIKE '%@' || $4)
        AND id <> $5 AND (id = $6 OR $7 = 0 OR email_confirmed_at IS NOT NULL)
    LIMIT 1"""
COUNT = """
    UPDATE inviters SET counted = counted + 1, day = $2,
        counted_on_day = CASE WHEN day = $2 THEN counted_on_day + 1 ELSE 1 END
    WHERE user_id = $1 AND ($3 = 0 OR day <> $2 OR counted_on_day < $3) RETURNING counted, rewarded"""
MARK_COUNTED = "UPDATE referrals SET counted_at = $3, mailbox = $2 WHERE id = $1 AND counted_at IS NULL"
SET_REWARDED = "UPDATE inviters SET rewarded = $2 WHERE user_id = $1"
READ_BALANCE = "SELECT balance FROM ledger WHERE user_id = $1 ORDER BY id DESC LIMIT 1"
INSERT_ENTRY = """
    INSERT INTO ledger (user_id, key, reason, amount, currency, target, balance, at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id"""
READ_STANDING = """
    SELECT u.referral_code, i.invited, i.counted, i.rewarded,
        (SELECT l.balance FROM ledger l WHERE l.user_id = u.id ORDER BY l.id DESC LIMIT 1) AS balance
    FROM users u LEFT JOIN inviters i ON i.user_id = u.id WHERE u.id = $1"""
LIST_INVITED = """
    SELECT r.id, u.username, r.joined_at, r.counted_at FROM referrals r LEFT JOIN users u ON u.id = r.invitee_id
    WHERE r.inviter_id = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3"""
LIST_LEDGER = """
    SELECT id, amount, currency, reason, balance, at FROM ledger
    WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"""
NEWEST_CURRENCY = "SELECT currency FROM ledger ORDER BY id DESC LIMIT 1"
EXPORT_INVITED = """
    SELECT r.id, u.username, r.joined_at, r.counted_at FROM referrals r LEFT JOIN users u ON u.id = r.invitee_id
    WHERE r.inviter_id = $1 AND r.id > $2 ORDER BY r.id LIMIT $3"""
EXPORT_LEDGER = """
    SELECT id, key, reason, amount, currency, target, balance, at FROM ledger
    WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3"""
EXPORT_INVITER = """
    SELECT u.username FROM referrals r JOIN users u ON u.id = r.inviter_id WHERE r.invitee_id = $1"""


@dataclass(frozen=True, slots=True)
class Referral:
    """A sign-up through a code."""

    id: int
    inviter_id: int
    invitee_id: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be added to a member's ledger. `target`: the one in force, so that the past can be proven later."""

    user_id: int
    key: str
    reason: Reason
    amount: int
    currency: str
    target: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many sign-ups count for an inviter, and how many rewards were paid."""

    counted: int
    rewarded: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a member stands."""

    code: str
    invited: int
    tally: Tally
    balance: int


async def hold_member(tx: Tx, user_id: int) -> bool:
    """Keeps others from counting for the member to the end of the transaction; False when there is no such member."""
    return await tx.value(HOLD_MEMBER, user_id) is not None


async def hold_inviter(tx: Tx, code: str, invitee_id: int) -> int | None:
    """The member whose code it is, likewise held; None when it brings nobody, or would bring oneself."""
    found = await tx.value(HOLD_INVITER, code, invitee_id)
    return None if found is None else int(found)


async def insert_referral(tx: Tx, inviter_id: int, invitee_id: int, mailbox: str) -> Referral:
    """Adds a sign-up through a code, which does not count yet."""
    id_ = int(await tx.value(INSERT_REFERRAL, inviter_id, invitee_id, mailbox, tx.now))
    await tx.run(COUNT_INVITED, inviter_id)
    return Referral(id_, inviter_id, invitee_id)


async def uncounted(tx: Tx, invitee_id: int) -> Referral | None:
    """The member's own sign-up through a code, if it does not count yet."""
    row = await tx.one(FIND_UNCOUNTED, invitee_id)
    return Referral(row["id"], row["inviter_id"], invitee_id) if row else None


async def has_counted(tx: Tx, mailbox: str) -> bool:
    """Whether a sign-up with this mailbox (its hash) has counted for anybody."""
    return await tx.value(HAS_COUNTED, mailbox) is not None


async def is_anothers(tx: Tx, mailbox: Mailbox, referral: Referral, confirmed_only: bool) -> bool:
    """Whether the mailbox is that of a member besides the invitee."""
    low, high = mailbox.tagged
    return await tx.value(IS_ANOTHERS, mailbox.key, low, high, mailbox.domain, referral.invitee_id,
                          referral.inviter_id, int(confirmed_only)) is not None


async def count(tx: Tx, referral: Referral, mailbox: str, per_day: int) -> Tally | None:
    """Lets the sign-up count; None when as many have counted for the inviter today as may (0: any number)."""
    row = await tx.one(COUNT, referral.inviter_id, tx.now // DAY, per_day)
    if row is None:
        return None
    await tx.run(MARK_COUNTED, referral.id, mailbox, tx.now)
    await tx.run(KEEP_COUNTED, mailbox, tx.now)
    return Tally(row["counted"], row["rewarded"])


async def set_rewarded(tx: Tx, inviter_id: int, rewarded: int) -> None:
    """Writes how many rewards were paid."""
    await tx.run(SET_REWARDED, inviter_id, rewarded)


async def insert_entry(tx: Tx, entry: Entry) -> tuple[int, int]:
    """Adds to the ledger of a member who is held; gives the entry's id and the balance with it."""
    balance = int(await tx.value(READ_BALANCE, entry.user_id) or 0) + entry.amount
    id_ = await tx.value(INSERT_ENTRY, entry.user_id, entry.key, entry.reason, entry.amount, entry.currency,
                         entry.target, balance, tx.now)
    return int(id_), balance


async def standing(tx: Tx, user_id: int) -> Standing | None:
    """Where the member stands."""
    row = await tx.one(READ_STANDING, user_id)
    if row is None:
        return None
    tally = Tally(row["counted"] or 0, row["rewarded"] or 0)
    return Standing(row["referral_code"], row["invited"] or 0, tally, row["balance"] or 0)


async def code_status(tx: Tx, code: str | None) -> CodeStatus:
    """Whose code it is."""
    row = await tx.one(FIND_CODE, code) if code is not None else None
    return CodeStatus(row is not None, Inviter(row["username"], row["name"]) if row else None)


async def invited(tx: Tx, inviter_id: int, before: int, limit: int) -> list[InvitedMember]:
    """Who came through the member's code, newest first."""
    return [InvitedMember(row["id"], row["username"], iso(row["joined_at"]), row["counted_at"] is not None)
            for row in await tx.all(LIST_INVITED, inviter_id, before, limit)]


async def ledger(tx: Tx, user_id: int, before: int, limit: int) -> list[LedgerEntry]:
    """The member's entries, newest first."""
    return [LedgerEntry(row["id"], row["amount"], row["currency"], row["reason"], row["balance"], iso(row["at"]))
            for row in await tx.all(LIST_LEDGER, user_id, before, limit)]


async def ledger_currency(tx: Tx) -> str | None:
    """The currency of the newest entry of all; None when nothing was ever paid."""
    found = await tx.value(NEWEST_CURRENCY)
    return None if found is None else str(found)


async def exported_invited(tx: Tx, member_id: int, after: int, limit: int) -> list[ExportedInvited]:
    """Whom the member has brought, behind one, oldest first, as it is exported."""
    return [ExportedInvited(row["id"], row["username"], iso(row["joined_at"]), iso_or_none(row["counted_at"]))
            for row in await tx.all(EXPORT_INVITED, member_id, after, limit)]


async def exported_ledger(tx: Tx, member_id: int, after: int, limit: int) -> list[ExportedEntry]:
    """The member's entries behind one, oldest first, as they are exported."""
    return [ExportedEntry(row["id"], row["key"], row["reason"], row["amount"], row["currency"], row["target"],
                          row["balance"], iso(row["at"]))
            for row in await tx.all(EXPORT_LEDGER, member_id, after, limit)]


async def exported_inviter(tx: Tx, member_id: int) -> str | None:
    """The name of who has brought the member, while they are here."""
    found = await tx.value(EXPORT_INVITER, member_id)
    return None if found is None else str(found)
