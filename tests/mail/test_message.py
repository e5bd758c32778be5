"""The message that is sent: its headers, its parts, and that nobody's words become one."""
from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest

from server.accounts import addresses
from server.mail import letters
from server.mail.letters import Envelope, Rendered

AT = 1_800_000_000_123
HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
ID = "<0123456789abcdef0123456789abcdef@foyer.example>"
HOSTILE = ("a\r\nBcc: eve@evil.example", "a\nBcc: eve@evil.example\n\nbody", "a\r\n\r\nbody", "a\x00b",
           "a\u2028b\u2029c", "a\x0b\x0c\x85b", "\u202egnp.exe\u202c", "=?utf-8?q?a=0D=0ABcc=3A_eve=40evil.example?=",
           "x =?utf-8?b?YQ0KDQpib2R5?= y", "ü =?utf-8?q?a=0D=0ABcc=3A_eve?= " + "z " * 100, "=?utf-8?q?x?=", "=?",
           "x" * 500, "ü" * 500, "ü " * 500, ", eve@evil.example", "<eve@evil.example>", "\"", "\\")


def envelope(sender: str = "Foyer <foyer@foyer.example>", recipient: str = "ada@lovelace.example") -> Envelope:
    return Envelope(sender, recipient, ID, AT)


def made(subject: str = "Hello", text: str = "Some text\n", page: str = "<p>Some text</p>\n",
         outside: Envelope = envelope()) -> bytes:
    return letters.message(Rendered(subject, text, page), outside)


def parsed(message: bytes) -> EmailMessage:
    """The message as a mail program reads it; it must have these headers and no other, in lines that may be sent."""
    head = message.partition(b"\r\n\r\n")[0]
    assert b"\n" not in message.replace(b"\r\n", b"") and b"\r" not in message.replace(b"\r\n", b"")
    assert b"\x00" not in message and max(map(len, message.split(b"\r\n"))) <= 998
    found = message_from_bytes(message, policy=policy.default)
    assert found.keys() == HEADERS, head
    assert not found.defects and [part.get_content_type() for part in found.iter_parts()] == ["text/plain", "text/html"]
    return found


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_its_headers() -> None:
    found = parsed(made())
    assert (found["From"], found["To"], found["Subject"]) == ("Foyer <foyer@foyer.example>", "ada@lovelace.example",
                                                              "Hello")
    assert (found["Message-ID"], found["Auto-Submitted"]) == (ID, "auto-generated")
    assert parsedate_to_datetime(found["Date"]).timestamp() == AT // 1000
    assert found.get_content_type() == "multipart/alternative" and found["MIME-Version"] == "1.0"


def test_its_parts() -> None:
    found = parsed(made("Grüße", "Grüße\n.\nFrom here\n", "<p>Grüße</p>\n"))
    assert (_body(found, "plain"), _body(found, "html")) == ("Grüße\n.\nFrom here\n", "<p>Grüße</p>\n")
    assert found["Subject"] == "Grüße"


def test_the_same_bytes_every_time() -> None:
    assert made("Grüße", "ä\n") == made("Grüße", "ä\n")
    assert made() != made(outside=Envelope("Foyer <foyer@foyer.example>", "ada@lovelace.example", "<1@x>", AT))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_subject_that_would_be_a_header(hostile: str) -> None:
    message = made(hostile)
    assert message.isascii()
    assert " ".join(str(parsed(message)["Subject"]).split()) == letters.one_line(hostile)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_body_that_would_be_a_header(hostile: str) -> None:
    text = f"{hostile}\n\n--{ID.strip('<>').partition('@')[0][:31]}\n"
    message = made(text=text, page=f"<p>{hostile}</p>\n")
    assert message.isascii() and parsed(message)["Subject"] == "Hello"
    assert _body(parsed(message), "plain").split() == text.split()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_sender_that_would_be_a_header(hostile: str) -> None:
    parsed(made(outside=envelope(sender=f"{hostile} <foyer@foyer.example>")))


@pytest.mark.parametrize("local", [
    "=?utf-8?q?a=0D=0ABcc=3A_eve?=", "=?utf-8?q?eve=40evil.example?=", "=?utf-8?b?YQ0KDQpib2R5?=", "=?utf-8?q?=00?="])
def test_what_stands_before_an_at_is_no_encoded_word(local: str) -> None:
    recipient = f"{local}@lovelace.example"
    assert addresses.parse(recipient) is not None, "it can be somebody's address"
    assert made(outside=envelope(recipient=recipient)).split(b"\r\n")[1] == f"To: {recipient}".encode()
    parsed(made(outside=envelope(recipient=recipient)))


def test_a_recipient_with_a_line_break_adds_no_header() -> None:
    parsed(made(outside=envelope(recipient="ada@lovelace.example\r\nBcc: eve@evil.example")))


@pytest.mark.parametrize("name", [
    "Föyer", "Föyer, the \"club\"", "Foyer, the members' community of Town and Country " * 2,
    "Föyer, the members' community of Town and Country " * 2, "Foyer (x)", ""])
def test_a_name_of_the_sender(name: str) -> None:
    name = name.strip()
    quoted = '"' + name.replace('"', '\\"') + '" ' if name else ""
    message = made(outside=envelope(sender=f"{quoted}<foyer@foyer.example>"))
    assert message.isascii()
    sender, = parsed(message)["From"].addresses
    # Where a name is cut into several encoded words, that parser leaves spaces between them.
    assert sender.display_name.replace(" ", "") == name.replace(" ", "") and sender.addr_spec == "foyer@foyer.example"


def test_a_recipient_beyond_ascii() -> None:
    message = made("Grüße", outside=envelope(recipient="ädä@lovelace.example"))
    assert "To: ädä@lovelace.example" in message.decode().splitlines() and parsed(message)["Subject"] == "Grüße"
    assert message.replace("ädä".encode(), b"").isascii()


def test_the_longest_recipient_and_id() -> None:
    domain = ".".join(["d" * 60] * 3) + ".example"
    recipient, id_ = f"{'a' * 60}@{domain}", f"<{'0' * 32}@{domain}>"
    found = parsed(made(outside=Envelope("Foyer <foyer@foyer.example>", recipient, id_, AT)))
    assert (found["To"], found["Message-ID"]) == (recipient, id_)


@pytest.mark.parametrize("subject", ["word " * 40, "wörd " * 40, "w" * 200, "ü" * 200])
def test_a_long_subject_is_folded(subject: str) -> None:
    message = made(subject)
    lines = message.partition(b"\r\nDate:")[0].split(b"\r\n")[2:]
    assert len(lines) > 1 and all(0 < len(line.strip()) and len(line) <= 78 for line in lines)
    assert parsed(message)["Subject"] == subject.strip()


def test_a_megabyte() -> None:
    for text in ("x" * 2**20, "ü " * 2**19):
        message = made(text=text + "\n")
        assert message.isascii() and _body(parsed(message), "plain") == text + "\n"
