"""The parent comes and goes: killed, stopped, cancelled, in a crowd; and nothing is left of it."""
from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from server.cell import frames
from server.providers import flake8
from server.providers.flake8 import Cell, CellGone, Options
from tests.cell.processes import SLOW, MakeCell, alive, children, folders, parents
from tests.support import until

CLEAN, BAD = b"x = 1\n", b"import os\n"


async def _both_run(pid: int | None = None) -> tuple[int, list[int]]:
    """The parent of a process (this one), and its two children once they run."""
    parent = (await until(lambda: parents(pid)))[0]
    return parent, await until(lambda: children(parent) if len(children(parent)) == 2 else None)


async def test_killing_the_parent_ends_the_children_and_the_next_check_works(cell: Cell, temp: Path) -> None:
    checks = [asyncio.create_task(cell.check(SLOW, Options())) for _ in range(5)]
    parent, running = await _both_run()
    os.kill(parent, signal.SIGKILL)
    # Those that it had heard of: two that ran, two that waited.
    outcomes = [await asyncio.wait({check}) for check in checks[:4]]
    assert all(isinstance(check.exception(), CellGone) for check in checks[:4]), outcomes
    await until(lambda: not any(map(alive, running)), 3)
    checks[4].cancel()
    await asyncio.wait(checks)
    assert (await cell.check(BAD, Options())).counts == {"F401": 1}
    assert parents() != [parent] and cell.describe() == {"state": "ready", "reason": "", "until": None}
    assert len(list(temp.iterdir())) == 1


async def test_a_parent_that_dies_idle_is_missed_before_it_is_needed(cell: Cell) -> None:
    await cell.check(CLEAN, Options())
    for _ in range(3):
        os.kill(parents()[0], signal.SIGKILL)
        await until(lambda: cell.describe()["state"] == "failing")
        assert cell.describe()["reason"] == "its process ended"
        assert (await cell.check(CLEAN, Options())).status == "passed"


async def test_killing_the_server_ends_everything(temp: Path) -> None:
    driver = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.cell.driver", str(temp))
    parent, running = await _both_run(driver.pid)
    driver.kill()
    await driver.wait()
    await until(lambda: not any(map(alive, [parent, *running])), 5)
    await until(lambda: not list(temp.iterdir()))


async def test_when_server_and_parent_are_killed_the_next_parent_cleans_up(make_cell: MakeCell, temp: Path) -> None:
    driver = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.cell.driver", str(temp))
    parent, running = await _both_run(driver.pid)
    os.kill(driver.pid, signal.SIGSTOP)
    os.kill(parent, signal.SIGKILL)
    driver.kill()
    await driver.wait()
    await until(lambda: not any(map(alive, [parent, *running])), 5)
    left, = temp.iterdir()
    await make_cell().check(CLEAN, Options())
    assert not left.exists()


async def test_a_hundred_checks_at_once_run_two_at_a_time(cell: Cell) -> None:
    checks = [asyncio.create_task(cell.check(b"x = %d \n" % number if number % 2 else CLEAN, Options()))
              for number in range(100)]
    most = 0

    def look() -> bool:
        nonlocal most
        most = max([most, *(len(children(parent)) for parent in parents())])
        return all(check.done() for check in checks)
    await until(look, 60)
    assert [check.result().status for check in checks] == ["passed", "violations"] * 50
    assert [check.result().findings[0].source for check in checks[1::2]] == [f"x = {n} " for n in range(1, 100, 2)]
    assert 1 <= most <= 2


async def test_a_cancelled_check_ends_its_child_and_no_other(cell: Cell) -> None:
    checks = [asyncio.create_task(cell.check(SLOW, Options())) for _ in range(2)]
    parent, running = await _both_run()
    waiting = [asyncio.create_task(cell.check(source, Options())) for source in (BAD, CLEAN)]
    waiting[1].cancel()
    checks[0].cancel()
    report = await waiting[0]  # it gets the place
    assert report.counts == {"F401": 1}
    await until(lambda: sum(map(alive, running)) == 1)
    checks[1].cancel()
    await asyncio.wait([*checks, *waiting])
    assert all(check.cancelled() for check in (*checks, waiting[1]))
    await until(lambda: not children(parent))
    assert (await cell.check(CLEAN, Options())).status == "passed" and parents() == [parent]


