"""`copy`: everything that one database holds stands in the other one, or nothing does."""
from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.core.errors import CommandFailed, ConfigError
from server.storage import copying, inspection, schema, tables
from server.storage.connection import sqlite
from server.storage.inspection import Place
from server.storage.lock import only_one
from server.storage.postgres import open_postgres
from server.storage.restore import LOST_IDS
from server.storage.tables import declared
from tests.postgres import asked
from tests import postgres
from tests.proofs.processes import RUN, chance, pause, spawn
from tests.storage.either import (
    NUMBERED, REMEMBERS, busy, copy, epoch_of, is_blank, many, next_ids, rows, run, start_once,
)
from tests.storage.filled import SMALL
from tests.storage.lived import epoch, files, lived, value
from tests.support import until

KILLS = 6


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A database that no server uses."""
    return busy(tmp_path / "foyer.db")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty PostgreSQL database."""
    return postgres.database_of(tmp_path)


# -- the tables

def test_each_table_is_known_with_its_columns_and_its_key(source: Path, url: str) -> None:
    """As both databases have them: a table that is new in schema.sql is copied without a word more."""
    copy(source, url)
    with inspection.opened(source) as raw:
        columns = {name: raw.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall() for name in rows(
            source)}
    assert {table.name: table.columns for table in tables.tables()} == {
        name: tuple(column["name"] for column in found) for name, found in columns.items()}
    assert {table.name: table.key for table in tables.tables()} == {
        name: tuple(column["name"] for column in sorted(found, key=lambda column: int(column["pk"])) if column["pk"])
        for name, found in columns.items()}
    sequences = asked(url, lambda connection: connection.fetch("SELECT sequencename FROM pg_sequences"))
    assert {f"{table.name}_id_seq" for table in tables.tables() if table.numbered} == {row[0] for row in sequences}
    assert {table.name for table in tables.tables() if table.numbered} == set(NUMBERED)
    assert {table.name for table in tables.tables() if table.remembers} == set(REMEMBERS)


def test_a_table_stands_behind_those_that_it_points_at(source: Path) -> None:
    seen: set[str] = set()
    with inspection.opened(source) as raw:
        for table in tables.tables():
            assert {row["table"] for row in raw.execute(f"PRAGMA foreign_key_list({table.name})")} <= seen, table.name
            seen.add(table.name)


@pytest.mark.parametrize("statement", [
    "CREATE TABLE t (\n    id INTEGER\n);", "CREATE TABLE t (\n    id REAL\n) STRICT;",
    "CREATE TABLE t (\n    id INTEGER,\n    UNIQUE (id)\n) STRICT;", "CREATE TABLE t (id INTEGER) STRICT;"])
def test_what_is_declared_in_another_way_is_not_passed_over(statement: str) -> None:
    with pytest.raises(ValueError):
        declared(statement)


def test_texts_are_sorted_by_their_bytes_everywhere() -> None:
    for table in tables.tables():
        for name in table.key:
            assert (f'{name} /* postgres: COLLATE "C" */' in table.read) == (name in table.texts)
    assert {name for table in tables.tables() for name in table.key if name in table.texts} >= {"name", "scope"}


# -- everything is there

def test_to_postgresql_and_back(source: Path, url: str) -> None:
    before, back = rows(source), source.with_name("back.db")
    there = copy(source, url)
    assert rows(url) == before
    here = copy(url, back)
    assert rows(back) == before == rows(source)
    assert len({epoch(source), epoch_of(url), epoch(back)}) == 3
    # All but `meta`, which has another epoch by then.
    assert there[1:] == here[1:] and len(there) == len(tables.tables())
    assert inspection.look(back, inspection.faults) == []
    assert back.stat().st_mode & 0o777 == 0o600
    assert files(source.parent) == {"foyer.db", "foyer.db.lock", "back.db", "back.db.lock"}


def test_between_two_of_a_kind(source: Path, url: str, tmp_path: Path) -> None:
    other = postgres.database_of(tmp_path / "other")
    copy(source, source.with_name("second.db"))
    copy(source.with_name("second.db"), url)
    copy(url, other)
    assert rows(source.with_name("second.db")) == rows(url) == rows(other) == rows(source)


def test_more_rows_than_a_batch(tmp_path: Path, url: str) -> None:
    source = many(tmp_path / "many.db")
    before = rows(source)
    assert len(before["events"]) > copying.BATCH and {name for name, found in before.items() if not found} < set(SMALL)
    copy(source, url)
    assert rows(url) == before
    copy(url, tmp_path / "back.db")
    assert rows(tmp_path / "back.db") == before


