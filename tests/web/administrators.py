"""Members who may do more than others."""
from __future__ import annotations

from typing import Any

from server.storage import Tx
from tests.support import PASSWORD, Served

PROMOTE = "UPDATE users SET role = 'admin' WHERE username_key = $1"


async def administrator(server: Served, name: str = "root") -> Any:
    """Signs an administrator up; the data of their sign-in (user, access_token, ...)."""
    async def promote(tx: Tx) -> None:
        assert await tx.run(PROMOTE, name) == 1

    await server.api.sign_up(name)
    await server.foyer.database.write(promote)
    return (await server.api.post("/api/login", {"username": name, "password": PASSWORD})).data
