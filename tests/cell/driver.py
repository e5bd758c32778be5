"""A server that can be killed: `python -m tests.cell.driver FOLDER` starts two checks that take long."""
from __future__ import annotations

import asyncio
import sys
import tempfile

from server.providers.flake8 import Cell, Options
from tests.cell.processes import SLOW


async def _main(folder: str) -> None:
    tempfile.tempdir = folder
    cell = Cell(30.0, 512 * 1024 * 1024, 2)
    await asyncio.gather(*(cell.check(SLOW, Options()) for _ in range(4)))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
