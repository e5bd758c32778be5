"""Which SQLite is used: `pysqlite3`, which brings a current one, else the interpreter's own."""
from __future__ import annotations

import importlib
import logging
from types import ModuleType

log = logging.getLogger("foyer.storage")

# Before this version a checkpoint that meets a writer at the wrong moment can lose pages of the WAL
# (the "WAL-reset bug", https://sqlite.org/releaselog/3_51_3.html).
SOUND = (3, 51, 3)


def load() -> ModuleType:
    """The DB-API module to use."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return importlib.import_module("sqlite3")


def warn_if_old(module: ModuleType) -> None:
    """Tells the operator when the SQLite at hand has the WAL-reset bug."""
    if module.sqlite_version_info < SOUND:
        log.warning("SQLite %s has a known fault in write-ahead logging, mended in 3.51.3: install pysqlite3",
                    module.sqlite_version)
