"""E-mail addresses: whether one can be one, the form to send to, and the form that must be unique."""
from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import idna

from server.core.mailbox import mailbox_of

# RFC 5321 section 4.5.3.1: 64 octets before the @, 254 in all (RFC 3696 erratum 1690).
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})")


@dataclass(frozen=True, slots=True)
class Address:
    """An address: `email` as it is written to, `key` folded, so that one mailbox is one member."""

    email: str
    key: str


def parse(text: str) -> Address | None:
    """The address in the text, or None when it cannot be one."""
    local, at, domain = text.rpartition("@")
    domain = _ascii(domain)
    if not at or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        return None
    if len(local.encode()) > 64 or len(local.encode()) + len(domain) > 253:
        return None
    key = unicodedata.normalize("NFKC", local).casefold() + "@" + domain
    return Address(f"{local}@{domain}", key) if _LOCAL.fullmatch(key.partition("@")[0]) else None


def _ascii(domain: str) -> str:
    """The domain in its ASCII form (IDNA 2008), or empty."""
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return ""


def check(value: str) -> str | None:
    """The rule for an e-mail field."""
    return None if parse(value) else "must be an e-mail address such as ada@example.org"


def mailbox(email: str) -> str:
    """Where mail to the address ends, folded: whatever its `+tag`, it is one mailbox."""
    address = parse(email)
    return mailbox_of(address.key if address else email).key


def hint(email: str) -> str:
    """An address as it is shown to somebody who need not know it: `a...@example.org`."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}...@{domain}"
