"""Reads the values of settings: durations, sizes, rates, lists. Every parser takes the text and raises ValueError
with what was expected."""
from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

T = TypeVar("T")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DURATIONS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_PERIODS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_YES = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}
_MAIL_PORTS = {"smtp": 587, "smtps": 465}
_MAIL_URL = ("smtp://user:password@host:port or smtps://..., what is special in user and password percent-encoded "
             "(%40 for @)")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
# RFC 5321 section 4.5.3.1: 64 octets before the @, 254 in all. A host without a dot may be one of the own network.
_ATOM, _LABEL = r"[\w!#$%&'*+/=?^`{|}~-]+", r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_MAILBOX = re.compile(r'(?P<quote>"?)(?P<name>[^"<>\\@]{1,100}?)(?P=quote) *<(?P<address>[^<>]+)>')


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server: `tls` from the first byte on; `user` and `password` are empty where it asks for none."""

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address, and the name that is shown with it, if any."""

    name: str
    address: str


def text(value: str) -> str:
    """Any text; empty means unset."""
    return value


def yes_no(value: str) -> bool:
    """`yes` or `no` (also true/false, on/off)."""
    if value.lower() not in _YES:
        raise ValueError("yes or no")
    return _YES[value.lower()]


def integer(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""
    def parse(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value) or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(value)
    return parse


def choice(*words: str) -> Callable[[str], str]:
    """A parser of one of the words."""
    def parse(value: str) -> str:
        if value not in words:
            raise ValueError("one of " + ", ".join(words))
        return value
    return parse


def words(*known: str) -> Callable[[str], tuple[str, ...]]:
    """A parser of a comma-separated list; with `known`, only of those words."""
    def parse(value: str) -> tuple[str, ...]:
        found = tuple(part.strip() for part in value.split(",") if part.strip())
        if known and not set(found) <= set(known):
            raise ValueError("a list of " + ", ".join(known))
        return found
    return parse


def _measure(value: str, units: dict[str, T], expected: str) -> tuple[float, T]:
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) *([A-Za-z]+)", value)
    if not match or match[2] not in units:
        raise ValueError(expected)
    return float(match[1]), units[match[2]]


def duration(value: str) -> float:
    """Seconds, from `500 ms`, `2 s`, `5 min`, `1 h`, `30 d`."""
    number, unit = _measure(value, _DURATIONS, "a duration such as 500 ms, 2 s, 5 min, 1 h or 30 d")
    if number == 0:
        raise ValueError("a duration above zero such as 500 ms, 2 s, 5 min, 1 h or 30 d")
    return number * unit


def size(value: str) -> int:
    """Bytes, from `512 B`, `64 KiB`, `2 MiB`."""
    number, unit = _measure(value, _SIZES, "a size such as 64 KiB or 2 MiB")
    if number * unit < 1:
        raise ValueError("a size above zero such as 64 KiB or 2 MiB")
    return int(number * unit)


def rate(value: str) -> Rate:
    """A rate such as `10/hour` or `5/15 minutes`."""
    match = re.fullmatch(r"([0-9]{1,9}) */ *(?:([0-9]{1,6}) +)?(second|minute|hour|day)s?", value)
    if not match or int(match[1]) == 0 or match[2] == "0":
        raise ValueError("a rate such as 10/hour or 5/15 minutes")
    return Rate(int(match[1]), int(match[2] or 1) * _PERIODS[match[3]])


def currency(value: str) -> str:
    """A currency by its three letters (ISO 4217), such as `EUR`."""
    if not re.fullmatch("[A-Z]{3}", value):
        raise ValueError("three capital letters such as USD or EUR")
    return value


def networks(value: str) -> tuple[Network, ...]:
    """Addresses and networks in CIDR form, separated by commas."""
    try:
        return tuple(ipaddress.ip_network(part, strict=False) for part in words()(value))
    except ValueError:
        raise ValueError("a list of addresses or networks such as 10.0.0.0/8, ::1") from None


def http_url(value: str) -> str:
    """An absolute http or https URL, without a trailing slash; empty means unset."""
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"\s", value) or parts.query or parts.fragment or parts.username:
        raise ValueError("an http or https URL such as https://example.org")
    return value.rstrip("/")


def origins(value: str) -> tuple[str, ...]:
    """Origins as browsers send them: scheme, host and port, nothing behind."""
    found = words()(value)
    for origin in found:
        if not re.fullmatch(r"https?://[^/\s?#@*]+", origin) or not http_url(origin):
            raise ValueError("a list of origins such as https://example.org")
    return tuple(origin.lower() for origin in found)


def database_url(value: str) -> str:
    """`sqlite:FILE` or `postgresql://...`."""
    if not re.fullmatch(r"sqlite:[^\0]+|postgres(ql)?://\S+", value):
        raise ValueError("sqlite:FILE or postgresql://...")
    return value


def mail_url(value: str) -> str:
    """`smtp://user:password@host:port` or `smtps://...`; empty means unset."""
    if value:
        mail_server(value)
    return value


def mail_server(url: str) -> MailServer:
    """The parts of a `mail_url` that is set."""
    try:
        parts = urlsplit(url)
        port = parts.port
        user, password = (unquote(part or "", errors="strict") for part in (parts.username, parts.password))
    except ValueError:  # its text may hold the password
        raise ValueError(_MAIL_URL) from None
    good = _is_server(parts) and port != 0 and (user or not password)
    if not good or not all(map(_shown, (url, user, password))) or re.search(r"\s", url):
        raise ValueError(_MAIL_URL)
    return MailServer(parts.hostname or "", port or _MAIL_PORTS[parts.scheme], parts.scheme == "smtps", user, password)


def _is_server(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if parts.scheme not in _MAIL_PORTS or parts.path not in ("", "/") or parts.query or parts.fragment:
        return False
    return bool(_HOST.fullmatch(host)) or ":" in host  # urlsplit has looked at what stands in brackets


def mailbox(value: str) -> str:
    """`ada@example.org` or `Foyer <foyer@example.org>`; empty means unset."""
    if value:
        mailbox_parts(value)
    return value


def mailbox_parts(value: str) -> Mailbox:
    """The parts of a `mailbox` that is set."""
    match = _MAILBOX.fullmatch(value)
    found = Mailbox(match["name"].strip(), match["address"]) if match else Mailbox("", value)
    local = found.address.partition("@")[0]
    if not _ADDRESS.fullmatch(found.address) or len(local) > 64 or len(found.address) > 254 or not _shown(value):
        raise ValueError("an address such as foyer@example.org or Foyer <foyer@example.org>")
    return found


def _shown(text: str) -> bool:
    """Whether nothing in it is a control character, invisible, or ends a line."""
    return not any(unicodedata.category(ch) in ("Cc", "Cf", "Cs", "Zl", "Zp") for ch in text)


def is_loopback(host: str) -> bool:
    """Whether the host name or address is this machine's own loopback."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