def test_what_is_in_the_log_alone_is_copied(source: Path, url: str) -> None:
    with inspection.opened(source) as raw:
        raw.execute("PRAGMA wal_autocheckpoint=0").fetchall()
        raw.execute("UPDATE users SET title = 'Countess' WHERE id = 1")
        copy(source, url)
    assert asked(url, lambda connection: connection.fetchval("SELECT title FROM users WHERE id = 1")) == "Countess"


def test_no_id_is_given_a_second_time(source: Path, url: str) -> None:
    """Not even one of what is gone; and the source may be an old backup, so that the next ones are far away."""
    last = {name: value(source, f"SELECT max(id) FROM {name}") for name in NUMBERED}
    last |= {name: value(source, f"SELECT seq FROM sqlite_sequence WHERE name = '{name}'")
             for name in REMEMBERS}
    assert last["users"] == 4 and last["posts"] == 12 and value(source, "SELECT max(id) FROM posts") == 6
    copy(source, url)
    copy(url, source.with_name("back.db"))
    back, there = next_ids(source.with_name("back.db")), next_ids(url)
    assert there == {name: last[name] + LOST_IDS + 1 for name in NUMBERED}
    for name in REMEMBERS:
        assert back[name] == there[name] - 1 + LOST_IDS + 1
    # The newest is gone before the next copy.
    postgres.execute("DELETE FROM posts WHERE title = 't'", url)
    copy(url, source.with_name("other.db"))
    assert value(source.with_name("other.db"), "SELECT seq FROM sqlite_sequence WHERE name = 'posts'") \
        == there["posts"] + LOST_IDS


def test_ids_of_what_the_source_knows_nothing_of_are_not_given_again(tmp_path: Path, url: str) -> None:
    empty = lived(tmp_path / "foyer.db")
    copy(empty, url)
    copy(url, tmp_path / "back.db")
    assert rows(url) == rows(empty) == rows(tmp_path / "back.db")
    assert value(tmp_path / "back.db", "SELECT min(seq) FROM sqlite_sequence") == 2 * LOST_IDS


def test_what_is_left_in_an_empty_one_does_not_stay(source: Path, url: str) -> None:
    """A server that was started once and whom nobody has joined has its schedules and jobs."""
    target = lived(source.with_name("back.db"))
    left = "INSERT INTO schedules (name, every_ms, next_at) VALUES ('left', 1, 1)"
    asyncio.run(start_once(url))
    postgres.execute(left, url)
    with inspection.opened(target) as raw:
        raw.execute(left)
    before = epoch_of(url), epoch(target)
    copy(source, url)
    copy(source, target)
    assert rows(url) == rows(source) == rows(target)
    assert epoch_of(url) != before[0] and epoch(target) != before[1]
    asyncio.run(start_once(url))


def test_the_command_tells_what_each_table_comes_to(source: Path, url: str) -> None:
    done = run("copy", "--from", "sqlite:foyer.db", "--to", url, folder=source.parent)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, first, second = done.stdout.splitlines()
    counts = {name: len(found) for name, found in rows(url).items()}
    told = [re.fullmatch(r"(\w+): (\d+) rows, sha256 [0-9a-f]{64}", line) for line in lines]
    assert {found[1]: int(found[2]) for found in told if found} == counts and len(told) == len(counts)
    assert "another epoch" in first and "auth.secret" in second
    assert run("check", "--database", url, folder=source.parent).stdout.endswith("invariants hold\n")


def test_the_bar_is_for_a_terminal_only(tmp_path: Path, url: str) -> None:
    many(tmp_path / "many.db")
    mine, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    running = subprocess.Popen([sys.executable, str(RUN), "copy", "--from", "sqlite:many.db", "--to", url],
                               cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=its)
    os.close(its)
    drawn = ""
    with contextlib.suppress(OSError):  # as it ends
        while piece := os.read(mine, 65536):
            drawn += piece.decode()
    os.close(mine)
    assert running.wait(10) == 0
    assert "copying users" in drawn and "comparing" in drawn and "rows" in drawn


# -- refused

