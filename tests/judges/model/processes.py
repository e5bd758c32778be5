"""The server of the model: a process on the loop of production, forked in a moment, that can be killed."""
from __future__ import annotations

import asyncio
import logging
import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

SECONDS = 30.0  # for a start or a stop; the usual is a tenth of a second
GIVEN = {"limits.enabled": "no", "enrichment.first_retry": "5 ms", "enrichment.longest_retry": "20 ms",
         "enrichment.attempts": "50"}
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.judges.model.preload"])


@dataclass
class Server:
    """A process that serves. `sandbox` is where its stand-ins are."""

    process: ForkServerProcess
    pipe: Connection
    url: str
    sandbox: str

    def kill(self) -> None:
        """`kill -9`; harmless when it is gone."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def stop(self) -> None:
        """A clean stop."""
        self.pipe.send("stop")
        self.process.join(SECONDS)
        assert self.process.exitcode == 0, self.process.exitcode


def start(folder: Path) -> Server:
    """A server on the database in this folder; it is there when this returns."""
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_run, args=(theirs, str(folder)), daemon=True)
    process.start()
    theirs.close()
    assert ours.poll(SECONDS), "the server did not start"
    return Server(process, ours, *ours.recv())


def complaints(folder: Path) -> list[str]:
    """The lines of the log that must not be there."""
    lines = (folder / "log").read_text(errors="replace").splitlines()
    return [line for line in lines if "Traceback" in line or line.startswith(("ERROR", "CRITICAL"))]


def _run(pipe: Connection, folder: str) -> None:
    import uvloop
    logging.basicConfig(filename=Path(folder) / "log", format="%(levelname)s %(name)s %(message)s")
    uvloop.run(_serve(pipe, Path(folder)))


async def _serve(pipe: Connection, folder: Path) -> None:
    from server.serve import running
    from tests.support import settings
    stop = asyncio.Event()
    # Also when our parent is gone: then the pipe ends.
    asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
    async with running(settings(folder, GIVEN)) as server:
        assert server.sandbox is not None
        pipe.send((server.url, server.sandbox.url))
        await stop.wait()
        asyncio.get_running_loop().remove_reader(pipe.fileno())
