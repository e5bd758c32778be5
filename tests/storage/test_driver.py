"""Which SQLite is used, and what is said of an old one."""
from __future__ import annotations

import importlib
import logging
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.storage import driver

pytestmark = pytest.mark.sqlite
ROOT = Path(__file__).resolve().parents[2]

# In a process of its own, because the driver is chosen when `connection` is imported.
WITHOUT_PYSQLITE3 = """
import asyncio, logging, sys
from pathlib import Path
sys.modules["pysqlite3"] = sys.modules["pysqlite3.dbapi2"] = None
logging.basicConfig(format="%(levelname)s %(message)s")
from server.storage import connection, schema
from server.storage.sqlite import open_database
async def main():
    database = await open_database(Path(sys.argv[1]))
    print(connection.sqlite.__name__, len(await database.read(schema.epoch)))
    await database.close()
asyncio.run(main())
"""


def test_a_current_sqlite_is_used_where_there_is_a_wheel() -> None:
    pytest.importorskip("pysqlite3")
    assert driver.load().__name__ == "pysqlite3.dbapi2"
    assert driver.load().sqlite_version_info >= driver.SOUND


def test_the_interpreters_own_is_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        if name.startswith("pysqlite3"):
            raise ImportError(name)
        return importlib.import_module(name)
    monkeypatch.setattr(driver, "importlib", SimpleNamespace(import_module=missing))
    assert driver.load() is sqlite3


def test_the_fallback_serves_and_an_old_one_is_told_of(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_PYSQLITE3, str(tmp_path / "foyer.db")], cwd=ROOT,
                          capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout.split() == ["sqlite3", "16"], done.stderr
    told = "WARNING SQLite" in done.stderr and "install pysqlite3" in done.stderr
    assert told == (sqlite3.sqlite_version_info < driver.SOUND), done.stderr


@pytest.mark.parametrize(("version", "warned"), [
    ((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 53, 0), False)])
def test_the_warning(version: tuple[int, int, int], warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    old = SimpleNamespace(sqlite_version_info=version, sqlite_version=".".join(map(str, version)))
    with caplog.at_level(logging.WARNING, "foyer.storage"):
        driver.warn_if_old(old)  # type: ignore[arg-type]
    assert [record.getMessage().startswith("SQLite 3.") for record in caplog.records] == [True] * warned
