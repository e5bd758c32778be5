"""The forms of settings' values."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from server.core import units
from server.core.clock import iso, iso_or_none
from server.core.errors import CODES, Problem
from server.core.units import Mailbox, MailServer, Rate

Parser = Callable[[str], Any]
GOOD: list[tuple[Parser, dict[str, Any]]] = [
    (units.duration, {"500 ms": 0.5, "2 s": 2, "5 min": 300, "1 h": 3600, "30 d": 30 * 86400, "2s": 2, "1.5 h": 5400}),
    (units.size, {"64 KiB": 65536, "2 MiB": 2 * 1024**2, "512 B": 512, "1 GiB": 1024**3, "1.5KiB": 1536}),
    (units.rate,
     {"10/hour": Rate(10, 3600), "5/15 minutes": Rate(5, 900), "1/second": Rate(1, 1), "3 / 2 days": Rate(3, 172800),
      "120/minute": Rate(120, 60)}),
    (units.yes_no,
     {"yes": True, "no": False, "True": True, "false": False, "ON": True, "off": False, "1": True, "0": False}),
    (units.integer(0, 65535), {"0": 0, "65535": 65535, "0080": 80}),
    (units.words("a", "b"), {"": (), "a": ("a",), " a , b ,": ("a", "b")}),
    (units.http_url,
     {"": "", "https://example.org/": "https://example.org", "http://[::1]:80/x/": "http://[::1]:80/x"}),
    (units.origins,
     {"": (), "https://App.Example.org, http://localhost:1": ("https://app.example.org", "http://localhost:1")}),
    (units.database_url, {"sqlite:foyer.db": "sqlite:foyer.db", "postgresql://u:p@h/d": "postgresql://u:p@h/d"}),
    (units.mail_url, {url: url for url in ("", "smtp://h", "smtps://u:p%40ss@mail.example.org:25")}),
    (units.mail_server,
     {"smtp://mail.example.org": MailServer("mail.example.org", 587), "smtps://h/": MailServer("h", 465, True),
      "smtp://[::1]:2525": MailServer("::1", 2525), "smtp://u@127.0.0.1:25": MailServer("127.0.0.1", 25, user="u"),
      "smtps://ada%40b.c:p%3Aq%2Fr@h:1": MailServer("h", 1, True, "ada@b.c", "p:q/r")}),
    (units.mailbox, {box: box for box in ("", "ada@example.org", "Foyer <foyer@localhost>")}),
    (units.mailbox_parts,
     {"o'neill+x@b.c": Mailbox("", "o'neill+x@b.c"), "Foyer at Lützen <f@b.c>": Mailbox("Foyer at Lützen", "f@b.c"),
      '"Foyer, Inc." <f@b.c>': Mailbox("Foyer, Inc.", "f@b.c")}),
]
BAD: list[tuple[Parser, tuple[str, ...]]] = [
    (units.duration, ("", "2", "s", "2 weeks", "-1 s", "0 s", "2 S", "1e3 s", "2 s 3", "nan s", "\u0662 s", "2\ts")),
    (units.size, ("", "64", "64 KB", "0 B", "-1 B", "64 kib", "0.1 B")),
    (units.rate,
     ("", "10", "0/hour", "10/0 minutes", "10/week", "-1/hour", "10/hour/2", "1.5/hour", "10 per hour", "\u0661/hour")),
    (units.yes_no, ("", "maybe", "y", "2")),
    (units.integer(0, 65535), ("", "-1", "65536", "1.0", "0x10", "1_000", "\u0661", "9" * 40, " 1")),
    (units.words("a", "b"), ("c", "a b", "A")),
    (units.http_url,
     ("example.org", "ftp://x.y", "https://", "https://u:p@x.y", "https://x.y?a", "https://x.y#a", "http://x.y:0",
      "http://x.y:99999", "http://[::1", "https://x y", "//x.y")),
    (units.origins,
     ("*", "null", "https://x.y/", "https://x.y/a", "https://u@x.y", "x.y", "https://*.x.y", "ftp://x.y")),
    (units.database_url, ("", "sqlite:", "foyer.db", "mysql://x", "postgresql://a b")),
    (units.networks, ("x", "10.0.0.0/33", "1.2.3", "::g")),
    (units.choice("full", "normal"), ("", "FULL", "full ")),
    (units.mail_url,
     ("x", "http://h", "smtp://", "smtp://:p@h", "smtp://h:0", "smtp://h:99999", "smtp://h:x", "smtp://h/x",
      "smtp://h?x", "smtp://u:p#w@h", "smtp://u:p w@h", "smtp://u:%0d%0ax@h", "smtp://u:%ff@h", "smtp://h\n",
      "smtp://h\t", "smtp://[x]", "smtp://[::1", "smtp://-h", "smtp://h_\u202e")),
    (units.mailbox,
     ("ada", "@b.c", "ada@", "ada@b..c", "ada@-b", "ü@b.c", "ada@b.c\n", "a b@c.d", "a@b.c, d@e.f", "<ada@b.c>",
      '"x <ada@b.c>', "Foyer\r\nBcc: x <ada@b.c>", "Foyer\u2028 <ada@b.c>", "a" * 65 + "@b.c",
      "x" * 101 + " <ada@b.c>", "ada@" + "b" * 251)),
]


def test_what_can_be_read() -> None:
    for parse, values in GOOD:
        for text, wanted in values.items():
            assert parse(text) == wanted, text
    assert [str(network) for network in units.networks("10.1.2.3/8, ::1, 1.2.3.4")] == ["10.0.0.0/8", "::1/128",
                                                                                        "1.2.3.4/32"]


@pytest.mark.parametrize(("parse", "texts"), BAD, ids=range(len(BAD)))
def test_what_cannot_be_read_says_what_was_expected(parse: Parser, texts: tuple[str, ...]) -> None:
    for text in texts:
        with pytest.raises(ValueError) as caught:
            parse(text)
        said = str(caught.value)
        assert len(said) > 5 and "\n" not in said, (text, said)


def test_what_is_wrong_with_a_mail_url_is_said_without_the_password() -> None:
    for url in ("http://u:pa55@h", "smtp://u:pa55@h:x", "smtp://u:pa55%ff@h", "smtp://pa55 @h"):
        with pytest.raises(ValueError) as caught:
            units.mail_url(url)
        error = caught.value
        assert "pa55" not in str(error) and (error.__context__ is None or error.__suppress_context__), url
    assert "pa55" not in repr(units.mail_server("smtp://u:pa55@h"))


def test_which_hosts_are_this_machine() -> None:
    assert all(units.is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"))
    assert not any(units.is_loopback(host)
                   for host in ("", "0.0.0.0", "::", "10.0.0.1", "localhost.evil.test", "example.org", "127.1"))


def test_times_have_milliseconds_and_a_z() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000Z" and iso(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"
    assert iso(1_700_000_000_999) == "2023-11-14T22:13:20.999Z" and iso(2**31 * 1000) == "2038-01-19T03:14:08.000Z"
    assert iso_or_none(None) is None


def test_the_list_of_codes_holds_statuses_of_errors() -> None:
    for code, (status, title) in CODES.items():
        assert 400 <= status < 600 and title and code == code.lower()
        problem = Problem(code, "detail")
        assert (problem.status, problem.title) == (status, title)
