"""Whether the server lives and is ready."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from server.core.errors import StorageUnavailable
from server.storage import Database, Tx
from server.web.route import Answer, Call, Route

ALIVE = "SELECT 1"
# There and back: SQLite writes nothing for a value that stays as it is, so that a full disk would go unnoticed.
TOUCH = "UPDATE meta SET schema_version = schema_version + $1 WHERE id = 1"


class Describes(Protocol):
    """Something whose state operators want to see."""

    def describe(self) -> dict[str, object]:
        """`state`, `reason`, `until`."""


@dataclass
class Health:
    """What the server says of itself."""

    database: Database
    providers: Mapping[str, Describes] = field(default_factory=dict)
    stand_ins: tuple[str, ...] = ()
    phase: str = "starting"  # then ready, then stopping

    async def report(self) -> tuple[int, dict[str, Any]]:
        """The status and body of /readyz."""
        body: dict[str, Any] = {
            "status": self.phase,
            "database": "ok",
            "writes": "ok",
            "stand_ins": list(self.stand_ins),
            "providers": {name: provider.describe() for name, provider in self.providers.items()},
        }
        try:
            await self.database.read(_alive)
        except Exception:
            return 503, {**body, "status": "unavailable", "database": "unreachable"}
        if self.database.refuses_writes:
            await self._try_to_write()
        if self.database.refuses_writes:
            body["writes"] = "full"
        return (200 if self.phase == "ready" else 503), body

    async def _try_to_write(self) -> None:
        try:
            await self.database.write(_touch)
        except StorageUnavailable:
            pass  # and the database knows it


async def _alive(tx: Tx) -> None:
    await tx.one(ALIVE)


async def _touch(tx: Tx) -> None:
    await tx.run(TOUCH, 1)
    await tx.run(TOUCH, -1)


def routes(health: Health) -> list[Route]:
    """The declarations."""
    def alive(call: Call) -> Answer:
        return Answer({"status": "alive"})

    async def ready(call: Call) -> Answer:
        status, body = await health.report()
        headers = {"Retry-After": "5"} if status == 503 else {}
        return Answer(body, status, headers=headers)

    return [
        Route("GET", "/livez", "Whether the process lives", "open", dict[str, str], limit="none", recall=alive),
        Route("GET", "/readyz", "Whether it serves, and the state of what it depends on", "open", dict[str, Any],
              given_with=(503,), limit="none", tell=ready),
    ]
