"""Runs the examples of a page as a reader would, against a server that was started for that page."""
from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import ROOT
from tests.support import ON_POSTGRES, database, variables

SECONDS = 60
# A call that is refused fails the example: what is written down must work. One that does not end by itself (-N, for a
# stream) is ended; that is curl's exit code 28.
_BEGIN = """\
set -euo pipefail
curl() {
  local code=0 seconds=30
  [[ " $* " != *" -N "* ]] || seconds=2
  command curl --fail-with-body --no-progress-meter --max-time $seconds "$@" || code=$?
  [[ $code = 0 || ( $code = 28 && $seconds = 2 ) ]]
}
"""
# What a page may take from the tutorial.
_SIGN_UP = """\
TOKEN=$(curl {url}/api/signup -d 'username=reader&email=reader@example.org&password=corr3ct-horse' |
  python -c 'import json, sys; print(json.load(sys.stdin)["data"]["access_token"])')
"""


@dataclass
class Live:
    """A server of the reader's own, in a folder that looks like a clone after the first command of the README."""

    folder: Path
    process: subprocess.Popen[str]
    url: str
    stand_ins: str

    def adapted(self, text: str) -> str:
        """The example with this server's addresses in the place of those of the page."""
        address = self.url.removeprefix("http://")
        text = re.sub(r"(?:127\.0\.0\.1|localhost):8080", address, text)
        return text.replace("http://127.0.0.1:PORT", self.stand_ins)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the folder."""
        return subprocess.run(command, cwd=self.folder, env=environment(self.folder), capture_output=True, text=True,
                              timeout=SECONDS, stdin=subprocess.DEVNULL)

    def shell(self, text: str) -> subprocess.CompletedProcess[str]:
        """Runs shell lines."""
        begin = _BEGIN + (_SIGN_UP.format(url=self.url) if "$TOKEN" in text and "TOKEN=" not in text else "")
        if "@hello.py" in text:  # the reader's own, from the tutorial
            (self.folder / "hello.py").write_text('print("Hello")\n', encoding="utf-8")
        (self.folder / "example.sh").write_text(begin + self.adapted(text), encoding="utf-8")
        return self.run("bash", "example.sh")

    def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends the server as hard as one likes, and starts it again at the same address."""
        _end(self.process, number)
        self.process, self.url, self.stand_ins = _start(self.folder, self.url.rpartition(":")[2])


def environment(folder: Path) -> dict[str, str]:
    """A reader's: nothing set beforehand, but cheap password hashes, and our Python by its usual names. When the tests
    run on PostgreSQL, the reader does, too."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOYER_")}
    path = f"{Path(sys.executable).parent}:{kept.get('PATH', '')}"
    where = variables(database(folder)) if ON_POSTGRES else {}
    return {**kept, **where, "PATH": path, "PYTHONPATH": str(ROOT), "FOYER_AUTH_BCRYPT_COST": "4",
            "PYTHONUNBUFFERED": "1"}


@contextmanager
def live(folder: Path) -> Iterator[Live]:
    """A running server; stopped at the end."""
    for name in ("run.py", "config", "schema.sql"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    server = Live(folder, *_start(folder, "0"))
    try:
        yield server
    finally:
        _end(server.process, signal.SIGTERM)


def _start(folder: Path, port: str) -> tuple[subprocess.Popen[str], str, str]:
    with open(folder / "server.log", "a", encoding="utf-8") as log:
        process = subprocess.Popen([sys.executable, "run.py", "--port", port], cwd=folder, env=environment(folder),
                                   stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline(), process.stdout.readline()]
    urls = [re.search(r"http://[\d.]+:\d+", line) for line in lines]
    assert urls[0] and urls[1], (lines, (folder / "server.log").read_text())
    return process, urls[0][0], urls[1][0]


def _end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    assert process.wait(15) in (0, -number)
    assert process.stdout is not None
    process.stdout.close()
