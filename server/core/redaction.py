"""Takes out of a text what must never stand in a log, an error or a metric."""
from __future__ import annotations

import re

_RULES = (
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "<token>"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w+/=.~-]+"), r"\1 <secret>"),
    (re.compile(r"\b[0-9]{1,16}\.[0-9]{1,16}\.[\w-]{43}(?![\w-])"), "<token>"),
    (re.compile(r"(?i)(api[_-]key|secret|password(?:_hash)?|token|foyer_refresh)([\"']?\s*[=:]\s*)"
                r"(?:\"[^\"\n]*\"?|'[^'\n]*'?|[^\s\"'&,;}]+)"), r"\1\2<secret>"),
    # Looked for from the beginning of a word only, else a long text takes the square of its length.
    (re.compile(r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+"), "<e-mail>"),
    (re.compile(r"(?<!\d)(?<!\d\.)\d(?:[ -]?\d){12,18}(?!\d)(?!\.\d)"), "<number>"),
)


def redact(text: str) -> str:
    """The text without tokens, secrets, e-mail addresses and card-like numbers."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
