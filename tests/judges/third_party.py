"""Programs that others wrote, each in a process of its own: a call is a line of JSON in, its end a line of JSON out."""
from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SECONDS = 30


class ThirdParty:
    """A running one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, call: str, *, key: str = "k", **arguments: Any) -> Any:
        """What the call gave back; fails if it raised."""
        end = await self.end_of(call, key=key, **arguments)
        assert "raised" not in end, end
        return end["gave"]

    async def end_of(self, call: str, *, key: str = "k", **arguments: Any) -> dict[str, Any]:
        """How the call ended: `gave`, or `raised` with the error's class and what the error tells."""
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._process.stdin.write(json.dumps([call, key, arguments]).encode() + b"\n")
        async with asyncio.timeout(SECONDS):
            line = await self._process.stdout.readline()
            assert line, (await self._process.stderr.read()).decode()
        end: dict[str, Any] = json.loads(line)
        return end


@asynccontextmanager
async def started(python: str | Path, script: str, *arguments: str) -> AsyncIterator[ThirdParty]:
    """The script beside this file, run by that interpreter."""
    # The stand-ins are on this machine: a proxy that is meant for the outside is not asked.
    environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        python, "-W", "error", HERE / script, *arguments, env=environ, limit=2**20, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    assert process.stdin
    try:
        yield ThirdParty(process)
        async with asyncio.timeout(SECONDS):
            process.stdin.close()
            _, complaints = await process.communicate()
        assert process.returncode == 0 and not complaints, complaints.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
