"""The letters: every one has its words in both forms, and none of those words is ever more than a word."""
from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest

from server.mail import letters
from server.mail.letters import LANGUAGE, NAMES

WORDS = {"username": "ada", "hint": "n...@example.org", "file": "hello.py", "version": "3", "file_id": "7",
         "verdict": "has 2 violations"}
BLOCKS = {"file_checked": "1:1: F401 'os' imported but unused\n2:1: E302 expected 2 blank lines"}
HOUSE, LINK = "https://foyer.example", "https://foyer.example/confirm#token=abcdefghijklmnopqrstuv"
SERVER = Path(letters.__file__).parents[1]
HOSTILE = ("<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "{{ house }}", "{% raw %}", "{{ 7 * 191 }}",
           "&lt;b&gt;", "</title></head>", "\u202egnp.exe")


def rendered(letter: str, **words: str) -> letters.Rendered:
    block = {"block": BLOCKS[letter]} if letter in BLOCKS else {}
    return letters.render(letter, {**WORDS, **block, **words}, HOUSE, LINK if letters.has_link(letter) else None)


def leads_to(letter: str) -> list[str]:
    """Where the button leads, if there is one."""
    page = LANGUAGE[letter].get("page", "").replace("{{ house }}", HOUSE).replace("{{ file_id }}", WORDS["file_id"])
    return [page] if page else [LINK] * letters.has_link(letter)


class Page(HTMLParser):
    """The text of a page, its tags and links."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text, self.tags, self.hrefs = "", list[str](), list[str]()
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.hrefs += [value for name, value in attrs if name == "href"]
        assert all(name in ("href", "style", "lang", "charset") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("letter", sorted(NAMES))
def test_a_letter_says_the_same_in_both_forms(letter: str) -> None:
    made = rendered(letter)
    page = Page(made.html)
    assert made.subject and "\n" not in made.subject and "{" not in made.text + page.text
    for paragraph in made.text.split("\n\n"):
        for line in filter(None, paragraph.removeprefix("-- ").splitlines()):
            assert line.removesuffix(":") in page.text, line
    assert f"Hello {WORDS['username']}," == made.text.splitlines()[0]
    assert made.text.splitlines()[-2] == "-- " and HOUSE in made.text.splitlines()[-1]  # mail programs know this line
    assert set(page.tags) <= {"html", "head", "meta", "title", "body", "p", "a", "br", "pre"}


@pytest.mark.parametrize("letter", sorted(NAMES))
def test_the_link_stands_where_a_button_is(letter: str) -> None:
    made, links = rendered(letter), leads_to(letter)
    assert Page(made.html).hrefs == links and all(link.startswith(HOUSE + "/") for link in links)
    for link in links:
        assert made.text.splitlines().count(link) == 1
        assert link in Page(made.html).text  # to be copied


@pytest.mark.parametrize("letter", sorted(NAMES))
def test_plain_text_is_plain(letter: str) -> None:
    text = rendered(letter).text
    assert text.endswith("\n") and not text.endswith("\n\n") and "\n\n\n" not in text and "\r" not in text
    assert not re.search(r"<\w|&\w+;", text) and all(line == line.rstrip() or line == "-- "
                                                     for line in text.splitlines())


def _used(letter: str) -> set[str]:
    """The words that a letter takes."""
    texts = [*LANGUAGE["frame"].values(), *LANGUAGE[letter].values()]
    return set(re.findall(r"{{ (\w+) }}", str(texts))) - {"house"}


@pytest.mark.parametrize("letter", sorted(NAMES))
def test_a_word_that_is_missing_is_an_error(letter: str) -> None:
    assert _used(letter)
    for word in _used(letter):
        words = {name: value for name, value in WORDS.items() if name != word}
        with pytest.raises(jinja2.UndefinedError):
            letters.render(letter, words, HOUSE, None)


def test_every_letter_is_sent_and_no_other() -> None:
    sources = [path.read_text() for path in SERVER.rglob("*.py") if path.parent.name != "mail"]
    named = {name for source in sources for name in re.findall(r'"(\w+)"', source)}
    assert NAMES <= named, "a letter that nobody sends"
    written = (SERVER / "accounts" / "correspondence.py").read_text()
    sent = {name for call in re.findall(r"(?:_with_link|outbox\.send)\(tx,[^)]*", written)
            for name in re.findall(r'"(\w+)"', call)}
    assert sent - {"username", "confirm", "reset"} <= NAMES


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("letter", sorted(NAMES))
def test_a_word_is_never_more_than_a_word(letter: str, hostile: str) -> None:
    usual, made = rendered(letter), rendered(letter, username=hostile, hint=hostile)
    assert Page(made.html).tags == Page(usual.html).tags and Page(made.html).hrefs == Page(usual.html).hrefs
    assert html.escape(hostile, quote=False).split("'")[0].split('"')[0] in made.html
    assert f"Hello {hostile}," in made.text and f"Hello {hostile}," in Page(made.html).text
    assert "1337" not in made.text + made.html


def test_the_house_is_the_servers_and_not_a_words() -> None:
    made = rendered("confirm", house="https://evil.example")
    assert "evil" not in made.text + made.html


def test_a_subject_is_one_line_of_bounded_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "LANGUAGE", {"titled": {"subject": "About {{ title }}"}})
    for title in ("a\r\nBcc: eve@example.org", "a\x00\x0b\x85b", "a\u2028\u2029b", "x" * 10**6, "x " * 10**5):
        subject = letters.subject("titled", {"title": title}, HOUSE)
        assert subject.startswith("About ") and len(subject) <= 200 and subject.splitlines() == [subject]
        assert "\x00" not in subject
