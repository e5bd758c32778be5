"""An administrator at a server, and short ways to what they see and do."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from server.ops import check
from server.storage import Tx
from tests.support import Answer, Api, Served
from tests.web.administrators import administrator

AUDIT = "SELECT act, actor_id, member_id, target, address, details FROM audit ORDER BY id"


@dataclass
class Desk:
    """Somebody who may do everything."""

    served: Served
    id: int
    token: str

    @classmethod
    async def of(cls, served: Served, name: str = "root") -> Desk:
        session = await administrator(served, name)
        return cls(served, session["user"]["id"], session["access_token"])

    @property
    def api(self) -> Api:
        return self.served.api

    async def get(self, path: str, **query: str) -> Answer:
        return await self.api.get(f"/api/admin/{path}", token=self.token, params=query)

    async def post(self, path: str, **options: Any) -> Answer:
        return await self.api.post(f"/api/admin/{path}", token=self.token, **options)

    async def suspend(self, member_id: int) -> Any:
        return (await self.post(f"users/{member_id}/suspend")).data

    async def restore(self, member_id: int) -> Any:
        return (await self.post(f"users/{member_id}/restore")).data

    async def listed(self, what: str, limit: int = 100, **query: str) -> list[Any]:
        """Everything that a list gives, page by page, however short its pages are."""
        found: list[Any] = []
        place: dict[str, str] = {}
        while True:
            answer = await self.get(what, limit=str(limit), **query, **place)
            assert len(answer.data) <= limit
            found += answer.data
            if answer.body["next"] is None:
                return found
            place = {"cursor": answer.body["next"]}

    async def acts(self, *acts: str) -> list[dict[str, Any]]:
        """The rows of the audit that tell of these."""
        return [row for row in await rows(self.served, AUDIT) if row["act"] in acts]


async def rows(served: Served, sql: str, *args: Any) -> list[dict[str, Any]]:
    """What stands in the database."""
    async def read(tx: Tx) -> list[dict[str, Any]]:
        return [{name: row[name] for name in row.keys()} for row in await tx.all(sql, *args)]
    return await served.foyer.database.read(read)


async def written(served: Served, sql: str, *args: Any) -> int:
    """Writes past the API; how many rows."""
    async def write(tx: Tx) -> int:
        return await tx.run(sql, *args)
    return await served.foyer.database.write(write)


async def whole(served: Served) -> None:
    """Proves the invariants."""
    assert await served.foyer.database.read(check.broken) == []
