"""Ways to what the audit says, and to have something written into it."""
from __future__ import annotations

import json
from typing import Any

from server.storage import Tx
from tests.support import PASSWORD, Answer, Served

WRONG = "wr0ng-horse"
ROWS = "SELECT at, act, actor_id, member_id, target, address, request_id, details FROM audit ORDER BY id"


async def rows(served: Served) -> list[dict[str, Any]]:
    """The whole audit as it stands in the table, oldest first."""
    async def read(tx: Tx) -> list[dict[str, Any]]:
        found = [{name: row[name] for name in row.keys()} for row in await tx.all(ROWS)]
        return [{**row, "details": json.loads(row["details"])} for row in found]
    return await served.foyer.database.read(read)


async def acts(served: Served) -> list[str]:
    """What has happened, oldest first."""
    return [row["act"] for row in await rows(served)]


async def login(served: Served, name: str, password: str = PASSWORD, **headers: str) -> Answer:
    """POST /api/login."""
    return await served.api.post("/api/login", {"username": name, "password": password}, headers=headers)
