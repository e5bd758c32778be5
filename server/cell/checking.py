"""flake8 as `python -m flake8 --isolated` runs it, except that what `noqa` silenced is told as well.

flake8 has no public interface for this: what is used of its inside stands in this file alone.
"""
from __future__ import annotations

import copy
import linecache
import logging
import platform
import re
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flake8
from flake8.checker import FileChecker, Manager
from flake8.exceptions import PluginExecutionFailed
from flake8.options.parse_args import parse_args
from flake8.processor import FileProcessor
from flake8.style_guide import StyleGuideManager

from server.cell.source import NAME, PACKAGE, Unreadable, read_lines, refusal

MOST_FINDINGS = 1000
LONGEST_TEXT = 500
_LONGEST_CODE = 20
# What neither a database nor a mail can take. One character stands for one, so that the columns stay right.
_UNFIT = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
_WARMING = 10  # after eight times Python has its code as fast as it gets
_SAMPLE = b'"""A file for warming up."""\nimport os\n\n\ndef f(a, b=1) -> str:  # noqa: E501\n    return f"{a:>{b}} {c}" ;\n'


@dataclass
class _Found:
    """What flake8 takes for its formatter: counts all findings, and keeps the first ones."""

    lines: list[str]
    whole_file: bool  # `# flake8: noqa` silences it
    counts: Counter[str] = field(default_factory=Counter)
    suppressed: int = 0
    seen: int = 0
    kept: dict[bool, list[tuple[int, dict[str, Any]]]] = field(default_factory=lambda: {False: [], True: []})

    def beginning(self, name: str) -> None:
        """The file begins."""

    def finished(self, name: str) -> None:
        """The file has ended."""

    def handle(self, error: Any) -> None:
        """One finding."""
        suppressed = self.whole_file or error.is_inline_ignored(False)
        kept = self.kept[suppressed]
        if len(kept) < MOST_FINDINGS:
            kept.append((self.seen, self._finding(error, suppressed)))
        self.seen += 1
        if suppressed:
            self.suppressed += 1
        else:
            self.counts[fit(error.code, _LONGEST_CODE)] += 1

    def report(self, reason: str | None) -> dict[str, Any]:
        """The whole, as it is sent. What is not silenced comes first when there is too much."""
        counted = self.kept[False]
        shown = sorted(counted + self.kept[True][:MOST_FINDINGS - len(counted)], key=lambda item: item[0])
        return {"reason": reason, "total": self.counts.total(), "suppressed": self.suppressed,
                "counts": dict(self.counts), "findings": [finding for _, finding in shown]}

    def _finding(self, error: Any, suppressed: bool) -> dict[str, Any]:
        line = int(error.line_number or 0)
        source = self.lines[line - 1].rstrip("\n") if 0 < line <= len(self.lines) else ""
        return {"line": line, "column": int(error.column_number), "code": fit(error.code, _LONGEST_CODE),
                "text": fit(error.text, LONGEST_TEXT), "source": fit(source, LONGEST_TEXT), "suppressed": suppressed}


class _Checker(FileChecker):  # type: ignore[misc]
    """flake8's checker of a file, on lines that were read already."""

    def __init__(self, name: str, lines: list[str], plugins: Any, options: Namespace) -> None:
        self._lines = lines
        super().__init__(filename=name, plugins=plugins, options=options)

    def _make_processor(self) -> FileProcessor:
        return FileProcessor(self.filename, self.options, lines=list(self._lines))


class Flake8:
    """flake8 with its plugins found and its options parsed."""

    def __init__(self) -> None:
        # With --disable-noqa it tells everything; what is silenced is decided afterwards.
        self._plugins, self._options = parse_args(["--isolated", "--disable-noqa", "--jobs=1", NAME])
        logging.disable()
        versions = self._plugins.versions_str()
        self.versions = {"flake8": f"{flake8.__version__} ({versions})" if versions else flake8.__version__,
                         "python": f"{platform.python_implementation()} {platform.python_version()}"}

    def warm(self) -> None:
        """Does what is slow the first times, so that no child has to."""
        for _ in range(_WARMING):
            self.check(_SAMPLE, {})
            self.check(_SAMPLE + b"(", {})

    def check(self, source: bytes, options: Mapping[str, Any]) -> dict[str, Any]:
        """The report on a file; raises Unreadable when there is none."""
        lines = read_lines(source)
        refused = refusal(source)
        # pyflakes judges the imports of a package in another way.
        name = PACKAGE if options.get("package") else NAME
        found = self._run(name, lines, self._chosen(options))
        if refused is None or found.counts:
            return found.report(None)
        # flake8 says nothing of it, be it by a `noqa`; it is not clean for that.
        return found.report(fit(f"Python does not compile it: {refused}", LONGEST_TEXT))

    def _chosen(self, given: Mapping[str, Any]) -> Namespace:
        options: Namespace = copy.copy(self._options)
        options.select = given.get("select") or options.select
        options.ignore = given.get("ignore") or options.ignore
        options.max_line_length = given.get("max_line_length") or options.max_line_length
        return options

    def _run(self, name: str, lines: list[str], options: Namespace) -> _Found:
        heeding = copy.copy(options)
        heeding.disable_noqa = False
        # flake8 asks here for lines of which it has no tokens, and would look for a file.
        linecache.cache[name] = (len(lines), None, lines, name)
        found = _Found(lines, FileProcessor(name, heeding, lines=list(lines)).should_ignore_file())
        manager = Manager(StyleGuideManager(options, found), self._plugins.checkers, [])
        try:
            manager.results = [_Checker(name, lines, self._plugins.checkers, options).run_checks()]
        except PluginExecutionFailed as error:
            raise _failed(error.original_exception) from None
        except Exception as error:
            raise _failed(error) from None
        manager.report()
        return found


def _failed(error: BaseException) -> Exception:
    if isinstance(error, MemoryError):
        return error
    if isinstance(error, RecursionError):
        return Unreadable("the code is nested too deeply for flake8")
    return Unreadable(f"flake8 itself failed on this file ({type(error).__name__})")


def fit(text: str, most: int) -> str:
    """The beginning of a text without what cannot be stored."""
    return _UNFIT.sub("\ufffd", text[:most])
