"""What accounts take and give."""
from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from server.accounts import addresses, common_passwords
from server.accounts.tokens import Grant
from server.enrichment.model import Enrichment
from server.web.fields import Day, Limit, Line120, Secret, Text1000, Username, WebLink, rule

Email = Annotated[str, rule(addresses.check, min_length=3, max_length=254)]
Password = Annotated[str, rule(common_passwords.check, code="too_common", min_length=8, max_length=128)]

EmailStatus = Literal["valid", "accept_all", "webmail", "disposable", "unknown", "invalid", "pending", "unchecked"]
Role = Literal["member", "admin"]


class Me(msgspec.Struct):
    """A member as they see themselves."""

    id: int
    username: str
    name: str | None
    title: str | None
    company: str | None
    location: str | None
    bio: str | None
    site: str | None
    avatar_url: str | None
    created_at: str
    post_count: int
    email: str
    email_status: EmailStatus
    email_confirmed_at: str | None
    birth_date: str | None
    enrichment: Enrichment
    referral_code: str
    role: Role


class SignUp(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/signup."""

    username: Username
    email: Email
    password: Password
    referral_code: Annotated[str, Meta(max_length=64)] | None = None
    name: Line120 | None = None
    title: Line120 | None = None
    company: Line120 | None = None
    bio: Text1000 | None = None
    location: Line120 | None = None
    site: WebLink | None = None
    avatar_url: WebLink | None = None
    birth_date: Day | None = None


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/login; `username` is the name or the e-mail address."""

    username: Annotated[str, Meta(min_length=1, max_length=254)]
    password: Secret


class Refresh(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/token/refresh; the token may come as a cookie instead."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None


class ChangePassword(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/me/password."""

    current: Secret
    new: Password


class ChangeMe(msgspec.Struct, forbid_unknown_fields=True):
    """PATCH /api/me; null empties a field."""

    name: Line120 | None | UnsetType = UNSET
    title: Line120 | None | UnsetType = UNSET
    company: Line120 | None | UnsetType = UNSET
    bio: Text1000 | None | UnsetType = UNSET
    location: Line120 | None | UnsetType = UNSET
    site: WebLink | None | UnsetType = UNSET
    avatar_url: WebLink | None | UnsetType = UNSET
    birth_date: Day | None | UnsetType = UNSET
    email: Email | UnsetType = UNSET


class ReferralOutcome(msgspec.Struct):
    """What became of the referral code of a sign-up."""

    status: Literal["none", "applied", "unknown_code"]


class SignedIn(msgspec.Struct):
    """What is kept of a sign-in: everything but the tokens, which are made of the grant."""

    user: Me
    grant: Grant
    referral: ReferralOutcome | None = None


class Session(msgspec.Struct):
    """Tokens for a member who signed in."""

    user: Me
    access_token: str
    refresh_token: str
    expires_at: str


class SignedUp(msgspec.Struct):
    """Tokens for a new member."""

    user: Me
    access_token: str
    refresh_token: str
    expires_at: str
    referral: ReferralOutcome


class Pair(msgspec.Struct):
    """A fresh pair of tokens."""

    access_token: str
    refresh_token: str
    expires_at: str


class OpenSession(msgspec.Struct):
    """One of the member's sessions."""

    id: int
    device: str
    address: str
    created_at: str
    last_used_at: str
    expires_at: str
    current: bool


class Page(msgspec.Struct, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = 20
    cursor: Annotated[str, Meta(max_length=200)] | None = None
