"""Mails as they are shown."""
from __future__ import annotations

from typing import Literal

import msgspec

from server.web.windows import Search

Status = Literal["queued", "sent", "failed", "not_configured"]


class Mail(msgspec.Struct):
    """A mail as an administrator sees it in a list."""

    id: int
    user_id: int
    letter: str
    recipient: str
    subject: str
    status: Status
    reason: str | None
    created_at: str
    sent_at: str | None


class WholeMail(Mail):
    """A mail as an administrator reads it: with its text. The link stands in it only while no mail server is
    configured; whoever has it can act for the member."""

    message_id: str
    text: str


class ExportedMail(msgspec.Struct):
    """A mail as its member's export has it."""

    id: int
    letter: str
    recipient: str
    status: Status
    reason: str | None
    created_at: str
    sent_at: str | None


class Mails(Search, forbid_unknown_fields=True):
    """Which mails, newest first: all, or those of a status."""

    status: Status | None = None
