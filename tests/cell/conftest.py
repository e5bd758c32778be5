"""Cells that leave nothing behind: no process, no folder, no open file."""
from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.providers.flake8 import Cell
from tests.cell.processes import MakeCell, children, folders, open_files
from tests.support import until

MEMORY = 512 * 1024 * 1024


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder that the cells work in."""
    place = tmp_path / "temp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
async def make_cell(temp: Path) -> AsyncIterator[MakeCell]:
    """Makes cells: `make_cell(seconds=1)`. All are stopped at the end."""
    made: list[Cell] = []
    before, files = set(children()), open_files()

    def make(seconds: float = 30.0, memory: int = MEMORY, concurrency: int = 2) -> Cell:
        made.append(Cell(seconds, memory, concurrency))
        return made[-1]
    yield make
    for cell in made:
        await cell.stop()
    assert set(children()) == before
    assert not folders(temp)
    await until(lambda: open_files() <= files)


@pytest.fixture
def cell(make_cell: MakeCell) -> Cell:
    """A cell with the usual limits."""
    return make_cell()
