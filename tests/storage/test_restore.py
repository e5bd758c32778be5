"""`restore`: the old database or the new one, and either is whole, whatever happens on the way."""
from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from server.core.errors import CommandFailed, ConfigError
from server.ops import check
from server.storage import backup, inspection, schema
from server.storage import restore as room
from server.storage.connection import sqlite
from server.storage.lock import only_one
from server.storage.restore import LOST_IDS, Restored
from server.storage.sqlite import open_database
from tests.proofs.processes import RUN
from tests.storage.lived import dump, epoch, files, lived, names, unfinished, value
from tests.storage.test_backup import run

pytestmark = pytest.mark.sqlite
LEFT_BEHIND = """
    INSERT INTO users (username, username_key, email, email_key, email_status, password_hash, referral_code, created_at)
    VALUES ('last', 'last', 'l', 'l', 'valid', '', 'l', 1)"""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A backup, in a folder of its own."""
    (tmp_path / "elsewhere").mkdir()
    source = lived(tmp_path / "elsewhere" / "foyer.db", "bob", "eve")
    backup.make(source, source.with_name("kept.db"), check.broken)
    return source.with_name("kept.db")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A database that is in use no more."""
    (tmp_path / "here").mkdir()
    return lived(tmp_path / "here" / "foyer.db", "ada")


def restore(file: Path, target: Path, force: bool = False) -> Restored:
    return room.restore(file, target, check.broken, force=force)


