"""Makes a mail that arrived readable: as a document for programs and as a page for people."""
from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import escape, unescape
from typing import Any

from server.core.clock import iso, now_ms

Document = dict[str, Any]

_LINK = re.compile(r"https?://[^\s<>\"'\\^`{|}]+")
_HREF = re.compile(r"<a\s[^<>]{0,500}?href\s?=\s?(\"[^\"]+\"|'[^']+')", re.IGNORECASE)
_LONGEST_TEXT = 20_000  # on the page
_STYLE = ("body{font:1rem/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem}"
          "article{border:1px solid #ccc;border-radius:.5rem;padding:0 1rem;margin:1rem 0}h2{font-size:1.1rem}"
          "pre{white-space:pre-wrap;overflow-wrap:anywhere}.soft{color:#666}")
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
                               "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def document_of(number: int, sender: str, recipients: list[str], content: bytes) -> Document:
    """The mail as JSON: `from` and `to` are those of the envelope, the others are in `headers`."""
    message = message_from_bytes(content, policy=policy.default)
    headers = _headers(message)
    text, html = _part(message, "plain"), _part(message, "html")
    return {"id": number, "from": sender, "to": recipients, "subject": headers.get("Subject", ""), "text": text,
            "html": html, "message_id": headers.get("Message-ID", ""), "headers": headers, "links": _links(text, html),
            "size": len(content), "received_at": iso(now_ms())}


def _headers(message: EmailMessage) -> dict[str, str]:
    """The headers, decoded; those that stand there more than once are joined by a line break."""
    found: dict[str, str] = {}
    for name, raw in message.raw_items():
        try:
            value = str(policy.default.header_fetch_parse(name, raw))
        except Exception:  # the library's parser falls over some values that are none of its own making
            value = str(raw)
        known = next((each for each in found if each.lower() == name.lower()), name)
        found[known] = f"{found[known]}\n{value}" if known in found else value
    return found


def _part(message: EmailMessage, kind: str) -> str:
    try:
        part = message.get_body((kind,))
        return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""
    except Exception:  # an encoding that nobody knows, a structure that is none
        return ""


def _links(text: str, html: str) -> list[str]:
    """Every link once, those of the text first."""
    hrefs = [unescape(href[1:-1]) for href in _HREF.findall(html)]
    return list(dict.fromkeys([_trimmed(link) for link in _LINK.findall(text)] + hrefs))


def _trimmed(link: str) -> str:
    return link.rstrip(".,;:!?)]")  # ends the sentence, not the link


def page(letters: Iterable[Document], kept: int) -> str:
    """The page for people: the letters in the order given, all text escaped, no script, nothing from another host."""
    articles = "\n".join(map(_article, letters)) or '<p class="soft">No mail has arrived.</p>'
    return ("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            f"<title>Mail</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>Mail</h1>\n"
            f'<p class="soft">What the stand-in for the mail server took; kept: {kept}. Nothing has left this machine. '
            'As JSON: <a href="/mail/messages">/mail/messages</a></p>\n'
            f"{articles}\n</body>\n</html>\n")


def _article(letter: Document) -> str:
    rows = "<br>\n".join(f"{name}: {_safe(value)}" for name, value in (
        ("From", letter["headers"].get("From", letter["from"])), ("To", ", ".join(letter["to"])),
        ("Received", letter["received_at"])))
    subject = _safe(letter["subject"]) or "(no subject)"
    return (f'<article id="mail-{letter["id"]}">\n<h2>{subject}</h2>\n<p>{rows}</p>\n'
            f'<pre>{_linked(letter["text"][:_LONGEST_TEXT])}</pre>\n</article>')


def _linked(text: str) -> str:
    """The text, escaped, its links clickable."""
    parts, at = [], 0
    for match in _LINK.finditer(text):
        link = _trimmed(match[0])
        parts.append(_safe(text[at:match.start()]))
        parts.append(f'<a href="{_safe(link)}" rel="noreferrer">{_safe(link)}</a>')
        at = match.start() + len(link)
    return "".join(parts) + _safe(text[at:])


def _safe(text: str) -> str:
    # A lone surrogate, which an undecodable byte becomes, cannot be sent.
    return escape(text.encode("utf-8", "replace").decode())
