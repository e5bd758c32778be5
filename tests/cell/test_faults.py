"""What goes wrong inside: a child that writes nonsense, too much or nothing, no fork, a parent with a fault."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pytest

from server.cell.child import NO_MEMORY, Limits
from server.cell.frames import FAILED, REPORT
from server.cell.verdict import judge
from server.providers import flake8
from server.providers.flake8 import Cell, CellGone, Options
from tests.cell.processes import MakeCell, children, parents
from tests.support import until

ROOT = Path(__file__).resolve().parents[2]
Broken = Callable[[str], Cell]
CHILD = "checking.Flake8.warm = lambda self: None\nchecking.Flake8.check = lambda self, source, options: "


@pytest.fixture
def broken(make_cell: MakeCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broken:
    """Makes a cell whose parent runs a line of code first."""
    def make(line: str) -> Cell:
        program = tmp_path / "program.py"
        program.write_text(f"import os, sys, time\nsys.path.append({str(ROOT)!r})\n"
                           f"from server.cell import checking, child, parent, verdict\n{line}\n"
                           "parent.main(sys.argv[1:])\n")
        monkeypatch.setattr(flake8, "_PROGRAM", program)
        return make_cell(seconds=1)
    return make


@pytest.mark.parametrize(("code", "reason"), [
    ("{'total': 0, 'counts': 7}", "flake8 gave a report that cannot be read"),
    ("{'total': object()}", "flake8 itself failed on this file"),
    ("1 / 0", "flake8 itself failed on this file"),
    ("sys.exit(0)", "flake8 itself failed on this file"),
    ("os._exit(0)", "flake8 itself failed on this file"),
    ("os.abort()", "flake8 crashed on this file (SIGABRT)"),
    ("os.write(3, bytes([0] * 7 + [9]) + b'{\"total\"') and os._exit(0)", "flake8 itself failed on this file"),
    ("{'counts': 'x' * 5_000_000}", "the report is larger than 4 MiB"),
    ("bytearray(2 ** 30)", "the check needed more memory than 512 MiB"),
    ("os.write(os.open('file', os.O_CREAT | os.O_WRONLY), b'x')", "flake8 itself failed on this file"),
    ("time.sleep(100)", "the check took longer than 2 s"),
])
async def test_a_child_that_fails_is_no_clean_file(broken: Broken, temp: Path, code: str, reason: str) -> None:
    cell = broken(CHILD + code)
    report = await cell.check(b"x = 1\n", Options())
    assert report.status == "error" and report.reason is not None and report.reason.startswith(reason)
    parent, = parents_of_any()
    await until(lambda: not children(parent))
    assert len([path for path in temp.rglob("*") if path.is_dir()]) == 1


async def test_a_fork_that_fails_says_nothing_of_the_file(broken: Broken, temp: Path) -> None:
    cell = broken("def no():\n    raise BlockingIOError(11, 'no more processes')\nos.fork = no")
    for _ in range(3):
        with pytest.raises(CellGone, match="no check could be started: no more processes"):
            await cell.check(b"x = 1\n", Options())
    assert len([path for path in temp.rglob("*") if path.is_dir()]) == 1


async def test_a_folder_that_was_removed_says_nothing_of_the_file_and_is_made_again(cell: Cell, temp: Path) -> None:
    await cell.check(b"", Options())
    folder, = temp.iterdir()
    folder.rmdir()
    with pytest.raises(CellGone, match="no check could be started"):
        await cell.check(b"x = 1\n", Options())
    await until(lambda: cell.describe()["state"] == "failing")
    assert (await cell.check(b"x = 1\n", Options())).status == "passed"


async def test_a_parent_with_a_fault_says_where(broken: Broken) -> None:
    cell = broken("del parent.remove_one")
    with pytest.raises(CellGone, match=r"its process failed: NameError in parent.py, line \d+"):
        await cell.check(b"x = 1\n", Options())
    await until(lambda: cell.describe()["state"] == "failing")


async def test_what_the_parent_inherited_is_closed(broken: Broken) -> None:
    cell = broken("for handle in (20, 200):\n    os.dup2(0, handle)\n" + CHILD
                  + "{'reason': ' '.join(os.listdir('/proc/self/fd'))}")
    report = await cell.check(b"x = 1\n", Options())
    assert report.reason == "0 1 2 3 4"  # 4 lists them


async def test_without_flake8_it_is_said(broken: Broken) -> None:
    cell = broken("sys.modules['server.cell.checking'] = None")
    with pytest.raises(CellGone, match="flake8 cannot be imported"):
        await cell.check(b"x = 1\n", Options())


def test_only_a_whole_report_counts() -> None:
    usage, limits = getrusage(RUSAGE_SELF), Limits(1000.0, 2 ** 20)
    whole = (2).to_bytes(8) + b"{}"
    assert judge(0, usage, whole, limits) == (REPORT, b"{}")
    for received in (b"", whole[:7], whole[:-1], whole + b" ", b"{}"):
        assert judge(0, usage, received, limits)[0] == FAILED
    for code in (1, 2, 255):
        assert judge(code << 8, usage, whole, limits)[0] == FAILED
    assert judge(NO_MEMORY << 8, usage, b"", limits)[1] == b"the check needed more memory than 1 MiB"


def parents_of_any() -> list[int]:
    """The parents, whatever program they run."""
    return parents() or children()
