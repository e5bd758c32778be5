"""An answer that is made while it is sent, so that never more of it than one part is in memory."""
from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

log = logging.getLogger("foyer.web")
SEND_SECONDS = 30.0  # how long the client may take for one part


class PartsResponse(web.StreamResponse):
    """Sends part after part. What breaks on the way breaks the connection: the client sees that the answer is not
    whole."""

    def __init__(self, parts: AsyncGenerator[bytes, None], status: int, headers: CIMultiDict[str]) -> None:
        super().__init__(status=status, headers=headers)
        self._parts = parts
        self._request: web.BaseRequest | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends the head."""
        self._request = request
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends the parts, once, and the end."""
        request, self._request = self._request, None
        async with aclosing(self._parts) as parts:
            if request is not None and request.method != "HEAD":
                await self._send(parts, request)
        await super().write_eof(data)

    async def _send(self, parts: AsyncGenerator[bytes, None], request: web.BaseRequest) -> None:
        try:
            async for part in parts:
                async with asyncio.timeout(SEND_SECONDS):
                    await self.write(part)
        except ConnectionError:
            raise
        except Exception as error:
            log.warning("an answer was broken off: %s: %s", type(error).__name__, error)
            if request.transport is not None:
                request.transport.abort()  # what is not read would keep the connection open
            raise ConnectionResetError("the answer was broken off") from error
