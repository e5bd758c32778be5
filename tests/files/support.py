"""A cell that answers as the test says, and short ways to files, their checks and what is told of them."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from server.ops import check
from server.providers.flake8 import Finding, Options, Report
from server.storage import Tx
from tests.support import Answer, Served, until
from tests.web.hostile import FILE, file_body

PASSED = Report("passed", None, 0, 0, {}, [], "7.3.0 (stand-in)", "3.11.7")
WAITING = "SELECT count(*) FROM checks WHERE status IN ('pending', 'running')"


def found(number: int, suppressed: int = 0) -> Report:
    """A report of so many violations, and so many that are silenced."""
    findings = [Finding(line, 1, "E501", f"line {line} is too long", "x", line > number)
                for line in range(1, number + suppressed + 1)]
    return replace(PASSED, status="violations" if number else "passed", total=number, suppressed=suppressed,
                   counts={"E501": number} if number else {}, findings=findings)


class Cell:
    """Stands in for flake8's processes. `answer` gives the report, or raises."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, Options]] = []
        self.now = self.most = 0
        self.answer: Callable[[bytes], Report] = lambda source: PASSED
        self._held: dict[bytes, asyncio.Event] = {}

    @classmethod
    def of(cls, served: Served) -> Cell:
        """Takes the place of the server's own."""
        cell = cls()
        served.foyer.worker._handlers["check_files"]._cell = cell  # type: ignore[attr-defined]
        return cell

    def hold(self, source: bytes) -> asyncio.Event:
        """What holds the answers about this file until it is set."""
        self._held[source] = asyncio.Event()
        return self._held[source]

    async def check(self, source: bytes, options: Options) -> Report:
        self.asked.append((source, options))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if source in self._held:
                await self._held[source].wait()
            return self.answer(source)
        finally:
            self.now -= 1

    async def begun(self, source: bytes) -> None:
        """Waits until this file is being checked."""
        await until(lambda: any(asked == source for asked, _ in self.asked))


async def send(served: Served, token: str | None, content: bytes = b"import os\n", name: str = "engine.py",
               file: int | None = None, **headers: str) -> Answer:
    """Uploads a file, or a new version of one."""
    method, path = ("POST", "/api/files") if file is None else ("PATCH", f"/api/files/{file}")
    return await served.api.call(method, path, token=token, data=file_body(content, name), headers={**FILE, **headers})


async def add(served: Served, token: str, content: bytes = b"import os\n", name: str = "engine.py") -> int:
    """Uploads a file; its id."""
    return int((await send(served, token, content, name)).data["id"])


async def file(served: Served, token: str, id_: int) -> Any:
    """The file as it is now."""
    return (await served.api.get(f"/api/files/{id_}", token=token)).data


async def history(served: Served, token: str, id_: int) -> Any:
    """Its checks, newest first."""
    return (await served.api.get(f"/api/files/{id_}/checks?limit=100", token=token)).data


async def count(served: Served, sql: str, *args: Any) -> int:
    """A number out of the database."""
    async def read(tx: Tx) -> int:
        return int(await tx.value(sql, *args))
    return await served.foyer.database.read(read)


async def checked(served: Served, seconds: float = 20.0) -> None:
    """Waits until no file waits any more, and proves the invariants."""
    async def none() -> bool:
        return await count(served, WAITING) == 0
    await until(none, seconds)
    await whole(served)


async def whole(served: Served) -> None:
    """Proves the invariants."""
    assert await served.foyer.database.read(check.broken) == []


async def told(served: Served, token: str) -> list[Any]:
    """The data of the member's `file_checked` events."""
    page = (await served.api.get("/api/events?after=0&limit=100", token=token)).data
    return [event["data"] for event in page if event["type"] == "file_checked"]


async def check_again(served: Served, token: str, id_: int, **options: Any) -> Answer:
    """Asks for another check."""
    return await served.api.post(f"/api/files/{id_}/checks", token=token, **options)
