"""The servers that are measured, each a process of its own on one core; the load comes from another core."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.data import SECRET

ROOT = Path(__file__).resolve().parents[2]
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = {CORES[0]}, {CORES[-1]}
TICKS = os.sysconf("SC_CLK_TCK")

EMPTY = """
import asyncio, sys, uvloop
from aiohttp import web
async def main():
    async def empty(request):
        return web.json_response({})
    app = web.Application()
    app.router.add_get("/", empty)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("ready at http://127.0.0.1:%d" % runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""


@dataclass(frozen=True)
class Server:
    """A server that is measured."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of processor that it has used."""
        return sum(map(int, Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / TICKS

    def memory(self) -> int:
        """Bytes that it holds."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def _process(command: list[str], environ: dict[str, str], one_core: bool) -> Iterator[Server]:
    def pin() -> None:
        if one_core:
            os.sched_setaffinity(0, SERVER_CORE)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
                               env={**os.environ, **environ}, preexec_fn=pin)
    assert process.stdout is not None
    try:
        port = next(int(line.rpartition(":")[2]) for line in process.stdout if "ready at" in line)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@contextmanager
def empty_handler(one_core: bool = True) -> Iterator[Server]:
    """The baseline: aiohttp on uvloop with a handler that gives `web.json_response({})`."""
    with _process([sys.executable, "-c", EMPTY], {}, one_core) as server:
        yield server


@contextmanager
def foyer(database: Path | str, one_core: bool = True, program: Sequence[str] = ("run.py",),
          **environ: str) -> Iterator[Server]:
    """A Foyer on the database (a SQLite file, or the URL of a PostgreSQL), without limits."""
    given = {"FOYER_AUTH_SECRET": SECRET, "FOYER_AUTH_ACCESS_MINUTES": "600", "FOYER_LIMITS_ENABLED": "no",
             "FOYER_AUTH_BCRYPT_COST": "4", **environ}
    url = f"sqlite:{database}" if isinstance(database, Path) else database
    command = [sys.executable, *program, "serve", "--port", "0", "--database", url]
    with _process(command, given, one_core) as server:
        yield server
