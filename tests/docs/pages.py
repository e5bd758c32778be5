"""The pages of the documentation, as a reader meets them: fenced blocks, headings, links."""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
         for path in (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md")}
# A block of the languages below is run, unless `<!-- not run: why -->` stands on the line before it.
_FENCE = re.compile(r"(?:^<!-- not run: (?P<why>[^\n]+) -->\n)?^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)"
                    r"^(?P=indent)```$", re.DOTALL | re.MULTILINE)
LANGUAGES = {
    "sh": "run by bash, the blocks of a page one after the other", "python": "run as a file", "js": "run by Node",
    "json": "read", "ini": "read as settings", "text": "only looked at: a transcript, a picture",
    "nginx": "only looked at: another program's settings", "yaml": "only looked at: another program's settings",
}


@dataclass(frozen=True)
class Block:
    """A fenced block. `why`: the reason why it is not run."""

    page: str
    line: int
    language: str
    text: str
    why: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """The blocks of these languages, of all pages."""
    return [block for page in PAGES for block in _blocks(page) if block.language in languages]


def _blocks(page: str) -> Iterator[Block]:
    text = PAGES[page]
    for found in _FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, found.start("text")), found["language"].strip(), found["text"],
                    found["why"])


def prose(page: str) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", PAGES[page])


def anchors(page: str) -> set[str]:
    """What a link into the page may lead to."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "]", heading).lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def links(page: str) -> list[str]:
    """The targets of the page's links that lead nowhere outside."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page)))
            if not re.match(r"[a-z]+:", target)]
