"""The cell says what flake8 says, line by line and column by column."""
from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from server.providers.flake8 import Cell, Options
from tests.cell.reference import assert_same, flake8

pytestmark = pytest.mark.long  # each asks flake8 itself as well

LARGEST = 256 * 1024
LIBRARY = Path(os.__file__).parent


def _modules(largest: int) -> list[Path]:
    return [path for path in sorted(LIBRARY.rglob("*.py"))
            if "site-packages" not in path.parts and path.stat().st_size <= largest]


async def _compare(cell: Cell, folder: Path, options: Options = Options(), *arguments: str) -> int:
    """Compares all files of the folder; how many Python does not read as source."""
    plain, everything = await asyncio.gather(asyncio.to_thread(flake8, folder, *arguments),
                                             asyncio.to_thread(flake8, folder, "--disable-noqa", *arguments))
    unreadable = 0
    for path in sorted(folder.iterdir()):
        report = await cell.check(path.read_bytes(), options)
        if report.status == "error":
            with pytest.raises((SyntaxError, ValueError)):
                compile(path.read_bytes(), path.name, "exec")
            unreadable += 1
        else:
            assert report.status == ("violations" if plain[path.name] else "passed"), path.name
            assert_same(report, plain[path.name], everything[path.name])
    return unreadable


def _copied(paths: list[Path], folder: Path) -> Path:
    """Under names of their own: what is called `__init__.py` is looked at in another way."""
    folder.mkdir()
    for number, path in enumerate(paths):
        shutil.copyfile(path, folder / f"m{number}.py")
    return folder


async def test_modules_of_the_standard_library_get_the_same_findings(cell: Cell, tmp_path: Path) -> None:
    modules = _modules(12 * 1024)
    assert await _compare(cell, _copied(modules[::len(modules) // 40][:40], tmp_path / "files")) <= 2


@pytest.mark.long
async def test_all_of_the_standard_library_gets_the_same_findings(cell: Cell, tmp_path: Path) -> None:
    modules = _modules(LARGEST)[::4]
    assert len(modules) > 200
    assert await _compare(cell, _copied(modules, tmp_path / "files")) < len(modules) / 20


WITH_NOQA = '''\
import os  # noqa
import re  # noqa: F401
import sys  # noqa: E501
import json  # noqa : E501
import abc  #noqa
import ast  # NoQA:F401,E501
x=1;y=2  # noqa: E702 W291\x20
text = """
a very long line that goes on and on, farther than the seventy-nine characters that are allowed in a line
"""  # noqa: E501
if x == None: pass # noqa: E711
'''


ODD = (
    WITH_NOQA, "# flake8: noqa\n" + WITH_NOQA, "# flake8: noqa: F401\n" + WITH_NOQA,
    "x = 1  # flake8: noqa\n" + WITH_NOQA, "x = (  # noqa\n", "def f(:  # noqa: E999\n    pass\n",
    "if x:\n\ty = 1\n        z = 2\n", "print 'hello'\n", "return 1\nbreak\n", "x = 1", "\x0c\x0c\nx = 1\n\n\n",
    "x = 1\rimport os\r", "x = 1 \r\nimport os\r\n", "\ufeffimport os\n", "", "\n", "# comment", "x = '\\d'\n",
    "from os import *\nprint(path)\n", "__all__ = ['one', 'two', 'three']\n", "class A:\n  def f(self):\n      pass\n",
    "if a:\n  pass\n\telse:\n", "x = f'{y!z}'\n", '"""\n', "def f(a, a): pass\n", "x = 1 if y else\n", "\\",
    "\u00a0x = 1\n",
)


async def test_odd_sources_get_the_same_findings(cell: Cell, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number, source in enumerate(ODD):
        (folder / f"m{number}.py").write_bytes(source.encode())
    plain, everything = flake8(folder), flake8(folder, "--disable-noqa")
    for number, source in enumerate(ODD):
        report = await cell.check(source.encode(), Options())
        assert_same(report, plain[f"m{number}.py"], everything[f"m{number}.py"])


@pytest.mark.parametrize(("options", "arguments"), [
    (Options(max_line_length=40), ["--max-line-length=40"]),
    (Options(select=("E", "W6")), ["--select=E,W6"]),
    (Options(ignore=("F401", "E7")), ["--ignore=F401,E7"]),
    (Options(select=("E501",), ignore=("E",), max_line_length=60),
     ["--select=E501", "--ignore=E", "--max-line-length=60"]),
])
async def test_options_mean_what_they_mean_to_flake8(cell: Cell, tmp_path: Path, options: Options,
                                                     arguments: list[str]) -> None:
    folder = _copied(_modules(12 * 1024)[:300:100], tmp_path / "files")
    (folder / "noqa.py").write_text(WITH_NOQA)
    await _compare(cell, folder, options, *arguments)


def test_options_that_flake8_would_not_take_are_refused() -> None:
    for wrong in ("E5011", "e501", "E501 ", "E501\n", "", "--help", "ABCD1"):
        with pytest.raises(ValueError, match="not codes of flake8"):
            Options(select=(wrong,))
        with pytest.raises(ValueError, match="not codes of flake8"):
            Options(ignore=("E501", wrong))
    with pytest.raises(ValueError, match="at least one"):
        Options(max_line_length=0)


async def test_of_very_many_findings_the_first_are_shown_and_all_are_counted(cell: Cell) -> None:
    report = await cell.check(b"import os  # noqa\n" * 1200 + b"x=1;y=2\n" * 5000, Options())
    assert report.status == "violations"
    assert report.counts == {"E225": 10_000, "E231": 5000, "E702": 5000} and report.total == 20_000
    assert report.suppressed == 1200
    assert len(report.findings) == 1000
    assert not any(finding.suppressed for finding in report.findings)


async def test_versions_stand_with_every_report(cell: Cell) -> None:
    for source in (b"", b"import os\n", b"\0"):
        report = await cell.check(source, Options())
        assert report.flake8.startswith("7.") and "pycodestyle: 2." in report.flake8
        assert report.python.startswith("CPython 3.")


async def test_the_line_of_a_finding_is_given_with_it(cell: Cell) -> None:
    report = await cell.check(b"x = 1\n\tif x == None: pass\n", Options())
    assert [finding.source for finding in report.findings] == ["\tif x == None: pass"]


async def test_the_imports_of_a_package_are_judged_like_flake8_does(cell: Cell, tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("import os\nfrom . import this  # noqa\n__all__ = ['gone']\n")
    (tmp_path / "other.py").write_text("import os\nfrom . import this  # noqa\n__all__ = ['gone']\n")
    for name in ("__init__.py", "other.py"):
        report = await cell.check((tmp_path / name).read_bytes(), Options(package=name == "__init__.py"))
        assert_same(report, flake8(tmp_path)[name], flake8(tmp_path, "--disable-noqa")[name])
