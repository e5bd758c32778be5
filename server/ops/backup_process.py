"""`python -I server/ops/backup_process.py`: makes the one backup that it is asked for on stdin, and tells of it.

A process and not a thread of the server: it can be ended at any moment, its memory is gone with it, and on PostgreSQL
it does not keep Python from the requests.
"""
from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    for _number in (signal.SIGINT, signal.SIGTERM):  # sent to all of us; the server says itself when it is time
        signal.signal(_number, signal.SIG_IGN)
    # -I leaves out our own folder; at the end, so that nothing of ours stands before what is installed.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from server.core.errors import CommandFailed, ConfigError
from server.ops import check
from server.storage import backup
from server.storage.files import LOGS, beside, remove

_NAME = re.compile(r"foyer-[0-9]{8}T[0-9]{6}Z\.db")
_UNFINISHED = re.compile(rf"({_NAME.pattern}){re.escape(backup.PARTIAL)}(?:{'|'.join(LOGS)})?")


def answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the backup and removes old ones: its `size` or the `error`, and what is `left` that should be gone."""
    folder = Path(asked["folder"])
    left = list(_without_unfinished(folder))
    place = asked["postgres"] if "postgres" in asked else Path(asked["sqlite"])
    try:
        made = backup.make(place, folder / asked["file"], check.broken)
    except (CommandFailed, ConfigError) as error:
        return {"error": str(error), "left": left}
    except Exception as error:  # what nobody thought of is told as well, and the next attempt may succeed
        return {"error": f"unexpected {type(error).__name__}", "trace": traceback.format_exc(), "left": left}
    return {"size": made.size, "left": [*left, *_without_old(folder, asked["file"], asked["keep"])]}


def _without_unfinished(folder: Path) -> Iterator[str]:
    """Removes what backups that were ended have left behind; yields what could not be removed."""
    names = {found[1] for path in _files(folder) if (found := _UNFINISHED.fullmatch(path.name))}
    for name in sorted(names):
        unfinished = beside(folder / name, backup.PARTIAL)
        try:
            if not _is_being_written(unfinished):
                remove(unfinished)
        except OSError as error:
            yield f"{unfinished} cannot be removed: {error.strerror}"


def _is_being_written(path: Path) -> bool:
    if not path.exists():
        return False
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _without_old(folder: Path, newest: str, keep: int) -> Iterator[str]:
    """Removes all but so many: the one just made, whatever the clock says, and the last of the others."""
    others = sorted((path for path in _files(folder) if _NAME.fullmatch(path.name) and path.name != newest),
                    key=lambda path: path.name, reverse=True)
    for path in others[keep - 1:]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            yield f"{path} cannot be removed: {error.strerror}"


def _files(folder: Path) -> list[Path]:
    """The regular files in the folder; none when it cannot be read, which the backup itself will tell."""
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []


def _end_with_the_server() -> None:
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Reads what is asked for, in a line, and writes the answer."""
    os.nice(10)  # the server goes first
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    print(json.dumps(answer(asked)))


if __name__ == "__main__":
    main()
