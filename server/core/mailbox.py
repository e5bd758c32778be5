"""Mailboxes: `ada@example.org` and `ada+anything@example.org` end in the same one."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox: the part of its addresses before `@` and `+`, and their domain."""

    local: str
    domain: str

    @property
    def key(self) -> str:
        """The folded address without a tag."""
        return f"{self.local}@{self.domain}"

    @property
    def tagged(self) -> tuple[str, str]:
        """Between which words all folded addresses with a tag stand: from the first, before the second."""
        return self.local + "+", self.local + ","  # the comma is the letter behind the plus


def mailbox_of(email_key: str) -> Mailbox:
    """Where mail to the folded address ends."""
    local, _, domain = email_key.rpartition("@")
    return Mailbox(local.partition("+")[0] or local, domain)
