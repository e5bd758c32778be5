"""What `python -m flake8 --isolated` itself says, to compare with."""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from server.providers.flake8 import Finding, Report

_BETWEEN = "\x1f"
_FORMAT = _BETWEEN.join(f"%({name})s" for name in ("path", "row", "col", "code", "text"))
Line = tuple[int, int, str, str]


def flake8(folder: Path, *options: str) -> dict[str, list[Line]]:
    """The findings in the files of a folder, by name, as a cold flake8 prints them."""
    run = subprocess.run([sys.executable, "-I", "-W", "ignore", "-m", "flake8", "--isolated", "-j2",
                          f"--format={_FORMAT}", *options, "."], cwd=folder, env={}, capture_output=True, text=True)
    assert not run.stderr, run.stderr
    found: dict[str, list[Line]] = {path.name: [] for path in folder.iterdir()}
    for line in run.stdout.split("\n")[:-1]:
        path, row, column, code, text = line.split(_BETWEEN)
        found[Path(path).name].append((int(row), int(column), code, text[:500]))
    return found


def lines(findings: Sequence[Finding]) -> list[Line]:
    """Findings as the reference gives them."""
    return [(finding.line, finding.column, finding.code, finding.text) for finding in findings]


def assert_same(report: Report, plain: Sequence[Line], everything: Sequence[Line]) -> None:
    """The report says the same as flake8, and of what was silenced the same as flake8 with --disable-noqa."""
    counted = [finding for finding in report.findings if not finding.suppressed]
    assert report.total == len(plain) == sum(report.counts.values())
    assert report.suppressed == len(everything) - len(plain)
    assert lines(counted) == list(plain)[:1000]
    if len(everything) <= 1000:
        assert lines(report.findings) == list(everything)
