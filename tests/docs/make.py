"""Writes the pages of the documentation that are made: `python -m tests.docs.make`."""
from __future__ import annotations

from pathlib import Path

from server.app import document
from server.settings import Settings
from tests.docs import reference

DOCS = Path(__file__).resolve().parents[2] / "docs"


def pages() -> dict[str, str]:
    """The pages and their texts."""
    return {"rest.md": reference.rest(document(Settings())), "settings.md": reference.settings()}


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
        print(f"docs/{name}")
