"""The kinds of text that come in, as annotated types: the JSON schema shows the bounds, `check` the rest."""
from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta

# What no text may hold, wherever it stands: PostgreSQL refuses NUL, and no encoder takes half a surrogate pair.
_NEVER = re.compile("[\0\ud800-\udfff]")
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
MAX_ID = 2**53 - 1

# What a schema says of these checks, for whoever reads it; a pattern says all of it, a format names it.
_ONE_LINE = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"}
_LINK = {"format": "iri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://", "description": "An http or https URL."}


def rule(check: Callable[[str], str | None], code: str = "bad_format", schema: dict[str, Any] | None = None,
         **bounds: Any) -> Meta:
    """Bounds that msgspec checks, a check that says what is wrong with a value under a code of its own, and what the
    schema says of that check."""
    return Meta(extra={"check": check, "code": code}, extra_json_schema=schema, **bounds)


def line(value: str) -> str | None:
    """Refuses control characters and line breaks; returns what is wrong, or None."""
    return "must not hold control characters or line breaks" if _CONTROL.search(value) else None


def text(value: str) -> str | None:
    """Refuses NUL and lone surrogates; line breaks are welcome."""
    return "must not hold NUL characters or lone surrogates" if _NEVER.search(value) else None


def web_link(value: str) -> str | None:
    """Takes http and https URLs with a host and without a user in them."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        good = False
    if not good or line(value) or re.search(r"[\s<>\"\\]", value):
        return "must be an http or https URL"
    return None


def day(value: str) -> str | None:
    """Takes a calendar day from 1900 on that has come."""
    try:
        found = date.fromisoformat(value)
    except ValueError:
        return "must be a day such as 1987-02-28"
    return None if date(1900, 1, 1) <= found <= date.today() else "must be a day from 1900 to today"


Line120 = Annotated[str, rule(line, schema=_ONE_LINE, min_length=1, max_length=120)]
Line254 = Annotated[str, rule(line, schema=_ONE_LINE, min_length=1, max_length=254)]
Line255 = Annotated[str, rule(line, schema=_ONE_LINE, min_length=1, max_length=255)]
Text1000 = Annotated[str, rule(text, min_length=1, max_length=1000)]
Text20000 = Annotated[str, rule(text, min_length=1, max_length=20_000)]
WebLink = Annotated[str, rule(web_link, schema=_LINK, min_length=8, max_length=500)]
Day = Annotated[str, rule(day, schema={"format": "date"}, pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Username = Annotated[str, rule(line, min_length=3, max_length=30, pattern="^[a-zA-Z0-9_.-]+$")]
Secret = Annotated[str, rule(text, min_length=1, max_length=1024)]
Limit = Annotated[int, Meta(ge=1, le=100)]
Seq = Annotated[int, Meta(ge=0, le=MAX_ID)]