def _set_schema(path: Path, version: int) -> None:
    with inspection.opened(path) as raw:
        raw.execute("UPDATE meta SET schema_version = ?", (version,))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_target_with_members_is_left_alone(source: Path, url: str, kind: str) -> None:
    target: Place = lived(source.with_name("other.db"), "mary") if kind == "sqlite" else url
    if kind == "postgresql":
        copy(lived(source.with_name("first.db"), "mary"), url)
    before = rows(target)
    with pytest.raises(ConfigError, match="is not empty; expected one without members"):
        copy(source, target)
    assert rows(target) == before
    name = target if isinstance(target, str) else f"sqlite:{target}"
    done = run("copy", "--from", "sqlite:foyer.db", "--to", name, folder=source.parent)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert not list(source.parent.glob("*.copying*"))


def test_the_tables_of_another_program_are_left_alone(source: Path, url: str) -> None:
    postgres.execute("CREATE TABLE letters (text TEXT)", url)
    raw = sqlite.connect(str(source.with_name("other.db")))
    raw.execute("CREATE TABLE letters (text TEXT)")
    raw.close()
    for target in (url, source.with_name("other.db")):
        with pytest.raises(ConfigError):
            copy(source, target)
        assert set(rows(target)) == {"letters"}


@pytest.mark.parametrize("change, says", [
    (lambda path: path.unlink(), "--from: there is no "),
    (lambda path: path.write_bytes(b""), "is not a Foyer database"),
    (lambda path: path.write_bytes(b"a letter to my mother" * 999), "--from: .* cannot be read"),
    (lambda path: _set_schema(path, schema.VERSION - 1), "start the server once"),
    (lambda path: _set_schema(path, schema.VERSION + 1), "use a newer Foyer")])
def test_a_source_that_cannot_be_used(source: Path, url: str, change: Callable[[Path], Any], says: str) -> None:
    change(source)
    before = files(source.parent)
    with pytest.raises(ConfigError, match=says):
        copy(source, url)
    assert is_blank(url) and files(source.parent) == before


def test_a_postgresql_source_that_cannot_be_used(tmp_path: Path, url: str) -> None:
    target = tmp_path / "back.db"
    with pytest.raises(ConfigError, match="is not a Foyer database"):
        copy(url, target)
    asyncio.run(start_once(url))
    for version, says in ((schema.VERSION - 1, "start the server once"), (schema.VERSION + 1, "use a newer Foyer")):
        postgres.execute(f"UPDATE meta SET schema_version = {version}", url)
        with pytest.raises(ConfigError, match=says):
            copy(url, target)
    assert not target.exists()


def test_a_target_of_a_newer_schema_is_left_alone(source: Path, url: str) -> None:
    asyncio.run(start_once(url))
    postgres.execute(f"UPDATE meta SET schema_version = {schema.VERSION + 1}", url)
    with pytest.raises(ConfigError, match="use a newer Foyer"):
        copy(source, url)
    assert asked(url, lambda connection: connection.fetchval("SELECT schema_version FROM meta")) == schema.VERSION + 1


def test_one_database_is_not_two(source: Path, url: str) -> None:
    (source.parent / "link.db").symlink_to(source)
    for one, other in ((url, url), (source, source), (source, source.with_name("link.db"))):
        with pytest.raises(ConfigError, match="are the same database"):
            copy(one, other)


def test_what_is_in_use_is_not_copied(source: Path, url: str) -> None:
    target = source.with_name("back.db")
    for held in (source, target):
        with only_one(held), pytest.raises(ConfigError, match="in use by another Foyer process"):
            copy(source, target)
    assert not target.exists()
    with only_one(source), pytest.raises(ConfigError, match="in use by another Foyer process"):
        copy(source, url)
    assert is_blank(url)


async def test_a_postgresql_that_is_served_is_not_copied(tmp_path: Path) -> None:
    url, other = postgres.database_of(tmp_path), postgres.database_of(tmp_path / "other")
    database = await open_postgres(url)
    try:
        for one, two in ((url, tmp_path / "back.db"), (url, other)):
            with pytest.raises(ConfigError, match="--from: the PostgreSQL database is in use by another Foyer process"):
                await asyncio.to_thread(copy, one, two)
        await (await open_postgres(other)).close()
        with pytest.raises(ConfigError, match="--to: the PostgreSQL database is in use by another Foyer process"):
            await asyncio.to_thread(copy, other, url)
    finally:
        await database.close()
    assert not (tmp_path / "back.db").exists()


