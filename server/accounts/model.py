"""What accounts take and give."""
from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from server.accounts import addresses, common_passwords
from server.accounts.tokens import Grant
from server.audit.model import ExportedAct
from server.enrichment.model import Enrichment, ExportedEnrichment
from server.events.routes import EventFrame
from server.files.model import ExportedCheck, ExportedVersion
from server.mail.model import ExportedMail
from server.posts.model import ExportedLike, ExportedPost
from server.referrals.model import ExportedEntry, ExportedInvited
from server.web.fields import Day, Limit, Line120, Secret, Text1000, Username, WebLink, line, rule

Email = Annotated[str, rule(addresses.check, schema={"format": "idn-email"}, min_length=3, max_length=254)]
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
    email_pending: str | None  # the one that takes its place once it is confirmed
    birth_date: str | None
    enrichment: Enrichment
    referral_code: str
    role: Role
    mail_checks: bool  # whether the member gets a mail for every check of a file


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
    mail_checks: bool | UnsetType = UNSET


MailToken = Annotated[str, Meta(min_length=1, max_length=200)]


class ConfirmEmail(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/email/confirm."""

    token: MailToken


class Forgot(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/password/forgot."""

    email: Email


class Reset(msgspec.Struct, forbid_unknown_fields=True):
    """POST /api/password/reset."""

    token: MailToken
    password: Password


class Accepted(msgspec.Struct):
    """What is asked for will be done, if there is anything to do."""

    accepted: bool = True


Joined = Literal["none", "applied", "unknown_code"]


class ReferralOutcome(msgspec.Struct):
    """What became of the referral code of a sign-up."""

    status: Joined


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


class Profile(msgspec.Struct):
    """A member as everybody sees them."""

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


class DeleteMe(msgspec.Struct, forbid_unknown_fields=True):
    """DELETE /api/me."""

    password: Secret


class ExportedSession(msgspec.Struct):
    """A session as the export has it: also one that is over."""

    id: int
    device: str
    address: str
    created_at: str
    last_used_at: str
    expires_at: str
    ended_at: str | None


class ExportedJob(msgspec.Struct):
    """Background work about the member."""

    kind: str
    state: Literal["ready", "running", "done", "failed"]
    attempts: int
    last_error: str | None
    request_id: str | None
    created_at: str
    run_at: str
    finished_at: str | None


class ExportedAnswer(msgspec.Struct):
    """What a provider once answered about the member's address; `*` stands for all of them."""

    provider: str
    answer: Literal["not_found", "claimed"]
    at: str


class ExportHead(msgspec.Struct):
    """What there is a bounded number of in an export."""

    exported_at: str
    profile: Me
    enrichment: ExportedEnrichment
    jobs: list[ExportedJob]
    provider_answers: list[ExportedAnswer]
    invited_by: str | None
    kept_answers: int  # copies of answers to requests with an Idempotency-Key, each gone within a day
    events_acknowledged: int


class Export(ExportHead):
    """Everything stored about the member, but for what only proves who they are: hashes and the nonces of tokens."""

    sessions: list[ExportedSession]
    posts: list[ExportedPost]
    likes: list[ExportedLike]
    mails: list[ExportedMail]
    invited: list[ExportedInvited]
    ledger: list[ExportedEntry]
    files: list[ExportedVersion]
    checks: list[ExportedCheck]
    audit: list[ExportedAct]
    events: list[EventFrame]


class People(msgspec.Struct, forbid_unknown_fields=True):
    """Which members: all, newest first, or those whose name begins with `q`, by name."""

    q: Annotated[str, rule(line, min_length=1, max_length=30, pattern="^[a-zA-Z0-9_.-]+$")] | None = None
    limit: Limit = 20
    cursor: Annotated[str, Meta(max_length=200)] | None = None
