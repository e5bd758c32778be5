"""A PostgreSQL that cannot be used: one line for the operator, never with the password."""
from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server import cli
from tests import postgres
from tests.storage.either import SECRET, busy, rows, run, start_once
from tests.storage.lived import files

PASSWORD = "s3cret/w0rd"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A database that no server uses."""
    return busy(tmp_path / "foyer.db")


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """The URL of a database whose server asks for a password."""
    if "FOYER_TEST_POSTGRES" in os.environ:
        pytest.skip("the server is somebody else's")
    rules = postgres.cluster().data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all guarded scram-sha-256\n{before}")
    postgres.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")
    postgres.execute("CREATE DATABASE guarded TEMPLATE template0 OWNER guarded")
    postgres.execute("SELECT pg_reload_conf()")
    yield f"postgresql://guarded:PASSWORD@/guarded?host={postgres.cluster().folder}"
    postgres.execute("DROP DATABASE guarded WITH (FORCE)")
    postgres.execute("DROP ROLE guarded")
    rules.write_text(before)
    postgres.execute("SELECT pg_reload_conf()")


def commands(url: str) -> Iterator[tuple[str, ...]]:
    """Every command that takes the URL of a database."""
    yield "check", "--database", url
    yield "backup", "kept.db", "--database", url
    yield "admin", "create", "ada", "ada@example.org", "--database", url
    yield "admin", "promote", "ada", "--database", url
    yield "copy", "--from", "sqlite:foyer.db", "--to", url
    yield "copy", "--from", url, "--to", "sqlite:back.db"


@pytest.fixture
def refuse(source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Every command must refuse the URL in one line, without a word of a password, and make nothing."""
    monkeypatch.chdir(source.parent)
    monkeypatch.setenv("FOYER_AUTH_SECRET", SECRET["FOYER_AUTH_SECRET"])
    monkeypatch.setattr(os, "nice", lambda by: by)

    def refused(url: str, says: str) -> None:
        before = files(source.parent)
        for command in commands(url):
            assert cli.main(command) == 2, command
            printed, said = capsys.readouterr()
            option = {"copy": command[command.index(url) - 1]}.get(command[0], "[database] url")
            assert printed == "" and said.startswith(f"foyer: {option}: ") and len(said.splitlines()) == 1, said
            assert says in said and not any(word in said for word in ("s3c", "w0rd", "wr0ng")), said
        assert files(source.parent) - before <= {"foyer.db.lock", "back.db.lock"}
    return refused


def test_a_wrong_password(guarded: str, refuse: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(guarded.replace("PASSWORD", "wr0ng"), "password authentication failed")
    monkeypatch.setenv("PGPASSWORD", "wr0ng")
    refuse(guarded.replace(":PASSWORD", ""), "password authentication failed")


def test_the_right_password_by_each_way(guarded: str, source: Path) -> None:
    postgres.execute("DROP DATABASE guarded WITH (FORCE)")
    postgres.execute("CREATE DATABASE guarded TEMPLATE template0 OWNER guarded")
    done = run("copy", "--from", "sqlite:foyer.db", "--to", guarded.replace("PASSWORD", "s3cret%2Fw0rd"),
               folder=source.parent)
    assert done.returncode == 0 and "w0rd" not in done.stdout + done.stderr
    for command in commands(guarded.replace(":PASSWORD", "")):
        done = run(*command, folder=source.parent, PGPASSWORD=PASSWORD, FOYER_AUTH_BCRYPT_COST="4")
        assert "authentication" not in done.stderr and "Traceback" not in done.stderr
        assert "w0rd" not in done.stdout + done.stderr
    assert rows(source.with_name("back.db"))["posts"] == rows(source)["posts"]


@pytest.mark.parametrize("url, says", [
    ("postgresql://u:s3cret@127.0.0.1:1/d", "Connect call failed"),
    ("postgresql://u:s3cret@nowhere.invalid/d", "cannot be reached"),
    ("postgresql://u:s3cret/w0rd@127.0.0.1/d", "%XX"), ("postgresql://u:s3c#s3cret@127.0.0.1/d", "%XX"),
    ("postgresql://u:s3cret@w0rd@127.0.0.1/d", "cannot be reached"), ("postgresql://u:s3cret@[::1/d", "%XX"),
    ("postgresql://u:s3cret@127.0.0.1:w0rd/d", "%XX"), ("postgresql://u:s3cret@127.0.0.1/d?sslmode=s3cret", "%XX")])
def test_nobody_is_there(refuse: Callable[..., None], url: str, says: str) -> None:
    refuse(url, says)


def test_there_is_no_such_database(refuse: Callable[..., None]) -> None:
    url = postgres.with_database(postgres.server_url(), "nothing").replace("foyer@", "foyer:s3cret@")
    refuse(url, 'database "nothing" does not exist')


def test_who_may_not_make_tables_is_told_so(guarded: str, source: Path) -> None:
    url = postgres.database_of(source.parent)
    theirs = postgres.with_database(guarded.replace(":PASSWORD", ""), url.partition("@/")[2].partition("?")[0])
    done = run("copy", "--from", "sqlite:foyer.db", "--to", theirs, folder=source.parent, PGPASSWORD=PASSWORD)
    assert done.returncode == 1 and done.stdout == "" and "permission denied for schema public" in done.stderr
    done = run("admin", "create", "ada", "ada@example.org", "--database", theirs, folder=source.parent,
               PGPASSWORD=PASSWORD)
    assert done.returncode == 2 and done.stdout == "" and "permission denied for schema public" in done.stderr
    asyncio.run(start_once(url))
    for right, says in (("USAGE ON SCHEMA public", "is not a Foyer database"), ("SELECT ON meta", "denied for table")):
        postgres.execute(f"GRANT {right} TO guarded", url)
        done = run("check", "--database", theirs, folder=source.parent, PGPASSWORD=PASSWORD)
        assert done.returncode == 2 and says in done.stderr and len(done.stderr.splitlines()) == 1
    postgres.execute("DROP OWNED BY guarded", url)
