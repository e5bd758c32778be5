"""What the routes of accounts work with, handed over by `app`."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from server.accounts.erasure import Erasure
from server.accounts.passwords import Hasher
from server.accounts.service import Accounts, Visitor, device
from server.accounts.tokens import Tokens
from server.accounts.verification import Verification
from server.core.units import Rate
from server.storage import Database
from server.web.allowances import Allowances
from server.web.limits import Limiter
from server.web.route import Call, Cookie


class Invitation(Protocol):
    """What the browser remembers of a referral link."""

    def of(self, call: Call) -> str | None:
        """The code that came with the request."""

    def used(self) -> Cookie:
        """Makes the browser forget it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the routes of accounts work with."""

    database: Database
    accounts: Accounts
    erasure: Erasure
    verification: Verification
    hasher: Hasher
    tokens: Tokens
    limiter: Limiter
    allowances: Allowances
    invitation: Invitation
    signup: Rate
    login_failures: Rate
    refresh_seconds: int


def visitor(call: Call) -> Visitor:
    """From where and with what a request came."""
    return Visitor(device(call.request.headers.get("User-Agent")), call.address)
