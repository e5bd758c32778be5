"""Makes strings that came from outside fit to be stored and shown; what cannot be made fit becomes None."""
from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

# Control, format (bidi overrides, byte order marks, tags) and lone surrogates. The two joiners are format
# characters as well, but words of several languages and many emoji need them.
_UNWANTED = frozenset({"Cc", "Cf", "Cs"})
_JOINERS = "\u200c\u200d"
_FORBIDDEN_IN_URL = re.compile(r"[\s\\<>\"^`{|}]")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])")
_HANDLE = re.compile(r"@?(\w[\w./%-]*)")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]*")


def plain(value: object, most: int) -> str | None:
    """One line of text of at most `most` code points, whitespace collapsed, nothing unseen in it."""
    if not isinstance(value, str):
        return None
    spaced = " ".join(value[:most * 8].split())
    kept = "".join(ch for ch in spaced if ch in _JOINERS or unicodedata.category(ch) not in _UNWANTED)
    text = " ".join(kept.split())[:most].rstrip()
    return text if any(ch.isprintable() and not ch.isspace() for ch in text) else None


def web_url(value: object, most: int) -> str | None:
    """An http or https URL with a host and without user-info, exactly as it came, or nothing: no half URLs."""
    if not isinstance(value, str) or len(value) > most or not _clean(value):
        return None
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return None
    return value if good else None


def domain(value: object) -> str | None:
    """A domain name of two or more ASCII labels, in lower case."""
    if not isinstance(value, str) or len(value) > 253:
        return None
    return value.lower() if _DOMAIN.fullmatch(value.lower()) else None


def handle(value: object, most: int) -> str | None:
    """A name at another service, without a leading `@`; never anything that could lead a link elsewhere."""
    if not isinstance(value, str) or len(value) > most:
        return None
    match = _HANDLE.fullmatch(value)
    return match[1] if match and ".." not in value and "//" not in value else None


def zone(value: object, most: int) -> str | None:
    """The name of a time zone, such as `Europe/London`."""
    return value if isinstance(value, str) and len(value) <= most and _ZONE.fullmatch(value) else None


def _clean(url: str) -> bool:
    if _FORBIDDEN_IN_URL.search(url):
        return False
    return not any(unicodedata.category(ch) in _UNWANTED for ch in url)