async def test_no_server_starts_on_what_is_being_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins in between waits for the copy to end, and has all of it."""
    source, url = tmp_path / "foyer.db", postgres.database_of(tmp_path)
    await asyncio.to_thread(lived, source, "ada")
    filled, starts, loop = copying._fill, list[Any](), asyncio.get_running_loop()

    async def slow(*args: Any) -> None:
        if not starts:
            starts.append(asyncio.run_coroutine_threadsafe(open_postgres(url), loop))
            await asyncio.sleep(0.5)
            assert not starts[0].done()
        await filled(*args)
    monkeypatch.setattr(copying, "_fill", slow)
    await asyncio.to_thread(copy, source, url)
    database = await asyncio.wrap_future(starts[0])
    await database.close()
    assert (await asyncio.to_thread(rows, url))["users"] == (await asyncio.to_thread(rows, source))["users"]


@pytest.mark.parametrize("arguments", [
    ("--from", "mysql://u:s3cret@h/d", "--to", "sqlite:back.db"), ("--from", "sqlite:foyer.db", "--to", "back.db"),
    ("--from", "sqlite:foyer.db"), ("--to", "sqlite:back.db"), ("postgresql://u:s3cret@h/d", "sqlite:back.db"),
    ("--from", "sqlite:foyer.db", "--to", "sqlite:back.db", "postgresql://u:s3cret@h/d"),
    ("--from", "sqlite:foyer.db", "--to", "sqlite:nowhere/back.db")])
def test_a_command_line_that_is_none(source: Path, arguments: tuple[str, ...]) -> None:
    done = run("copy", *arguments, folder=source.parent)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr and not source.with_name("back.db").exists()


# -- a copy that is another one, or that does not come to its end

def _is_untouched(target: Place) -> bool:
    if isinstance(target, str):
        return is_blank(target)
    return not target.exists() and not list(target.parent.glob(target.name + ".copying*"))


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where to copy to."""
    return tmp_path / "back.db" if request.param == "sqlite" else postgres.database_of(tmp_path)


def _side(target: Place) -> Any:
    return copying.SqliteSide if isinstance(target, Path) else copying.PostgresSide


@pytest.mark.parametrize("spoil", [
    lambda rows: rows[:-1], lambda rows: [*rows[:-1], rows[-1][:2] + ("changed",) + rows[-1][3:]],
    lambda rows: [row[:4] + (None,) + row[5:] if row[4] == "" else row for row in rows]],
    ids=["a row less", "another text", "nothing for an empty text"])
def test_what_differs_is_not_kept(source: Path, target: Place, monkeypatch: pytest.MonkeyPatch,
                                  spoil: Callable[[Any], Any]) -> None:
    add, said = _side(target).add, list[str]()

    async def spoiled(self: Any, table: tables.Table, batch: Any) -> None:
        await add(self, table, spoil(batch) if table.name == "idempotency" else batch)
    monkeypatch.setattr(_side(target), "add", spoiled)
    with pytest.raises(CommandFailed, match="not kept: idempotency$"):
        copying.copy(source, target, said.append)
    assert _is_untouched(target)
    line, = [line for line in said if "but the copy:" in line]
    assert line.startswith("idempotency: 3 rows, sha256 ") and len(said) == len(tables.tables())


@pytest.mark.parametrize("name", ["meta", "users", "idempotency", "mentions", "end"])
def test_an_error_in_the_middle_leaves_it_empty(source: Path, target: Place, monkeypatch: pytest.MonkeyPatch,
                                                name: str) -> None:
    class Broken(Exception):
        pass
    add = _side(target).add

    async def broken(self: Any, table: tables.Table, *args: Any) -> None:
        if table.name == name:
            raise Broken
        await add(self, table, *args)

    async def end(*args: Any) -> None:
        raise Broken
    with monkeypatch.context() as patch:
        patch.setattr(_side(target), "add", broken)
        if name == "end":
            patch.setattr(_side(target), "keep_last_id", end)
        with pytest.raises(Broken):
            copy(source, target)
    assert _is_untouched(target)
    copy(source, target)
    assert rows(target) == rows(source)


def test_a_reference_to_nothing_is_found(source: Path, target: Place) -> None:
    with inspection.opened(source) as raw:
        raw.execute("INSERT INTO posts (author_id, title, text, created_at) VALUES (99, 'a', 'b', 1)")
    name = target if isinstance(target, str) else f"sqlite:{target}"
    done = run("copy", "--from", "sqlite:foyer.db", "--to", name, folder=source.parent)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "foreign key" in done.stderr.lower()
    assert _is_untouched(target)


