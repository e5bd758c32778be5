"""Real processes for the proofs: a server that can be killed, and a sandbox that outlives it."""
from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import database, variables

RUN = Path(__file__).resolve().parents[2] / "run.py"
READY = "Foyer is ready at "
SANDBOX_READY = "# The stand-ins are ready at "
SMTP_READY = "url = smtp"
START_SECONDS = 30.0


@dataclass
class Process:
    """A process of ours; `url` is where it answers."""

    handle: asyncio.subprocess.Process
    url: str = ""
    seconds: float = 0.0  # from its start to its being ready

    async def kill(self) -> None:
        """`kill -9`, and waits until it is gone."""
        if self.handle.returncode is None:
            self.handle.kill()
        await self.handle.communicate()

    async def line(self, sentence: str) -> str:
        """Waits for the line on stdout that begins so; the rest of it."""
        assert self.handle.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            async for line in self.handle.stdout:
                if line.decode().startswith(sentence):
                    return line.decode().removeprefix(sentence).strip()
        raise AssertionError(f"it ended with {await self.handle.wait()} before it was ready")

    async def terminate(self) -> int:
        """SIGTERM; the exit code."""
        if self.handle.returncode is None:
            self.handle.terminate()
        await self.handle.communicate()
        assert self.handle.returncode is not None
        return self.handle.returncode


async def spawn(*arguments: str, environ: Mapping[str, str] | None = None, log: Path | None = None) -> Process:
    """Starts `run.py` with these arguments; what it writes on stderr is added to `log`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOYER_")}
    with open(log or os.devnull, "ab") as stderr:
        return Process(await asyncio.create_subprocess_exec(
            sys.executable, str(RUN), *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=stderr, env={**kept, **(environ or {})}))


async def ready(process: Process, sentence: str, began: float) -> Process:
    """Waits for the line that tells the address."""
    process.url = await process.line(sentence)
    process.seconds = time.monotonic() - began
    return process


class Stage:
    """One database, the settings of its server, and the server of the moment."""

    def __init__(self, folder: Path, environ: Mapping[str, str], port: int = 0) -> None:
        self.file, self.log = folder / "foyer.db", folder / "log"
        self.environ = {**variables(database(folder)), "FOYER_AUTH_BCRYPT_COST": "4", "FOYER_LIMITS_ENABLED": "no",
                        "FOYER_ENRICHMENT_FIRST_RETRY": "50 ms", "FOYER_ENRICHMENT_LONGEST_RETRY": "200 ms",
                        "FOYER_ENRICHMENT_ATTEMPTS": "30", **environ}
        self.port = port
        self.starts: list[float] = []
        self.server: Process | None = None

    async def spawn(self) -> Process:
        """A server that may not be ready yet."""
        self.server = await spawn("serve", "--host", "127.0.0.1", "--port", str(self.port),
                                  environ=self.environ, log=self.log)
        return self.server

    async def start(self) -> Process:
        """A server that is ready."""
        began = time.monotonic()
        server = await ready(await self.spawn(), READY, began)
        self.starts.append(server.seconds)
        return server

    async def check(self) -> str:
        """Runs `run.py check`, which must find nothing; what it printed."""
        process = await spawn("check", environ=self.environ, log=self.log)
        printed, _ = await process.handle.communicate()
        assert process.handle.returncode == 0, printed.decode()
        return printed.decode().strip()

    def complaints(self) -> list[str]:
        """The lines of the log that must not be there: tracebacks, errors."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if "Traceback" in line or " error foyer" in line]


@asynccontextmanager
async def staged(folder: Path, environ: Mapping[str, str], port: int = 0) -> AsyncIterator[Stage]:
    """A stage whose last server is gone afterwards."""
    stage = Stage(folder, environ, port)
    try:
        yield stage
    finally:
        if stage.server is not None:
            await stage.server.kill()


@asynccontextmanager
async def sandbox(folder: Path) -> AsyncIterator[dict[str, str]]:
    """A sandbox in a process of its own: the settings that point a server at it."""
    began = time.monotonic()
    process = await ready(await spawn("sandbox", log=folder / "sandbox-log"), SANDBOX_READY, began)
    smtp = "smtp" + await process.line(SMTP_READY)
    try:
        yield {"FOYER_HUNTER_URL": f"{process.url}/hunter", "FOYER_HUNTER_API_KEY": "stand-in",
               "FOYER_CLEARBIT_URL": f"{process.url}/clearbit", "FOYER_CLEARBIT_API_SECRET": "stand-in",
               "FOYER_RANDOMDATA_URL": f"{process.url}/randomdata",
               "FOYER_MAIL_URL": smtp, "FOYER_MAIL_FIRST_RETRY": "50 ms", "FOYER_MAIL_LONGEST_RETRY": "200 ms"}
    finally:
        await process.terminate()


def stand_ins(environ: Mapping[str, str]) -> str:
    """Where the sandbox answers that these settings point at."""
    return environ["FOYER_HUNTER_URL"].removesuffix("/hunter")


def lasting_port() -> int:
    """A port that stays ours while nobody listens: below those that the system gives to outgoing connections."""
    for port in random.SystemRandom().sample(range(20_000, 30_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


async def pause(seconds: float) -> None:
    """Lets the load go on for a while: the chance in a schedule, never a way to wait for something."""
    try:
        await asyncio.wait_for(asyncio.Event().wait(), seconds)
    except TimeoutError:
        pass


def chance() -> random.Random:
    """The chance of a proof; FOYER_TEST_SEED plays the same again (as far as processes can)."""
    seed = int(os.environ.get("FOYER_TEST_SEED") or random.SystemRandom().randrange(10**9))
    print(f"seed {seed} (FOYER_TEST_SEED)")
    return random.Random(seed)


def cycles(default: int) -> int:
    """How often is killed; FOYER_TEST_CYCLES raises it."""
    return int(os.environ.get("FOYER_TEST_CYCLES") or default)


def median_and_most(seconds: list[float]) -> str:
    """Two numbers for a report, in milliseconds."""
    ordered = sorted(seconds)
    return f"p50 {1000 * ordered[len(ordered) // 2]:.0f} ms, max {1000 * ordered[-1]:.0f} ms"
