"""What referrals take and give."""
from __future__ import annotations

from typing import Literal

import msgspec

Reason = Literal["invitee_reward", "inviter_reward"]


class ReferralSummary(msgspec.Struct):
    """Where a member stands. Money is in minor units. `counted`: how many sign-ups count for rewards."""

    code: str
    link: str
    balance: int
    currency: str
    invited: int
    counted: int
    rewarded: int
    until_next_reward: int


class InvitedMember(msgspec.Struct):
    """Somebody who came through the member's code; without a name when they have left."""

    id: int
    username: str | None
    joined_at: str
    counted: bool


class LedgerEntry(msgspec.Struct):
    """An amount that the member got, in minor units, and the balance with it."""

    id: int
    amount: int
    currency: str
    reason: Reason
    balance: int
    at: str


class Inviter(msgspec.Struct):
    """Whose code it is."""

    username: str
    name: str | None


class CodeStatus(msgspec.Struct):
    """Whether a code brings somebody to whom it belongs."""

    valid: bool
    inviter: Inviter | None


class Credited(msgspec.Struct):
    """The data of a `referral_credited` event: the entry of the ledger that it tells of."""

    entry_id: int
    amount: int
    currency: str
    reason: Reason
    balance: int


class ExportedInvited(msgspec.Struct):
    """Somebody whom the member has brought, as the member's export has it."""

    id: int
    username: str | None
    joined_at: str
    counted_at: str | None


class ExportedEntry(msgspec.Struct):
    """An entry of the ledger as its owner's export has it."""

    id: int
    key: str
    reason: Reason
    amount: int
    currency: str
    target: int
    balance: int
    at: str
