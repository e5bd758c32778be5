"""What the audit holds, as it is shown."""
from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from server.web.fields import MAX_ID
from server.web.windows import Search

# What is written down: what administrators (and the command line) do, and what happens to somebody's account.
Act = Literal[
    "administrator_created", "member_promoted", "member_demoted", "member_suspended", "member_restored",
    "post_deleted", "job_retried", "job_dropped", "schedule_changed", "schedule_run", "person_deleted",
    "mail_link_shown",
    "login_failed", "login_blocked", "signed_in", "session_ended", "token_reused",
    "password_changed", "password_reset", "email_changed", "member_left",
]
MemberId = Annotated[int, Meta(ge=1, le=MAX_ID)]


class Who(msgspec.Struct):
    """A member; without a name, when they have left."""

    id: int
    username: str | None


class AuditEntry(msgspec.Struct):
    """What happened."""

    id: int
    at: str
    act: Act
    actor: Who | None  # None: the command line, or somebody who was not signed in
    member: Who | None  # whose account it concerns
    target: str | None
    address: str | None
    request_id: str | None
    details: dict[str, Any]


class Acts(Search, forbid_unknown_fields=True):
    """Which entries, newest first: all, those about a member, or those by one; of these, those that hold `q`."""

    member_id: MemberId | None = None
    actor_id: MemberId | None = None


class ExportedAct(msgspec.Struct):
    """What the member did, or what concerns their account. Where an administrator was is the administrator's."""

    id: int
    at: str
    act: Act
    by: Literal["you", "administrator", "unknown"]
    about_you: bool
    target: str | None
    address: str | None
    request_id: str | None
    details: dict[str, Any]
