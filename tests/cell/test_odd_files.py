"""Files that are no source, crash flake8 or Python, or look clean to flake8 and are not: the right verdict for each."""
from __future__ import annotations

import asyncio
import json
import time

import pytest

from server.providers.flake8 import Cell, Options, Report
from tests.cell.conftest import MEMORY
from tests.cell.processes import MakeCell, children, parents, peak_of
from tests.support import until

LARGEST = 256 * 1024
# Name, file, status, what stands in the reason or the codes.
ENCODINGS = [
    ("a NUL byte", b"x = 1\nx\0 = 1\n", "error", "line 2 contains a NUL byte"),
    ("UTF-16", "x = 1\n".encode("utf-16"), "error", "UTF-16"),
    ("UTF-16, the other way round", "\ufeffx = 1\n".encode("utf-16-be"), "error", "UTF-16"),
    ("UTF-16 without a mark", "x = 1\n".encode("utf-16-le"), "error", "NUL byte"),
    ("UTF-32", "x = 1\n".encode("utf-32"), "error", "UTF-32"),
    ("random bytes", bytes(range(250, 0, -1)) * 4, "error", "line 1 is not UTF-8"),
    ("Latin-1 that says nothing", b"x = 1\ny = '\xe9'\n", "error", "line 2 is not UTF-8"),
    ("Latin-1 that says so", b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "passed", ""),
    ("Latin-1 in the line that says so", b"# \xe9 coding: latin-1\nx = '\xe9'\n", "passed", ""),
    ("Windows-1251", "# coding: cp1251\nx = '\u0436'\n".encode("cp1251"), "passed", ""),
    ("not what it says", b"# coding: ascii\nx = '\xe9'\n", "error", "line 2 is not ascii"),
    ("an encoding nobody knows", b"# -*- coding: no-such-codec -*-\nx = 1\n", "error", "does not know: no-such-codec"),
    ("rot13", b"# -*- coding: rot13 -*-\nk = 1\n", "error", "not one of text: rot13"),
    ("hex", b"# -*- coding: hex -*-\n00\n", "error", "not one of text: hex"),
    ("zlib", b"# coding: zlib\n", "error", "not one of text: zlib"),
    ("undefined", b"# coding: undefined\nx = 1\n", "error", "not undefined"),
    ("UTF-16 in name only", b"# coding: utf-16\nx = 1\n", "error", "not utf-16"),
    ("UTF-7", b"# -*- coding: utf-7 -*-\n+ACI-\n", "violations", "E999"),
    ("a lone surrogate", b"# coding: unicode_escape\nx = '\\ud800'\n", "error", "lone surrogate"),
    ("a mark and another encoding", b"\xef\xbb\xbf# coding: latin-1\nx = 1\n", "error", "mark of UTF-8"),
    ("a mark", b"\xef\xbb\xbfx = 1\n", "passed", ""),
    ("nothing", b"", "passed", ""),
    ("CRLF", b"x = 1\r\ny = 2\r\n", "passed", ""),
    ("CR alone", b"x = 1\rimport os\r", "violations", "F401"),
    ("form feeds", b"\x0c\x0c\nx = 1\n", "passed", ""),
]
NESTED = [
    ("brackets", "(" * 150 + ")" * 150 + "\n", "violations", "E501"),
    ("open brackets", "[" * 100_000, "violations", "E999"),
    ("300 brackets", "x = " + "[" * 300 + "]" * 300 + "\n", "violations", "E999"),
    ("blocks", "".join(" " * depth + "if x:\n" for depth in range(105)) + " " * 105 + "pass\n", "violations", "E999"),
    ("unary", "x = " + "-" * 100_000 + "1\n", "error", "nested too deeply"),
    ("binary", "x = " + "+".join(["1"] * 20_000) + "\n", "error", "nested too deeply"),
    ("attributes", "x = a" + ".b" * 20_000 + "\n", "error", "nested too deeply"),
    ("600 calls", "x = a" + ".b()" * 600 + "\n", "error", "nested too deeply for flake8"),
    ("400 elif", "a = 1\nif a:\n    pass\n" + "elif a:\n    pass\n" * 400, "error", "nested too deeply"),
    ("3000 elif", "a = 1\nif a:\n    pass\n" + "elif a:\n    pass\n" * 3000, "error", "nested too deeply"),
    ("a big number", "x = " + "9" * 5000 + "\n", "violations", "E999"),
    ("f-strings", "x = f'" + "{f'" * 100 + "}'" * 100 + "'\n", "violations", "E999"),
]
REFUSED = [
    ("Python 2", "print 'hello'\n", "violations", "E999"),
    ("markup", "<script>alert(1)</script>\n=cmd|' /C calc'!A0\n", "violations", "E999"),
    ("silenced as a whole", "# flake8: noqa\nimport os,sys\nx=1;y=2\n", "passed", ""),
    ("silenced in the line", "import os  # noqa\n", "passed", ""),
    ("silenced, and no Python", "# flake8: noqa\nx = (\n", "error", "Python does not compile it"),
    ("silenced in the line, and no Python", "x = (  # noqa\n", "error", "Python does not compile it"),
    ("what flake8 does not see", "nonlocal x\n", "error", "nonlocal declaration not allowed"),
    ("what flake8 sees its own way", "return 1\n", "violations", "F706"),
]
# flake8 takes the square of its length for two of them.
LARGE = [
    ("a long line", "x = '" + "a" * (LARGEST - 10) + "'\n", "violations", "E501"),
    ("much bad style", "x=1;y=2\n" * (LARGEST // 8), "violations", "E702"),
    ("all on one line", "x=1;" * (LARGEST // 4) + "\n", "error", "took longer than"),
    ("much clean code", "x = 1\n" * (LARGEST // 6), "passed", ""),
    ("many names", "".join(f"import a{number}\n" for number in range(15_000)), "violations", "F401"),
    ("many open brackets in lines", "x = [\n" + "    (1, 2),\n" * 20_000 + "]\n", "passed", ""),
    ("one string", '"""' + "a \n" * 80_000 + '"""\n', "violations", "W291"),
    ("comments", "#:E501\n" * 30_000, "violations", "E265"),
    ("blanks", " " * 100_000 + "\n" + "\t" * 100_000 + "x\n", "error", "took longer than"),
    ("backslashes", "x = 1 + \\\n" * 20_000 + "    1\n", "violations", "E999"),
    ("a long logical line", "x = (1,\n" + "     2,\n" * 30_000 + "     3)\n", "passed", ""),
    ("a dictionary of operators", "x = {" + "1:2," * 60_000 + "}\n", "violations", "E231"),
]


def _judge(report: Report, status: str, told: str) -> None:
    assert report.status == status, report
    if status == "error":
        assert told in (report.reason or ""), report.reason
    else:
        assert report.reason is None
        assert not told or set(told.split()) & set(report.counts), report.counts


@pytest.mark.parametrize("files", [ENCODINGS, [(a, b.encode(), c, d) for a, b, c, d in NESTED + REFUSED]],
                         ids=["encodings", "nested and refused"])
async def test_odd_files_get_the_right_verdict(cell: Cell, files: list[tuple[str, bytes, str, str]]) -> None:
    wrong = []
    for name, source, status, told in files:
        report = await cell.check(source, Options())
        try:
            _judge(report, status, told)
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.long
async def test_large_hostile_files_end_in_time_and_within_their_memory(make_cell: MakeCell) -> None:
    cell = make_cell(seconds=15)
    await cell.check(b"", Options())
    parent, = parents()
    peaks: list[int] = []

    async def watched(source: bytes) -> Report:
        task = asyncio.create_task(cell.check(source, Options()))

        def look() -> bool:
            peaks.extend(peak_of(child) for child in children(parent))
            return task.done()
        await until(look, 60)
        return await task
    for name, text, status, told in LARGE:
        began = time.monotonic()
        report = await watched(text.encode())
        seconds = time.monotonic() - began
        print(f"{name}: {report.status} in {seconds:.1f} s, {report.total} findings, {max(peaks) >> 20} MiB so far")
        _judge(report, status, told)
        assert seconds < 31, name
    assert 0 < max(peaks) <= MEMORY
    await until(lambda: not children(parent))


async def test_what_comes_back_can_be_stored(cell: Cell) -> None:
    """No NUL, no lone surrogate, no control characters, nothing endless."""
    long = "n" * 2000
    report = await cell.check(f"x = '\x01\x1b[31m\x7f' ;\n{long}\ny = '{long}' ;\n".encode(), Options())
    assert report.status == "violations"
    for finding in report.findings:
        assert len(finding.text) <= 500 and len(finding.source) <= 500
        assert json.loads(json.dumps(finding.source)).isprintable()
    assert report.findings[0].source == "x = '\ufffd\ufffd[31m\ufffd' ;"
