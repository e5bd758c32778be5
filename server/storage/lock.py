"""One SQLite file serves one `serve` or `worker` at a time."""
from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.core.errors import ConfigError
from server.storage.files import beside, unusable


@contextmanager
def only_one(database: Path) -> Iterator[None]:
    """Holds the lock file beside the database; raises `ConfigError` when another process has it.

    The kernel lets go of it when the process ends, however it ends; the file itself stays, because removing it would
    let two processes lock two different files of the same name.
    """
    path = beside(database, ".lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(path, error) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"[database] url: {database} is in use by another Foyer process") from None
        yield
    finally:
        os.close(handle)
