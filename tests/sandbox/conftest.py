"""A running sandbox and a plain session that asks it."""
from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from server.sandbox.app import Sandbox, start
from server.sandbox.people import hashed


class Ask:
    """Requests to the sandbox, with a good key for the vendors."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(self, path: str, *, method: str = "GET", json: Any = None, key: str | None = "k",
                       headers: dict[str, str] | None = None, **query: str) -> tuple[int, Any, dict[str, str]]:
        sent = {"Authorization": f"Bearer {key}"} if key is not None else {}
        sent.update(headers or {})
        async with self._session.request(
                method, path, params=query, json=json, headers=sent, allow_redirects=False) as response:
            is_json = response.content_type == "application/json"
            body = await response.json() if is_json and await response.read() else await response.text()
            return response.status, body, dict(response.headers)

    async def switch(self, provider: str, **body: Any) -> None:
        status, told, _ = await self(f"/_switch/{provider}", method="PUT", json=body)
        assert status == 200, told

    async def verify(self, email: str, **more: Any) -> tuple[int, Any]:
        return (await self("/hunter/v2/email-verifier", email=email, **more))[:2]

    async def find(self, email: str, provider: str = "clearbit", **more: Any) -> tuple[int, Any]:
        return (await self(f"/{provider}/v2/combined/find", email=email, **more))[:2]

    async def profile(self, email: str, **more: Any) -> tuple[int, Any, dict[str, str]]:
        return await self(f"/gravatar/v3/profiles/{hashed(email)}", **more)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    running = await start()
    yield running
    await running.close()


@pytest.fixture
async def ask(sandbox: Sandbox) -> AsyncIterator[Ask]:
    async with aiohttp.ClientSession(sandbox.url) as session:
        yield Ask(session)
