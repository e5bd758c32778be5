"""`backup`: a copy of one moment that was proven whole, or none."""
from __future__ import annotations

import fcntl
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.core.errors import CommandFailed, ConfigError
from server.ops import check
from server.storage import backup, inspection, schema
from server.storage.connection import sqlite
from server.storage.files import beside
from tests.proofs.processes import RUN, chance, pause, spawn
from tests.storage.lived import dump, epoch, files, live, lived, names, unfinished, value
from tests.support import until

pytestmark = pytest.mark.sqlite
KILLS = 8


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A database that no server uses."""
    return lived(tmp_path / "foyer.db", "ada", "bob", "eve")


def make(source: Path, target: Path, force: bool = False) -> backup.Backup:
    return backup.make(source, target, check.broken, force=force)


def run(*arguments: str, folder: Path, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(RUN), *arguments], capture_output=True, text=True, timeout=60,
                          cwd=folder, preexec_fn=before)


def test_it_holds_the_same_and_nobody_else_can_read_it(source: Path) -> None:
    target = source.with_name("kept.db")
    made = make(source, target)
    assert dump(target) == dump(source) and epoch(target) == epoch(source)
    assert (made.contents.members, made.contents.posts, made.contents.likes) == (3, 9, 9)
    assert made.size == target.stat().st_size and target.stat().st_mode & 0o777 == 0o600
    assert target.read_bytes()[18:20] == b"\x01\x01", "it would need a log beside it to be read"
    assert files(source.parent) == {"foyer.db", "kept.db"}


def test_it_holds_what_is_in_the_log_alone(source: Path) -> None:
    unfinished(source, "UPDATE users SET title = 'Countess' WHERE username = 'ada'")
    make(source, source.with_name("kept.db"))
    assert value(source.with_name("kept.db"), "SELECT title FROM users WHERE id = 1") == "Countess"


def test_it_is_of_one_moment_while_somebody_writes(source: Path) -> None:
    """Also while a transaction is open; and whoever writes does not wait for the backup."""
    with inspection.opened(source) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE posts SET like_count = like_count + 1")
        make(source, source.with_name("kept.db"))
        writer.execute("COMMIT")
    assert value(source.with_name("kept.db"), "SELECT max(like_count) FROM posts") == 1


def test_what_was_erased_is_not_in_it(source: Path) -> None:
    with inspection.opened(source) as raw:
        raw.execute("INSERT INTO posts (author_id, title, text, created_at) VALUES (1, 'x', ?, 1)", ("m4rker" * 3000,))
        raw.execute("DELETE FROM posts WHERE title = 'x'")
    make(source, source.with_name("kept.db"))
    assert b"m4rker" in source.read_bytes(), "this shows nothing"
    assert b"m4rker" not in source.with_name("kept.db").read_bytes()


def test_the_line_and_the_key(source: Path) -> None:
    source.with_name("foyer.key").write_text("k3y" * 20)
    done = run("backup", "kept.db", folder=source.parent)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert re.match(r"kept\.db: 0\.[345] MiB, schema 5, 3 members, 9 posts, 9 likes, verified, ", first)
    assert "foyer.key" in second and "foyer.cards.key" in second
    assert b"k3y" not in source.with_name("kept.db").read_bytes()
    assert run("check", "--database", "sqlite:kept.db", folder=source.parent).returncode == 0


def test_a_file_that_is_there_is_not_replaced_unless_it_is_asked_for(source: Path) -> None:
    target = source.with_name("kept.db")
    target.write_text("something else")
    with pytest.raises(ConfigError, match="--force"):
        make(source, target)
    assert target.read_text() == "something else"
    make(source, target, force=True)
    assert names(target) == ["ada", "bob", "eve"] and target.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["foyer.db", "foyer.db-wal", "foyer.db-shm", "foyer.db.lock", "foyer.key",
                                  "foyer.cards.key", "link"])
def test_what_belongs_to_the_server_is_never_replaced(source: Path, name: str) -> None:
    source.with_name("link").symlink_to(source)
    before = source.read_bytes()
    with pytest.raises(ConfigError, match="belongs to the server"):
        make(source, source.with_name(name), force=True)
    assert source.read_bytes() == before and files(source.parent) == {"foyer.db", "link"}


@pytest.mark.parametrize("arguments", [("missing/kept.db",), ("folder",), ("folder", "--force"), ()])
def test_what_cannot_be_written_to_ends_with_2(source: Path, arguments: tuple[str, ...]) -> None:
    source.with_name("folder").mkdir()
    done = run("backup", *arguments, folder=source.parent)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert files(source.parent) == {"foyer.db", "folder"}


@pytest.mark.parametrize("content", [None, b"", b"no database at all, but long enough to be taken for one" * 100])
def test_no_database_ends_with_2(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "foyer.db").write_bytes(content)
    done = run("backup", "kept.db", folder=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert files(tmp_path) == ({"foyer.db"} if content is not None else set())


def test_the_database_of_another_program(tmp_path: Path) -> None:
    with sqlite.connect(str(tmp_path / "other.db")) as raw:
        raw.execute("CREATE TABLE meta (key TEXT)")
    raw.close()
    with pytest.raises(ConfigError, match="is not a Foyer database"):
        make(tmp_path / "other.db", tmp_path / "kept.db")


def _set_schema(path: Path, version: int) -> None:
    with inspection.opened(path) as raw:
        raw.execute("UPDATE meta SET schema_version = ?", (version,))


def test_a_newer_schema_is_refused_and_an_older_one_is_copied_as_it_is(source: Path) -> None:
    _set_schema(source, schema.VERSION + 1)
    with pytest.raises(ConfigError, match="use a newer Foyer"):
        make(source, source.with_name("kept.db"))
    # Somebody who has put a new program in place, and thinks of a backup before its first start.
    _set_schema(source, schema.VERSION - 1)
    made = make(source, source.with_name("kept.db"))
    assert made.contents.schema == schema.VERSION - 1 and "older" in str(made)


def test_a_broken_rule_ends_with_1_and_no_file(source: Path) -> None:
    target = source.with_name("kept.db")
    make(source, target)
    good = target.read_bytes()
    with inspection.opened(source) as raw:
        raw.execute("UPDATE posts SET like_count = 9 WHERE id = 1")
    done = run("backup", "other.db", folder=source.parent)
    assert done.returncode == 1 and done.stdout == ""
    assert "like_count" in done.stderr and "post 1" in done.stderr and len(done.stderr.splitlines()) == 1
    assert run("backup", "kept.db", "--force", folder=source.parent).returncode == 1
    assert target.read_bytes() == good and files(source.parent) == {"foyer.db", "kept.db"}


def test_a_reference_to_nothing_ends_with_1(source: Path) -> None:
    with inspection.opened(source) as raw:
        raw.execute("INSERT INTO posts (author_id, title, text, created_at) VALUES (99, 'a', 'b', 1)")
    with pytest.raises(CommandFailed, match="points at a row of users"):
        make(source, source.with_name("kept.db"))
    assert files(source.parent) == {"foyer.db"}


def test_a_copy_that_is_not_what_was_written_is_found(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is proven is the file on the disk, opened afresh."""
    copy = backup._copy

    def spoiled(source: Path, partial: Path) -> None:
        copy(source, partial)
        with open(partial, "r+b") as file:
            file.seek(-4096, 2)
            file.write(b"\xff" * 4096)
    monkeypatch.setattr(backup, "_copy", spoiled)
    with pytest.raises(CommandFailed, match="kept.db is (damaged|not whole)"):
        make(source, source.with_name("kept.db"))
    assert files(source.parent) == {"foyer.db"}


