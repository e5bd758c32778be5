"""What a mail says of a check."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from server.files.model import Checked
from server.providers.flake8 import Finding

MOST = 50  # findings in a mail
LONGEST = 200  # characters of one


def words(news: Checked, findings: Sequence[Finding]) -> dict[str, Any]:
    """The words of the letter `file_checked`."""
    counted = [finding for finding in findings if not finding.suppressed]
    lines = [_line(finding) for finding in counted[:MOST]]
    if news.total > len(lines):
        lines.append(f"... and {news.total - len(lines)} more")
    return {"file": news.name, "version": news.version, "file_id": news.file_id, "verdict": _verdict(news),
            "block": "\n".join(lines)}


def _line(finding: Finding) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in finding.text)
    return f"{finding.line}:{finding.column}: {finding.code} {text}"[:LONGEST]


def _verdict(news: Checked) -> str:
    silenced = f" ({news.suppressed} more are silenced by noqa comments)" if news.suppressed else ""
    match news.status:
        case "passed":
            return f"passed: flake8 found nothing{silenced}"
        case "violations":
            return f"has {news.total} {'violation' if news.total == 1 else 'violations'}{silenced}"
    return f"could not be checked: {news.reason}"
