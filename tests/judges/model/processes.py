"""The server of the model: a process on the loop of production, forked in a moment, that can be killed."""
from __future__ import annotations

import asyncio
import logging
import multiprocessing
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from tests.support import database

SECONDS = 30.0  # for a start or a stop; the usual is a tenth of a second
GIVEN = {"limits.enabled": "no", "enrichment.first_retry": "5 ms", "enrichment.longest_retry": "20 ms",
         "enrichment.attempts": "50"}
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.judges.model.preload"])


class Server:
    """A process that serves the database in a folder. `url` and `sandbox` are there when it is `ready`."""

    def __init__(self, folder: Path) -> None:
        self.url = self.sandbox = ""
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_run, args=(theirs, str(folder), database(folder)), daemon=True)
        self._process.start()
        theirs.close()

    def ready(self) -> None:
        """Waits until it accepts connections."""
        assert self._pipe.poll(SECONDS), "the server did not start"
        self.url, self.sandbox = self._pipe.recv()

    def kill(self) -> None:
        """`kill -9`; harmless when it is gone."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def stop(self) -> None:
        """A clean stop."""
        self._pipe.send("stop")
        self._process.join(SECONDS)
        assert self._process.exitcode == 0, self._process.exitcode


class Place:
    """A folder for a database, and the server that is being started on it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="foyer-model-")
        self.server = Server(self.folder)

    @property
    def folder(self) -> Path:
        """Where the database lies."""
        return Path(self._folder.name)

    def start_again(self) -> None:
        """Another server, now that the one before has ended."""
        self.server = Server(self.folder)

    def clear(self) -> None:
        """Nothing stays."""
        self.server.kill()
        self._folder.cleanup()


class Places:
    """Hands out places. The next one is prepared while the one before is in use, on the core that is free then."""

    def __init__(self) -> None:
        self._next: Place | None = None

    def take(self) -> Place:
        """A place with a server that is ready."""
        place, self._next = self._next or Place(), Place()
        place.server.ready()
        return place

    def close(self) -> None:
        """Clears the one that nobody has taken."""
        if self._next is not None:
            self._next.clear()
            self._next = None


def complaints(folder: Path) -> list[str]:
    """The lines of the log that must not be there."""
    lines = (folder / "log").read_text(errors="replace").splitlines()
    return [line for line in lines if "Traceback" in line or line.startswith(("ERROR", "CRITICAL"))]


def _run(pipe: Connection, folder: str, given: dict[str, str]) -> None:
    import uvloop
    from server.accounts import recovery
    recovery.SOONEST, recovery.LATEST = 1, 5  # milliseconds: the model waits for every letter
    logging.basicConfig(filename=Path(folder) / "log", format="%(levelname)s %(name)s %(message)s")
    uvloop.run(_serve(pipe, Path(folder), given))


async def _serve(pipe: Connection, folder: Path, given: dict[str, str]) -> None:
    from server.serve import running
    from tests.support import settings
    stop = asyncio.Event()
    # Also when our parent is gone: then the pipe ends.
    asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
    async with running(settings(folder, {**GIVEN, **given})) as server:
        assert server.sandbox is not None
        pipe.send((server.url, server.sandbox.url))
        await stop.wait()
        asyncio.get_running_loop().remove_reader(pipe.fileno())
