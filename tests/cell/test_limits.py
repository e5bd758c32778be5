"""What a child may use: time, memory, files, and what ends it."""
from __future__ import annotations

import asyncio
import os
import resource
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from server.providers.flake8 import Cell, Options, Report
from tests.cell.processes import SLOW, MakeCell, alive, children, files_of, folders, limits_of, parents
from tests.support import until

CLEAN = b"x = 1\n"


async def _child(of: int | None = None) -> int:
    """The child of the parent, once it has limited itself."""
    parent = of or (await until(parents))[0]
    found = await until(lambda: [pid for pid in children(parent) if limits_of(pid)["Max file size"][0] == "0"])
    return int(found[0])


async def _busy(cell: Cell) -> tuple[asyncio.Task[Report], int]:
    """A check that takes long, and its child."""
    task = asyncio.create_task(cell.check(SLOW, Options()))
    return task, await _child()


async def test_cpu_time_is_limited(make_cell: MakeCell) -> None:
    """The limit of a child that runs is lowered, because on a busy machine the clock could end it first."""
    task, child = await _busy(make_cell(seconds=30))
    resource.prlimit(child, resource.RLIMIT_CPU, (1, 2))
    report = await task
    assert (report.status, report.reason) == ("error", "the check took longer than 30 s of CPU")
    assert not report.findings and not report.total


async def test_time_by_the_clock_is_limited(make_cell: MakeCell) -> None:
    task, child = await _busy(make_cell(seconds=1))
    os.kill(child, signal.SIGSTOP)
    began = time.monotonic()
    report = await task
    assert (report.status, report.reason) == ("error", "the check took longer than 2 s")
    assert time.monotonic() - began < 10
    assert not alive(child)


async def test_memory_is_limited(make_cell: MakeCell) -> None:
    cell = make_cell(memory=80 * 1024 * 1024)
    report = await cell.check(SLOW, Options())
    assert report.status == "error" and report.reason is not None and "memory" in report.reason, report
    assert (await cell.check(CLEAN, Options())).status == "passed"


async def test_a_child_that_is_killed_is_no_clean_file(cell: Cell) -> None:
    for number, reason in ((signal.SIGKILL, "the check was killed"), (signal.SIGTERM, "the check was killed"),
                           (signal.SIGSEGV, "flake8 crashed on this file (SIGSEGV)"),
                           (signal.SIGXCPU, "the check took longer than 30 s of CPU")):
        task, child = await _busy(cell)
        os.kill(child, number)
        report = await task
        assert (report.status, report.reason) == ("error", reason)
    assert (await cell.check(CLEAN, Options())).status == "passed"


async def test_a_child_has_nothing_but_its_pipe_and_an_empty_folder(cell: Cell, temp: Path) -> None:
    task, child = await _busy(cell)
    parent, = parents()
    os.kill(child, signal.SIGSTOP)
    folder = Path(f"/proc/{child}/cwd").readlink()
    assert folder.parent.parent == temp and not list(folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    files = files_of(child)
    assert {files[0], files[1], files[2]} == {"/dev/null"} and files[3].startswith("pipe:") and len(files) == 4
    assert os.getpgid(child) == child != os.getpgid(parent) == parent == os.getsid(child)
    assert os.getpriority(os.PRIO_PROCESS, child) > os.getpriority(os.PRIO_PROCESS, 0)
    environ = Path(f"/proc/{child}/environ").read_bytes()
    assert not [name for name in environ.split(b"\0") if name and not name.startswith((b"LD_", b"LC_"))]
    os.kill(child, signal.SIGCONT)
    task.cancel()
    await asyncio.wait({task})


async def test_the_limits_of_a_child(make_cell: MakeCell) -> None:
    task, child = await _busy(make_cell(seconds=2.5, memory=300 * 1024 * 1024))
    limits = await until(lambda: limits_of(child) if limits_of(child)["Max core file size"][0] == "0" else None)
    assert limits["Max cpu time"] == ("3", "4")
    assert limits["Max address space"] == (str(300 * 1024 * 1024),) * 2
    for name in ("Max file size", "Max processes", "Max core file size"):
        assert limits[name] == ("0", "0"), name
    assert int(limits["Max open files"][1]) <= 16
    await until(lambda: "NoNewPrivs:\t1" in Path(f"/proc/{child}/status").read_text())
    task.cancel()
    await asyncio.wait({task})


async def test_settings_of_flake8_lying_about_have_no_effect(cell: Cell, temp: Path, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in ("PYTHONPATH", "HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(work))
    for place in (work, temp):
        for file in (".flake8", "setup.cfg", "tox.ini"):
            (place / file).write_text("[flake8]\nignore = E,F,W\nmax-line-length = 500\n[flake8:local-plugins]\n"
                                      "extension =\n    X = evil:Plugin\npaths = .\n")
        for file in ("evil.py", "usercustomize.py", "sitecustomize.py", "pyflakes.py", "ast.py"):
            (place / file).write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\nclass Plugin:\n    pass\n")
    report = await cell.check(b"import os\n", Options())
    assert report.counts == {"F401": 1}
    assert not (tmp_path / "mark").exists()
    assert len(list(work.iterdir())) == 8


async def test_what_a_killed_parent_left_is_removed_and_nothing_else(make_cell: MakeCell, temp: Path) -> None:
    (temp / "foyer-cell-old" / "7").mkdir(parents=True)
    (temp / "foyer-cell-file").write_text("not a folder")
    (temp / "elsewhere").mkdir()
    (temp / "foyer-cell-link").symlink_to(temp / "elsewhere")
    one, other = make_cell(), make_cell()
    await one.check(CLEAN, Options())
    assert not (temp / "foyer-cell-old").exists()
    await other.check(CLEAN, Options())
    assert (await one.check(CLEAN, Options())).status == "passed"  # its folder was not taken for a left one
    assert len(folders(temp)) == 2
    assert (temp / "elsewhere").is_dir() and (temp / "foyer-cell-file").exists()


async def test_the_uploaded_code_never_runs_and_never_reaches_the_disk(cell: Cell, temp: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    marked = f"open({str(mark)!r}, 'w').close()\n# {'unmistakable' * 3}\n".encode()
    task = asyncio.create_task(cell.check(marked + SLOW, Options()))
    await _child()
    found = subprocess.run(["grep", "-r", "unmistakableunmistakable", str(temp)], capture_output=True)
    assert not found.stdout
    task.cancel()
    await asyncio.wait({task})
    assert (await cell.check(marked, Options())).reason is None
    assert not mark.exists()
