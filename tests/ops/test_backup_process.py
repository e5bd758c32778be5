"""The process that makes one backup: what it keeps and removes, and how it ends."""
from __future__ import annotations

import asyncio
import fcntl
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.ops import backup_process, backups
from server.storage import backup, inspection
from tests.support import ON_POSTGRES, opened, settings


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Any]:
    """What a backup of a new database is asked for with, into a folder of its own."""
    async def make() -> None:
        await (await opened(tmp_path)).close()
    asyncio.run(make())
    (tmp_path / "kept").mkdir()
    kind = "postgres" if ON_POSTGRES else "sqlite"
    return {kind: str(inspection.place_of(settings(tmp_path))), "folder": str(tmp_path / "kept"), "keep": 3}


def made(source: dict[str, Any], file: str) -> dict[str, Any]:
    return backup_process.answer({**source, "file": file})


def test_so_many_are_kept_and_nothing_of_others_is_touched(source: dict[str, Any]) -> None:
    folder = Path(source["folder"])
    others = {"foyer.db", "foyer-20200101T000000Z.db.old", "my-foyer-20200101T000000Z.db", "foyer-2020-1.db", "notes"}
    for name in others:
        (folder / name).write_text("")
    (folder / "foyer-20190101T000000Z.db").mkdir()
    (folder / "foyer-20190102T000000Z.db").symlink_to("notes")
    strange = {"foyer-20190101T000000Z.db", "foyer-20190102T000000Z.db"}
    for day in range(1, 6):
        told = made(source, f"foyer-2026010{day}T000000Z.db")
        assert told["size"] and told["left"] == []
    kept = {f"foyer-2026010{day}T000000Z.db" for day in (3, 4, 5)}
    assert {path.name for path in folder.iterdir()} == others | strange | kept


def test_after_the_clock_was_put_back_the_new_one_is_kept(source: dict[str, Any]) -> None:
    for name in ("foyer-20270101T000000Z.db", "foyer-20270102T000000Z.db", "foyer-20260101T000000Z.db"):
        made({**source, "keep": 2}, name)
    assert {path.name for path in Path(source["folder"]).iterdir()} == {
        "foyer-20270102T000000Z.db", "foyer-20260101T000000Z.db"}


def test_a_failed_one_removes_none_of_the_good_ones(source: dict[str, Any]) -> None:
    for day in range(1, 4):
        made(source, f"foyer-2026010{day}T000000Z.db")
    before = {path.name for path in Path(source["folder"]).iterdir()}
    assert "is there already" in made({**source, "keep": 1}, "foyer-20260103T000000Z.db")["error"]
    assert {path.name for path in Path(source["folder"]).iterdir()} == before


def test_what_ended_ones_have_left_is_removed_unless_somebody_writes_it(source: dict[str, Any]) -> None:
    folder = Path(source["folder"])
    for name in ("foyer-20260101T000000Z.db.partial", "foyer-20260101T000000Z.db.partial-journal",
                 "foyer-20260102T000000Z.db.partial-wal", "foyer-20260103T000000Z.db.partial", "other.db.partial"):
        (folder / name).write_text("x")
    with open(folder / "foyer-20260103T000000Z.db.partial") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        assert made(source, "foyer-20260201T000000Z.db")["left"] == []
    assert {path.name for path in folder.iterdir()} == {
        "foyer-20260103T000000Z.db.partial", "other.db.partial", "foyer-20260201T000000Z.db"}


def test_what_cannot_be_removed_is_told(source: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made(source, "foyer-20260101T000000Z.db")

    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.name == "foyer-20260101T000000Z.db":
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok)
    monkeypatch.setattr(Path, "unlink", refused)
    told = made({**source, "keep": 1}, "foyer-20260102T000000Z.db")
    assert told["size"] and [line.partition("kept/")[2] for line in told["left"]] == [
        "foyer-20260101T000000Z.db cannot be removed: Operation not permitted"]


# -- how it ends

def test_the_process_ends_with_the_server(source: dict[str, Any]) -> None:
    process = asking({**source, "file": "foyer-20260101T000000Z.db"})
    assert process.communicate(timeout=20) == (b"", None) and process.returncode == 1


def test_a_signal_to_all_of_us_leaves_it_to_the_server_to_end_it(source: dict[str, Any]) -> None:
    process = asking()
    while not ignored(process) >= {signal.SIGINT, signal.SIGTERM}:
        assert process.poll() is None
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    told = asked_for(process, {**source, "file": "foyer-20260101T000000Z.db"})
    assert told["size"] and process.returncode == 0


def test_a_disk_that_is_full_leaves_nothing(source: dict[str, Any]) -> None:
    told = asked_for(asking(largest=64 * 1024), {**source, "file": "foyer-20260101T000000Z.db"})
    assert told["error"] and list(Path(source["folder"]).iterdir()) == []
    assert asked_for(asking(), {**source, "file": "foyer-20260101T000000Z.db"})["size"]


def asking(asked: dict[str, Any] | None = None, largest: int | None = None) -> subprocess.Popen[bytes]:
    """The process, which may write files of that size."""
    def limit() -> None:
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    process = subprocess.Popen([sys.executable, "-I", str(backups._PROGRAM)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, preexec_fn=limit)
    if asked is not None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(asked).encode() + b"\n")
    return process


def asked_for(process: subprocess.Popen[bytes], asked: dict[str, Any]) -> dict[str, Any]:
    """What it answers, once it has ended by itself."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(asked).encode() + b"\n")
    process.stdin.flush()
    told: dict[str, Any] = json.loads(process.stdout.read())
    process.communicate(timeout=20)
    return told


def ignored(process: subprocess.Popen[bytes]) -> set[int]:
    """The signals that it ignores."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    mask = int(status.partition("SigIgn:")[2].split()[0], 16)
    return {number for number in range(1, 32) if mask >> (number - 1) & 1}


def test_what_nobody_thought_of_is_told_with_its_place(source: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **more: Any) -> None:
        raise KeyError("s3cret")
    monkeypatch.setattr(backup, "make", broken)
    told = made(source, "foyer-20260101T000000Z.db")
    assert told["error"] == "unexpected KeyError" and "line" in told["trace"]
