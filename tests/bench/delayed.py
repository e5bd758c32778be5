"""A server that measures how late its event loop is, for `tests.bench.logins`; the file is written when it stops."""
from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import server.serve
from server.cli import main

EVERY = 0.005
_late: list[float] = []
_serve = server.serve.serve


def _tick(loop: asyncio.AbstractEventLoop, due: float) -> None:
    _late.append(loop.time() - due)
    due = loop.time() + EVERY
    loop.call_at(due, _tick, loop, due)


async def _ticking(*args: Any, **kwargs: Any) -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(_tick, loop, loop.time())
    await _serve(*args, **kwargs)


if __name__ == "__main__":
    server.serve.serve = _ticking
    code = main(sys.argv[1:])
    with open(os.environ["BENCH_DELAYS"], "w", encoding="ascii") as file:
        file.writelines(f"{late!r}\n" for late in _late[200:])  # the first second is the start
    sys.exit(code)