def test_into_an_empty_folder(tmp_path: Path, kept: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    done = restore(kept, new / "foyer.db")
    assert done.kept is None and done.contents.members == 2
    assert dump(new / "foyer.db") == dump(kept) and files(new) == {"foyer.db", "foyer.db.lock"}
    assert (new / "foyer.db").stat().st_mode & 0o777 == 0o600
    assert files(kept.parent) == {"foyer.db", "kept.db"}


def test_the_epoch_is_another_one_each_time(kept: Path, target: Path) -> None:
    found = {epoch(kept)}
    for _ in range(3):
        restore(kept, target, force=True)
        found.add(epoch(target))
    assert len(found) == 4 and all(len(word) == 16 for word in found)


def test_ids_that_were_given_out_since_are_not_given_out_again(kept: Path, target: Path) -> None:
    """A token of a session that the backup does not know must not become that of somebody who comes later."""
    before = value(kept, "SELECT seq FROM sqlite_sequence WHERE name = 'sessions'")
    restore(kept, target, force=True)
    with inspection.opened(target) as raw:
        for table in ("users", "sessions", "posts"):
            seq = raw.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()[0]
            assert seq > LOST_IDS, table
        new = raw.execute("INSERT INTO sessions (user_id, nonce, generation, issued_at, device, address, created_at,"
                          " expires_at) VALUES (1, 'n', 1, 1, 'd', 'a', 1, 1) RETURNING id").fetchone()[0]
    assert new == before + LOST_IDS + 1


def test_nor_are_those_of_a_table_that_was_empty_then(kept: Path, target: Path) -> None:
    with inspection.opened(kept) as raw:
        raw.execute("DELETE FROM sqlite_sequence WHERE name = 'posts'")
    restore(kept, target, force=True)
    assert value(target, "SELECT seq FROM sqlite_sequence WHERE name = 'posts'") == LOST_IDS


def test_not_without_force_when_there_are_members(kept: Path, target: Path) -> None:
    before = dump(target)
    with pytest.raises(ConfigError, match="--force"):
        restore(kept, target)
    assert dump(target) == before and files(target.parent) == {"foyer.db", "foyer.db.lock"}


def test_with_force_the_old_one_is_kept_as_a_whole(kept: Path, target: Path) -> None:
    unfinished(target, LEFT_BEHIND)  # its last member stands in the log alone
    old, inode = dump(target), target.stat().st_ino
    done = restore(kept, target, force=True)
    assert done.kept is not None and done.kept.stat().st_ino == inode
    assert dump(done.kept) == old and names(done.kept) == ["ada", "last"]
    assert dump(target) == dump(kept)
    assert files(target.parent) == {"foyer.db", "foyer.db.lock", done.kept.name}
    # And it can be put back in its turn; it breaks a rule of the program, so not without having been mended.
    with pytest.raises(CommandFailed, match="without an enrichment"):
        restore(done.kept, target, force=True)
    with inspection.opened(done.kept) as raw:
        raw.execute("DELETE FROM users WHERE username = 'last'")
    restore(done.kept, target, force=True)
    assert names(target) == ["ada"]


@pytest.mark.parametrize("what", ["nothing", "blank", "no members", "a log alone"])
def test_what_is_empty_needs_no_force(tmp_path: Path, kept: Path, what: str) -> None:
    target = tmp_path / "foyer.db"
    if what == "no members":
        lived(target)
    elif what != "nothing":
        (tmp_path / ("foyer.db-wal" if what == "a log alone" else "foyer.db")).write_bytes(b"")
    assert restore(kept, target).kept is None
    assert dump(target) == dump(kept)


def test_the_log_of_a_database_that_is_gone_is_not_played_into_the_new_one(kept: Path, target: Path) -> None:
    unfinished(target, "UPDATE users SET username = 'wrong'")
    target.unlink()
    restore(kept, target)
    assert dump(target) == dump(kept)
    assert not target.with_name("foyer.db-wal").exists()


@pytest.mark.parametrize("content", [b"SQLite format 3\0" + bytes(range(256)) * 64, b"a letter to my mother" * 999])
def test_a_target_that_is_damaged_is_kept_with_its_log(kept: Path, target: Path, content: bytes) -> None:
    unfinished(target, LEFT_BEHIND)
    log = target.with_name("foyer.db-wal").read_bytes()
    target.write_bytes(content)
    with pytest.raises(ConfigError, match="--force"):
        restore(kept, target)
    done = restore(kept, target, force=True)
    assert done.kept is not None and done.kept.read_bytes() == content
    assert done.kept.with_name(done.kept.name + "-wal").read_bytes() == log
    assert dump(target) == dump(kept)


def test_beside_a_running_server_it_is_refused(kept: Path, target: Path) -> None:
    before = dump(target)
    with only_one(target), pytest.raises(ConfigError, match="in use by another Foyer process"):
        restore(kept, target, force=True)
    assert dump(target) == before


def test_while_another_program_has_it_open(kept: Path, target: Path) -> None:
    with inspection.opened(target) as other:
        assert len(other.execute("SELECT * FROM users").fetchall()) == 1
        with pytest.raises(ConfigError, match="in use by another program"):
            restore(kept, target, force=True)
    assert names(target) == ["ada"]


def test_whoever_opened_the_old_one_cannot_write_into_the_new_one(kept: Path, target: Path) -> None:
    """A command that was started a moment before: it fails, and does no harm."""
    with inspection.opened(target) as other:
        restore(kept, target, force=True)
        with pytest.raises(sqlite.OperationalError):
            other.execute("UPDATE users SET username = 'wrong', username_key = 'wrong'")
    assert dump(target) == dump(kept)


def test_nobody_gets_in_between(kept: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange, refused = room.put_in_place, []

    def late(coming: Path, place: Path) -> None:
        with inspection.opened(place) as other:
            other.execute("PRAGMA busy_timeout=0").fetchall()
            for statement in ("SELECT * FROM users", "UPDATE users SET username = 'wrong'"):
                with pytest.raises(sqlite.OperationalError, match="locked"):
                    other.execute(statement)
                refused.append(statement)
        exchange(coming, place)
    monkeypatch.setattr(room, "put_in_place", late)
    restore(kept, target, force=True)
    assert len(refused) == 2 and dump(target) == dump(kept)


@pytest.mark.parametrize("name, code, says", [
    ("missing.db", 2, "there is no missing.db"), ("foyer.db", 2, "is the database itself"),
    ("letter.txt", 2, "is not a Foyer database"), ("other.db", 2, "is not a Foyer database"),
    ("newer.db", 2, "use a newer Foyer"), ("used.db", 2, "lies beside it"),
    ("torn.db", 1, "torn.db is"), ("wrong.db", 1, "like_count")])
def test_what_is_no_good_backup_leaves_the_target_as_it_was(kept: Path, target: Path, name: str, code: int,
                                                            says: str) -> None:
    _useless(target.parent, kept)
    before, beside = target.read_bytes(), files(target.parent) | {"foyer.db.lock"}
    done = run("restore", name, "--force", folder=target.parent)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr and len(done.stderr.splitlines()) == 1
    assert target.read_bytes() == before and files(target.parent) | {"foyer.db.lock"} == beside


def _useless(folder: Path, kept: Path) -> None:
    content = kept.read_bytes()
    for name in ("newer", "used", "wrong"):
        (folder / f"{name}.db").write_bytes(content)
    (folder / "letter.txt").write_text("to my mother" * 1000)
    (folder / "torn.db").write_bytes(content[:len(content) // 2])
    (folder / "used.db-wal").write_bytes(b"x")
    for name, statement in (("newer", f"UPDATE meta SET schema_version = {schema.VERSION + 1}"),
                            ("wrong", "UPDATE posts SET like_count = 7"), ("other", "CREATE TABLE meta (id INTEGER)")):
        raw = sqlite.connect(str(folder / f"{name}.db"), isolation_level=None)
        raw.execute(statement)
        raw.close()


def test_the_command_says_what_it_did(kept: Path, target: Path) -> None:
    done = run("restore", str(kept), "--force", folder=target.parent)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, third = done.stdout.splitlines()
    assert first.startswith(f"foyer.db: schema {schema.VERSION}, 2 members, 6 posts, 6 likes, verified and put ")
    assert "what was there is now foyer.db.before-restore-" in first
    assert "There is no foyer.key" in second and "There is no foyer.cards.key" in third
    for name in ("foyer.key", "foyer.cards.key"):
        target.with_name(name).write_text("k" * 64)
    assert len(run("restore", str(kept), "--force", folder=target.parent).stdout.splitlines()) == 1


def test_an_older_schema_is_brought_up_by_the_next_start(kept: Path, target: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    monkeypatch.setattr(schema, "MIGRATIONS", {schema.VERSION: "CREATE TABLE extra (\n    id INTEGER\n) STRICT;\n"})
    done = restore(kept, target, force=True)
    assert done.contents.schema == schema.VERSION - 1 and "older" in str(done)

    async def start() -> None:
        await (await open_database(target)).close()
    asyncio.run(start())
    assert value(target, "SELECT schema_version FROM meta") == schema.VERSION
    assert value(target, "SELECT count(*) FROM extra") == 0


def test_a_full_disk_leaves_the_old_one(kept: Path, target: Path) -> None:
    before = target.read_bytes()
    for most in (65536, kept.stat().st_size // 2, kept.stat().st_size - 1):
        done = run("restore", str(kept), "--force", folder=target.parent,
                   before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
        assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1
        assert target.read_bytes() == before and files(target.parent) == {"foyer.db", "foyer.db.lock"}


@pytest.mark.parametrize("how", ["die", "fail"])
def test_dies_or_fails_at_each_step(tmp_path: Path, kept: Path, how: str) -> None:
    (tmp_path / "begin").mkdir()
    unfinished(lived(tmp_path / "begin" / "foyer.db", "ada"), LEFT_BEHIND)
    kept.rename(tmp_path / "backup.db")
    done = subprocess.run([sys.executable, "-m", "tests.storage.stepwise", "restore", how, str(tmp_path)],
                          cwd=RUN.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