def test_what_postgresql_cannot_hold_is_named(source: Path, url: str) -> None:
    with inspection.opened(source) as raw:
        raw.execute("UPDATE posts SET title = 'm4rker' || char(0) WHERE id = 2")
    with pytest.raises(CommandFailed, match="0x00; COPY posts, line 2, column title$") as caught:
        copy(source, url)
    assert "m4rker" not in str(caught.value)
    assert is_blank(url)


DIE = """
import os, signal, sys
from pathlib import Path
from server.storage import copying
filled = copying._fill
async def die(table, *args):
    await filled(table, *args)
    if table.name == "posts":
        os.kill(os.getpid(), signal.SIGKILL)
copying._fill = die
source, target = sys.argv[1:]
copying.copy(Path(source), Path(target) if target.startswith("/") else target, print)
"""


def test_killed_in_the_middle(source: Path, target: Place) -> None:
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", DIE, str(source), str(target)], cwd=RUN.parent)
        assert done.returncode == -signal.SIGKILL
        assert isinstance(target, Path) and not target.exists() or _is_untouched(target)
    end = time.monotonic() + 10
    while not _takes(source, target):
        assert time.monotonic() < end
    assert not list(source.parent.glob("*.copying*"))


def test_ctrl_c_ends_it(source: Path, target: Place) -> None:
    script = DIE.replace("SIGKILL", "SIGINT")
    done = subprocess.run([sys.executable, "-c", script, str(source), str(target)], cwd=RUN.parent, text=True,
                          capture_output=True)
    assert "KeyboardInterrupt" in done.stderr and done.stdout == ""
    assert _is_untouched(target)


@pytest.mark.long
@pytest.mark.parametrize("to", ["sqlite", "postgresql"])
async def test_killed_at_random(tmp_path: Path, to: str) -> None:
    """The real command: there is everything or nothing, and the next one does it."""
    rng, whole = chance(), 0
    source, lock = await asyncio.to_thread(many, tmp_path / "many.db"), tmp_path / "many.db.lock"
    for number in range(KILLS):
        place: Place = tmp_path / f"{number}.db" if to == "sqlite" else postgres.database_of(tmp_path / str(number))
        name = place if isinstance(place, str) else f"sqlite:{place}"
        process = await spawn("copy", "--from", f"sqlite:{source}", "--to", name)
        await until(lock.exists)
        await pause(rng.uniform(0, 1.2))
        await process.kill()
        lock.unlink()
        whole += bool(isinstance(place, Path) and place.exists())
        await until(lambda: asyncio.to_thread(_takes, source, place))
    assert not list(tmp_path.glob("*.copying*"))
    print(f"{KILLS} kills, {whole} after a file was done")


def _takes(source: Path, target: Place) -> bool:
    """Whether it can be copied now, or was: PostgreSQL may need a moment to see that somebody has died."""
    try:
        copy(source, target)
    except ConfigError as error:
        if "in use" in str(error):
            return False
    return rows(target) == rows(source)


def test_a_full_disk_leaves_nothing(tmp_path: Path, url: str) -> None:
    source = many(tmp_path / "many.db")
    copy(source, url)
    size = source.stat().st_size
    for command in (("copy", "--from", url, "--to", "sqlite:back.db"), ("copy", "--from", "sqlite:many.db", "--to",
                                                                        "sqlite:back.db")):
        done = subprocess.run([sys.executable, str(RUN), *command], capture_output=True, text=True, cwd=tmp_path,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2)))
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.startswith("foyer: the copy failed: ")
        assert not (tmp_path / "back.db").exists() and not list(tmp_path.glob("*.copying*"))


def test_the_driver_of_postgresql_is_not_loaded_for_a_file(source: Path) -> None:
    script = ("import sys; from server import cli; ends = [cli.main(words.split()) for words in (%r)];"
              "assert 'asyncpg' not in sys.modules; print(ends)")
    words = [f"admin promote ada --database sqlite:{source}", f"check --database sqlite:{source}",
             f"backup {source.with_name('kept.db')} --database sqlite:{source}",
             f"copy --from sqlite:{source} --to sqlite:{source.with_name('second.db')}"]
    done = subprocess.run([sys.executable, "-c", script % words], cwd=RUN.parent, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("[0, 0, 0, 0]\n"), done.stdout + done.stderr