def test_what_a_killed_one_has_left_is_overwritten(source: Path) -> None:
    partial = source.with_name("kept.db.partial")
    for name in ("", "-journal", "-wal"):
        beside(partial, name).write_bytes(b"left behind" * 1000)
    partial.chmod(0o644)
    make(source, source.with_name("kept.db"))
    assert dump(source.with_name("kept.db")) == dump(source) and files(source.parent) == {"foyer.db", "kept.db"}
    assert source.with_name("kept.db").stat().st_mode & 0o777 == 0o600


def test_two_at_once_to_one_file(source: Path) -> None:
    partial = source.with_name("kept.db.partial")
    with open(partial, "w") as other:
        other.write("half")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another backup"):
            make(source, source.with_name("kept.db"))
        assert partial.read_text() == "half"


def test_it_is_on_the_disk_before_it_has_its_name(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def noted(function: Any) -> Any:
        def call(*args: Any) -> Any:
            done.append((function.__name__, args[0]))
            return function(*args)
        return call
    for name in ("sync", "verified", "put_in_place"):
        monkeypatch.setattr(backup, name, noted(getattr(backup, name)))
    make(source, source.with_name("kept.db"))
    partial = source.with_name("kept.db.partial")
    assert done == [("sync", partial), ("verified", partial), ("put_in_place", partial)]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A file that may not grow any more is a full disk to SQLite."""
    source = lived(tmp_path / "foyer.db", "ada", "bob", posts_each=300)
    lived(tmp_path / "kept.db", "older")
    older, size = (tmp_path / "kept.db").read_bytes(), source.stat().st_size
    for most in (65536, size // 2, size - 8192):
        for target in ("other.db", "kept.db"):
            done = run("backup", target, "--force", folder=tmp_path,
                       before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
            assert done.returncode == 1 and done.stdout == "", (most, done)
            assert done.stderr.startswith("foyer: the backup ") and len(done.stderr.splitlines()) == 1
            assert files(tmp_path) == {"foyer.db", "kept.db"}
    assert (tmp_path / "kept.db").read_bytes() == older
    assert run("backup", "other.db", folder=tmp_path).returncode == 0


@pytest.mark.parametrize("how", ["die", "fail"])
def test_dies_or_fails_at_each_step(tmp_path: Path, how: str) -> None:
    lived(tmp_path / "foyer.db", "ada", "bob")
    lived(tmp_path / "kept.db", "older")
    done = subprocess.run([sys.executable, "-m", "tests.storage.stepwise", "backup", how, str(tmp_path)],
                          cwd=RUN.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
    assert files(tmp_path) == {"foyer.db", "kept.db"}


async def test_killed_at_random(tmp_path: Path) -> None:
    """The real command, in the middle of copying too: there is a whole file of that name, or none."""
    rng, whole = chance(), 0
    source = tmp_path / "foyer.db"
    await live(source, ("ada", "bob"), 20_000)
    for number in range(KILLS):
        target = tmp_path / f"{number % 2}.db"
        target.unlink(missing_ok=True)
        process = await spawn("backup", str(target), "--database", f"sqlite:{source}")
        await until(beside(target, ".partial").exists)
        await pause(rng.uniform(0, 0.5))
        await process.kill()
        if target.exists():
            whole += 1
            assert names(target) == ["ada", "bob"]
    for number in range(2):
        make(source, tmp_path / f"{number}.db", force=True)
    assert files(tmp_path) == {"foyer.db", "0.db", "1.db"}
    print(f"{KILLS} kills, {whole} after it was done")
