"""A server of the bot's own: another process on a temporary database, with stand-ins, gone afterwards."""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.core.errors import ConfigError

RUN = Path(__file__).resolve().parents[1] / "run.py"
READY = "Foyer is ready at "
STOP_SECONDS = 10


@contextmanager
def own_server() -> Iterator[str]:
    """The server's address, while it runs. Raises `ConfigError` when it does not start."""
    with tempfile.TemporaryDirectory(prefix="foyer-bot-") as folder:
        place = Path(folder)
        (place / "server.cfg").write_text("[sandbox]\nmode = on\n")
        with open(place / "log", "w+b") as log:
            process = subprocess.Popen(
                [sys.executable, str(RUN), "serve", "--config", str(place / "server.cfg"), "--host", "127.0.0.1",
                 "--port", "0", "--database", f"sqlite:{place / 'foyer.db'}"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "FOYER_SANDBOX_MODE": "on"}, start_new_session=True)
            try:
                yield _url(process, place / "log")
            finally:
                _stop(process)


def _url(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(READY):
            return line.removeprefix(READY).strip()
    process.wait()
    raise ConfigError(f"the bot's own server did not start: {log.read_text(errors='replace')[-2000:].strip()}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
