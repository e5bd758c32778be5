"""`backup` of PostgreSQL: a SQLite file with the rows of one moment, proven whole, or none."""
from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from server.core.errors import CommandFailed, ConfigError
from server.ops import check
from server.storage import backup, copying, tables
from server.storage.postgres import open_postgres
from server.storage.restore import LOST_IDS
from tests import postgres
from tests.storage.either import copy, epoch_of, is_blank, next_ids, rows, run
from tests.storage.lived import epoch, files, lived


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty PostgreSQL database."""
    return postgres.database_of(tmp_path)


def make(url: str, target: Path, force: bool = False) -> backup.Backup:
    return backup.make(url, target, check.broken, force=force)


@pytest.fixture
def kept(tmp_path: Path, url: str) -> Path:
    """Where to keep a backup of `url`, in which something has happened."""
    copy(lived(tmp_path / "foyer.db", "ada", "bob", "eve"), url)
    for path in tmp_path.iterdir():
        path.unlink()
    return tmp_path / "kept.db"


def test_a_backup_holds_the_same_and_nobody_else_can_read_it(url: str, kept: Path) -> None:
    made = make(url, kept)
    assert rows(kept) == rows(url) and epoch(kept) == epoch_of(url)
    assert (made.contents.members, made.contents.posts, made.contents.likes) == (3, 9, 9)
    assert made.size == kept.stat().st_size and kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_bytes()[18:20] == b"\x01\x01", "it would need a log beside it to be read"
    assert files(kept.parent) == {"kept.db"}
    there, here = next_ids(url), next_ids(kept)
    assert all(here[name] == there[name] for name in ("users", "sessions", "posts"))


def test_a_backup_is_of_one_moment_while_servers_write(url: str, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = copying._fill

    async def meanwhile(table: tables.Table, *args: Any) -> None:
        if table.name == "posts":  # members have been copied by now
            connection = await asyncpg.connect(url)
            await connection.execute("UPDATE users SET post_count = post_count - 1; DELETE FROM posts WHERE id IN"
                                     " (SELECT min(id) FROM posts GROUP BY author_id)")
            await connection.close()
        await filled(table, *args)
    before = rows(url)
    monkeypatch.setattr(copying, "_fill", meanwhile)
    make(url, kept)
    assert rows(kept) == before != rows(url)


async def test_a_backup_beside_a_server(tmp_path: Path) -> None:
    url = postgres.database_of(tmp_path)
    database = await open_postgres(url)
    await asyncio.to_thread(make, url, tmp_path / "kept.db")
    await database.close()


def test_a_backup_can_be_put_back(url: str, kept: Path, tmp_path: Path) -> None:
    make(url, kept)
    other = postgres.database_of(tmp_path / "other")
    done = run("restore", "kept.db", "--database", other, folder=kept.parent)
    assert (done.returncode, done.stdout) == (2, "") and len(done.stderr.splitlines()) == 1
    words = re.search(r"run\.py (copy .*)", done.stderr)
    assert words and is_blank(other)
    done = run(*words[1].replace("postgresql://...", other).split(), folder=kept.parent)
    assert done.returncode == 0
    assert rows(other) == rows(url) and epoch_of(other) != epoch_of(url)
    assert next_ids(other)["users"] == next_ids(url)["users"] + LOST_IDS


@pytest.mark.parametrize("spoil", ["UPDATE posts SET like_count = 9 WHERE id = 1", "DELETE FROM enrichments"])
def test_a_backup_that_breaks_a_rule_ends_with_1_and_no_file(url: str, kept: Path, spoil: str) -> None:
    postgres.execute(spoil, url)
    done = run("backup", "kept.db", "--database", url, folder=kept.parent)
    assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert files(kept.parent) == set()
    assert run("check", "--database", url, folder=kept.parent).returncode == 1


def test_a_backup_is_written_under_another_name_first(url: str, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(url, kept)
    good = kept.read_bytes()

    async def fails(*args: Any) -> None:
        assert files(kept.parent) >= {"kept.db", "kept.db.partial"}
        raise OSError("no")
    monkeypatch.setattr(copying, "_settle", fails)
    with pytest.raises(ConfigError, match="--force"):
        make(url, kept)
    with pytest.raises(CommandFailed, match="the backup failed: no"):
        make(url, kept, force=True)
    assert kept.read_bytes() == good and files(kept.parent) == {"kept.db"}


def test_a_backup_of_what_is_no_foyer(url: str, tmp_path: Path) -> None:
    postgres.execute("CREATE TABLE meta (key TEXT)", url)
    with pytest.raises(ConfigError, match="is not a Foyer database"):
        make(url, tmp_path / "kept.db")
    assert files(tmp_path) == set()
