"""The command line, as a shell sees it."""
from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import cli

ROOT = Path(__file__).resolve().parents[1]
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("FOYER_")}


def command(*arguments: str, folder: Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run([sys.executable, str(ROOT / "run.py"), *arguments], capture_output=True, text=True,
                          timeout=30,
                          cwd=folder, env={**ENVIRON, **(environ or {})})


class Serving:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "run.py"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
            cwd=folder, env={**ENVIRON, "FOYER_AUTH_BCRYPT_COST": "4"})
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline().strip()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str, float]:
        """Sends the signal; exit code, the rest of stdout, stderr and the seconds that it took."""
        begin = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(20)
        seconds = time.monotonic() - begin
        assert self.process.stdout is not None and self.process.stderr is not None
        return code, self.process.stdout.read(), self.process.stderr.read(), seconds

    def close(self) -> None:
        """Ends it whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    started = Serving(tmp_path, "serve", "--port", "0", "--database", f"sqlite:{tmp_path / 'foyer.db'}")
    yield started
    started.close()


def test_help_is_quick(tmp_path: Path) -> None:
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        done = command("--help", folder=tmp_path)
        seconds.append(time.perf_counter() - begin)
        assert done.returncode == 0 and not done.stderr
        assert all(word in done.stdout for word in ("serve", "bot", "sandbox", "admin", "backup", "restore", "copy",
                                                    "check", "openapi", "asyncapi"))
    assert min(seconds) < 0.5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_that_it_is_ready_and_stops_clean(serving: Serving, tmp_path: Path, number: int) -> None:
    assert serving.ready.startswith("Foyer is ready at http://127.0.0.1:")
    url = serving.ready.removeprefix("Foyer is ready at ")
    with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
        assert json.load(answer)["data"]["status"] == "ready"
    code, out, err, seconds = serving.end(number)
    assert code == 0 and seconds < 10
    assert len(out.splitlines()) == 1 and "Stand-ins are in use for Hunter, Clearbit, Randomdata and Mail" in out
    assert "Traceback" not in err and "stand-ins are in use" in err
    key = tmp_path / "foyer.key"
    assert key.stat().st_mode & 0o777 == 0o600
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("foyer.db*"))
    assert key.read_bytes().strip() not in stored and key.read_text().strip() not in err + out


def test_it_stops_though_somebody_is_still_connected(serving: Serving) -> None:
    host, _, port = serving.ready.rpartition("/")[2].rpartition(":")
    with socket.create_connection((host, int(port))) as silent, socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 9\r\n\r\n{")
        code, _, err, seconds = serving.end()
        assert code == 0 and seconds < 10 and silent.fileno() > 0
    assert "Traceback" not in err


def test_a_database_serves_one_at_a_time(serving: Serving, tmp_path: Path) -> None:
    done = command("serve", "--port", "0", "--database", f"sqlite:{tmp_path / 'foyer.db'}", folder=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "in use by another" in done.stderr
    assert serving.end()[0] == 0


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("--port", port, "--database", f"sqlite:{tmp_path / 'foyer.db'}", folder=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (f"foyer: [server] port: cannot listen on 127.0.0.1:{port}: it is in use; "
                           "expected another port, or --port 0 for a free one\n")
    assert {path.name for path in tmp_path.iterdir()} == {"foyer.db.lock"}  # nothing was made for nothing


@pytest.mark.parametrize("host", ["203.0.113.7", "not a host", "..", "::ffff:0:0:0:1"])
def test_a_host_that_is_not_of_this_machine(tmp_path: Path, host: str) -> None:
    done = command("--host", host, "--port", "0", "--database", f"sqlite:{tmp_path / 'foyer.db'}", folder=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("foyer: [server] host: cannot listen on ") and host in done.stderr
    assert done.stderr.endswith("; expected an address of this machine\n") and "port:" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"foyer.db.lock"}


@pytest.mark.parametrize("arguments", [(), ("openapi",), ("bot", str(ROOT / "config" / "bot.cfg")), ("check",)])
def test_outside_of_its_environment_it_says_how_to_make_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-S", str(ROOT / "run.py"), *arguments], capture_output=True, text=True,
                          timeout=30, cwd=tmp_path, env=ENVIRON)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert re.match(rf"foyer: {re.escape(sys.executable)} has no package \w+; expected an environment", done.stderr)
    assert done.stderr.endswith(": python3 -m venv .venv && .venv/bin/pip install -r requirements.txt\n")


def test_a_module_of_its_own_that_is_missing_is_a_fault() -> None:
    def broken(_: object) -> int:
        raise ModuleNotFoundError("No module named 'server.lost'", name="server.lost")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ModuleNotFoundError):
        patch.setattr(cli, "_check", broken)
        cli.main(["check"])


def test_without_a_command_it_serves_and_reads_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "server.cfg").write_text("[server]\nport = 0\n[sandbox]\nmode = off\n")
    started = Serving(tmp_path)
    try:
        assert started.ready.startswith("Foyer is ready at ")
        code, out, _, _ = started.end()
        assert (code, out) == (0, "") and (tmp_path / "foyer.db").exists()
    finally:
        started.close()


USELESS: list[tuple[str, ...]] = [
    ("nonsense",), ("serve", "--nonsense"), ("serve", "--port"), ("bot",), ("sandbox", "--port", "x"), ("check", "x"),
    ("serve", "--port", "x"), ("serve", "--port", "65536"), ("serve", "--host", "not a host", "--port", "0"),
    ("serve", "--config", "missing.cfg"), ("serve", "--database", "mysql://x"),
    ("serve", "--database", "postgresql://u:pa55@h/d"),
    ("check", "--database", "sqlite:missing.db"), ("openapi", "--config", "missing.cfg"),
    ("asyncapi", "--config", "missing.cfg"), ("bot", "missing.cfg"),
    ("serve", "--port", "0", "--database", "sqlite:missing/folder/foyer.db"),
    ("admin",), ("admin", "create", "ada"), ("admin", "promote"), ("admin", "nonsense", "ada"),
    ("admin", "create", "ada", "ada@example.org", "--database", "sqlite:missing/folder/foyer.db"),
    ("admin", "demote", "ada"), ("backup",), ("backup", "kept.db"), ("restore",), ("restore", "kept.db"),
]


@pytest.mark.parametrize("arguments", USELESS, ids=" ".join)
def test_what_cannot_be_used_ends_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = command(*arguments, folder=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr and "Traceback" not in done.stderr and "pa55" not in done.stderr


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "own.cfg").write_text("[limits]\nsignup = often\n")
    done = command("serve", "--config", "own.cfg", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "foyer: own.cfg: [limits] signup: expected a rate such as 10/hour or 5/15 minutes\n"
    for name, value in (("FOYER_SERVER_PORT", "x"), ("FOYER_SERVER_NONSENSE", "1")):
        done = command("openapi", folder=tmp_path, environ={name: value})
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and name in done.stderr
    assert not list(tmp_path.glob("foyer*"))


@pytest.mark.parametrize("way", ["command line", "environment", "file", "file beside it"])
def test_each_command_finds_the_database_by_each_way(tmp_path: Path, way: str) -> None:
    (tmp_path / "config").mkdir()
    place = {"file": tmp_path / "own.cfg", "file beside it": tmp_path / "config" / "server.cfg"}.get(way)
    if place is not None:
        place.write_text("[database]\nurl = sqlite:other.db\n[auth]\nbcrypt_cost = 4\n")
    given = {"command line": ("--database", "sqlite:other.db"), "file": ("--config", "own.cfg")}.get(way, ())
    environ = {"FOYER_AUTH_BCRYPT_COST": "4"} | ({"FOYER_DATABASE_URL": "sqlite:other.db"} if "env" in way else {})
    for arguments in (("admin", "create", "ada", "ada@example.org"), ("admin", "demote", "ada"),
                      ("admin", "promote", "ada"), ("check",), ("backup", "kept.db"),
                      ("restore", "kept.db", "--force")):
        done = command(*arguments, *given, folder=tmp_path, environ=environ)
        assert done.returncode == 0 and "Traceback" not in done.stderr, (arguments, done.stderr)
    assert (tmp_path / "other.db").exists() and not (tmp_path / "foyer.db").exists()


def test_the_openapi_document_is_printed_and_nothing_is_made(tmp_path: Path) -> None:
    done = command("openapi", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["openapi"] == "3.1.0"
    assert {"/api/signup", "/api/posts/{id}/like", "/readyz", "/api/openapi.json"} <= set(document["paths"])
    assert list(tmp_path.iterdir()) == []


def test_the_printed_document_is_the_served_one(serving: Serving, tmp_path: Path) -> None:
    url = serving.ready.removeprefix("Foyer is ready at ")
    with urllib.request.urlopen(f"{url}/api/openapi.json", timeout=5) as answer:
        served = json.load(answer)
    assert served == json.loads(command("openapi", folder=tmp_path).stdout)


def test_the_asyncapi_document_is_printed_and_is_the_served_one(serving: Serving, tmp_path: Path) -> None:
    done = command("asyncapi", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    url = serving.ready.removeprefix("Foyer is ready at ")
    with urllib.request.urlopen(f"{url}/api/asyncapi.json", timeout=5) as answer:
        served = json.load(answer)
    assert {server["host"] for server in served["servers"].values()} == {url.removeprefix("http://")}
    printed = json.loads(done.stdout)
    assert printed["asyncapi"] == "3.0.0" and {**served, "servers": None} == {**printed, "servers": None}


def test_the_stand_ins_alone(tmp_path: Path) -> None:
    started = Serving(tmp_path, "sandbox")
    try:
        assert started.ready
        assert started.end()[0] == 0
    finally:
        started.close()
