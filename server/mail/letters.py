"""Puts letters together: the words stand in `language.toml`, the form in two templates, plain text and simple HTML."""
from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, format_datetime, parseaddr
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from server.core.clock import SECOND

ROOM = Path(__file__).parent
LANGUAGE: Mapping[str, Mapping[str, Any]] = tomllib.loads((ROOM / "language.toml").read_text(encoding="utf-8"))
_FRAME = LANGUAGE["frame"]
NAMES = frozenset(LANGUAGE) - {"frame"}
_LONGEST_SUBJECT = 200
_FOLDED = 60  # a word that is longer cannot be folded as it is


@dataclass(frozen=True, slots=True)
class Rendered:
    """A letter, ready to be read."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around a letter. `at`: when it was written, in milliseconds."""

    sender: str
    recipient: str
    message_id: str
    at: int


@cache
def _environment(html: bool) -> jinja2.Environment:
    return jinja2.Environment(loader=jinja2.FileSystemLoader(ROOM / "templates"), autoescape=html, trim_blocks=True,
                              lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)


@cache
def _sentence(html: bool, text: str) -> jinja2.Template:
    # Reading it takes longer than all the rest; there are only as many as `language.toml` has.
    return _environment(html).from_string(text)


def has_link(letter: str) -> bool:
    """Whether the letter is nothing without its link, which works once."""
    return "button" in LANGUAGE[letter] and "page" not in LANGUAGE[letter]


def render(letter: str, words: Mapping[str, Any], house: str, link: str | None) -> Rendered:
    """The letter with its words in both forms. `house`: where this Foyer is, as the outside sees it."""
    return Rendered(subject(letter, words, house), _form(False, letter, words, house, link),
                    _form(True, letter, words, house, link))


def subject(letter: str, words: Mapping[str, Any], house: str) -> str:
    """The subject line alone."""
    return one_line(_worded(False, LANGUAGE[letter]["subject"], words, house))[:_LONGEST_SUBJECT]


def _form(html: bool, letter: str, words: Mapping[str, Any], house: str, link: str | None) -> str:
    told = {**_FRAME, "small_print": "", "button": "", "page": "", **LANGUAGE[letter]}
    ready = {name: _worded(html, told[name], words, house) for name in (
        "greeting", "button", "small_print", "signature", "or_copy", "subject")}
    paragraphs = [_worded(html, text, words, house) for text in told["paragraphs"]]
    page = _worded(False, told["page"], words, house)
    template = _environment(html).get_template("letter.html" if html else "letter.txt")
    return template.render(ready, paragraphs=paragraphs, block=words.get("block"), link=link or page)


def _worded(html: bool, text: str, words: Mapping[str, Any], house: str) -> Any:
    made = _sentence(html, text).render(words, house=house)
    return Markup(made) if html else made


def one_line(text: str) -> str:
    """The text without anything that could end a header line."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", text).split())


def message(letter: Rendered, envelope: Envelope) -> bytes:
    """The letter as it is sent (RFC 5322): the same bytes every time."""
    made = EmailMessage(SMTP)
    made["Date"] = format_datetime(datetime.fromtimestamp(envelope.at // SECOND, UTC))
    made["Message-ID"] = envelope.message_id
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
    made.set_content(letter.text, cte="quoted-printable")
    made.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    made.set_boundary(envelope.message_id.strip("<>").partition("@")[0])
    return _told_from_outside(letter.subject, envelope).encode() + made.as_bytes()


def _told_from_outside(subject: str, envelope: Envelope) -> str:
    """The headers in which somebody else's words stand.

    EmailMessage would decode what looks like an encoded word in them, line breaks and all: then the text of a subject
    or the part before an @ could add headers.
    """
    name, address = parseaddr(one_line(envelope.sender))
    sender = formataddr((name, address)) if name.isascii() else f"{_encoded('From', name)} <{address}>"
    return (f"From: {sender}\r\nTo: {one_line(envelope.recipient)}\r\n"
            f"Subject: {_encoded('Subject', one_line(subject))}\r\n")


def _encoded(header: str, text: str) -> str:
    """The text as it may stand in a header, in several lines if it is long (RFC 2047)."""
    plain = text.isascii() and "=?" not in text and all(len(word) <= _FOLDED for word in text.split())
    return Header(text, "us-ascii" if plain else "utf-8", header_name=header).encode(linesep="\r\n")
