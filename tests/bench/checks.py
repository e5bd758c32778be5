"""A check in the cell beside a cold `python -m flake8` of the same file of 60 lines, in turns in the same run.

`python -m tests.bench.checks [--rounds N] [--samples N]`. Targets: one check at most a quarter of a cold run, two at a
time at least 8 times as many a second as cold runs one after another, and the loop late by less than 20 ms (p99).
"""
from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from server.providers.flake8 import Cell, Options

EVERY = 0.002
MEMORY = 512 * 1024 * 1024
FUNCTION = '''

def number_{0}(first, second=None):
    """Adds up."""
    if second == None:
        second = {0}
    return first + second
'''
HEAD = '"""Sixty lines."""\nimport os\nimport sys\n\nprint(sys.path)\n'
SOURCE = HEAD + "".join(map(FUNCTION.format, range(7))) + "\n" * 6


def cold(file: Path) -> float:
    """Seconds of one run of `python -m flake8`."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-m", "flake8", "--isolated", "-j1", str(file)], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - begin


async def _one(cell: Cell) -> float:
    begin = time.perf_counter()
    report = await cell.check(SOURCE.encode(), Options())
    assert report.status == "violations" and report.counts["E711"] == 7, report
    return time.perf_counter() - begin


async def _throughput(cell: Cell, number: int) -> float:
    """Checks a second, as many at a time as the cell takes."""
    begin = time.perf_counter()
    await asyncio.gather(*(_one(cell) for _ in range(number)))
    return number / (time.perf_counter() - begin)


async def _ticking(late: list[float]) -> None:
    """Notes by how much the loop comes late."""
    while True:
        due = time.perf_counter() + EVERY
        await asyncio.sleep(EVERY)
        late.append(time.perf_counter() - due)


def _p(values: list[float], part: float) -> float:
    return 1000 * sorted(values)[int(len(values) * part)]


async def _measure(rounds: int, samples: int, file: Path) -> None:
    cell = Cell(30.0, MEMORY, 2)
    await _one(cell)
    single: list[float] = []
    several: list[float] = []
    late: list[float] = []
    for _ in range(rounds):
        runs = [cold(file) for _ in range(samples)]
        checks = [await _one(cell) for _ in range(samples)]
        ticking, round_late = asyncio.create_task(_ticking(late)), len(late)
        rate = await _throughput(cell, 10 * samples)
        ticking.cancel()
        single.append(statistics.median(checks) / statistics.median(runs))
        several.append(rate / (1 / statistics.mean(runs)))
        print(f"cold p50 {_p(runs, .5):.1f} ms; check p50 {_p(checks, .5):.1f} ms, p99 {_p(checks, .99):.1f} ms: "
              f"{single[-1]:.3f}; two at a time {rate:.0f}/s: {several[-1]:.1f} times; the loop is late by p99 "
              f"{_p(late[round_late:], .99):.1f} ms")
    await cell.stop()
    print(f"median: a check takes {statistics.median(single):.3f} of a cold run; two at a time do "
          f"{statistics.median(several):.1f} times as many; the loop is late by p50 {_p(late, .5):.2f} ms, "
          f"p99 {_p(late, .99):.2f} ms, max {1000 * max(late):.2f} ms")


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file.py"
        file.write_text(SOURCE)
        uvloop.run(_measure(given.rounds, given.samples, file))


if __name__ == "__main__":
    main()