async def test_stopping_ends_checks_under_way_and_leaves_nothing(cell: Cell, temp: Path) -> None:
    checks = [asyncio.create_task(cell.check(SLOW, Options())) for _ in range(6)]
    parent, running = await _both_run()
    async with asyncio.timeout(5):
        await cell.stop()
    assert not any(map(alive, [parent, *running]))
    assert not list(temp.iterdir())
    for outcome in await asyncio.gather(*checks, return_exceptions=True):
        assert isinstance(outcome, CellGone)
    with pytest.raises(CellGone):
        await cell.check(CLEAN, Options())
    assert cell.describe()["state"] == "stopped"
    await cell.start()
    assert (await cell.check(CLEAN, Options())).status == "passed"


async def test_starting_does_not_wait_and_stopping_may_come_at_once(make_cell: MakeCell) -> None:
    for _ in range(3):
        cell = make_cell()
        await cell.start()
        await cell.stop()
    warm = make_cell()
    await warm.start()
    await until(parents)
    assert (await warm.check(CLEAN, Options())).status == "passed"
    assert len(parents()) == 1


async def test_many_parents_that_start_at_once_leave_each_other_alone(make_cell: MakeCell, temp: Path) -> None:
    reports = await asyncio.gather(*(make_cell().check(BAD, Options()) for _ in range(6)))
    assert [report.counts for report in reports] == [{"F401": 1}] * 6
    assert len(folders(temp)) == len(parents()) == 6


async def test_when_the_parent_cannot_be_started_it_is_said_and_tried_again(
        make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch, temp: Path) -> None:
    cell = make_cell()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(temp / "no-python"))
        with pytest.raises(CellGone, match="cannot be started: No such file"):
            await cell.check(CLEAN, Options())
        described = cell.describe()
        assert described["state"] == "failing" and "cannot be started" in str(described["reason"])
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(temp / "no-folder"))
        with pytest.raises(CellGone, match="no folder to work in"):
            await cell.check(CLEAN, Options())
    with monkeypatch.context() as patched:
        patched.setattr(flake8, "_PROGRAM", temp / "no-program.py")
        with pytest.raises(CellGone, match="its process ended"):
            await cell.check(CLEAN, Options())
        assert str(cell.describe()["until"]).endswith("Z")
    assert (await cell.check(CLEAN, Options())).status == "passed"
    assert cell.describe() == {"state": "ready", "reason": "", "until": None}


async def test_a_start_that_hangs_is_given_up(make_cell: MakeCell, monkeypatch: pytest.MonkeyPatch, temp: Path) -> None:
    hanging = temp / "hanging.py"
    hanging.write_text("import time\ntime.sleep(1000)\n")
    with monkeypatch.context() as patched:
        patched.setattr(flake8, "_PROGRAM", hanging)
        patched.setattr(flake8, "START_SECONDS", 0.3)
        patched.setattr(flake8, "STOP_SECONDS", 0.3)
        with pytest.raises(CellGone, match="does not get ready"):
            await make_cell().check(CLEAN, Options())
    hanging.unlink()


async def test_a_report_that_is_not_whole_is_none(cell: Cell) -> None:
    versions = flake8._Versions("7", "3", "")
    for body in (b"", b"{", b"null", b'{"total": 1}', b'{"total": "1"}', b'{"counts": {"E501": 1}}',
                 b'{"findings": [{}]}',
                 b'{"reason": null, "total": 0, "suppressed": 0, "counts": {}, "findings": []', b"\xff"):
        report = flake8._report(frames.REPORT, body, versions)
        assert (report.status, report.reason) == ("error", "flake8 gave a report that cannot be read")
