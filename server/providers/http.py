"""One HTTP session for all outside services, and GET in the only form they need.

The outside is not trusted: no redirect is followed (the key would travel with it), no cookie is kept, no proxy comes
from the environment, a body is read up to a cap, and a total deadline covers everything from DNS to the last byte.
"""
from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Self

import aiohttp
import msgspec

from server.providers.outcome import Outcome, broken

MAX_BODY = 1024 * 1024
_CHUNK = 64 * 1024
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Foyer"}


class NotJson(ValueError):
    """The body is not one JSON document."""


class _TooLarge(Exception):
    """The body is larger than the cap."""


class Answer(msgspec.Struct, frozen=True):
    """A whole answer, as it came; header names are looked up without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> object:
        """The body as JSON.

        Raises NotJson. The standard library's parser is used because it lets a lone surrogate through to the
        cleaning of the one field that has it; a stricter one would throw the whole document away.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise NotJson from None


class ProviderHttp:
    """The shared session; open it once, close it at the end (or use it with `async with`)."""

    def __init__(self, *, max_body: int = MAX_BODY) -> None:
        self._max_body = max_body
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> Self:
        """Makes the session; needs the running loop."""
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None))
        return self

    async def close(self) -> None:
        """Closes the session and its connections; may be called twice."""
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def get(self, url: str, params: Mapping[str, str], headers: Mapping[str, str],
                  timeout: float) -> Answer | Outcome:
        """GET with a total deadline of `timeout` seconds.

        Gives the Answer, whatever its status, or a `broken` Outcome where there is none. Raises nothing but
        CancelledError.
        """
        if self._session is None or self._session.closed:
            return broken("session closed")
        try:
            async with asyncio.timeout(timeout):
                return await self._fetch(self._session, url, params, headers)
        except TimeoutError:
            return broken("timeout")
        except _TooLarge:
            return broken("body too large")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Only the class: the text of these errors holds the URL, and with it the address.
            return broken(f"no answer: {type(error).__name__}")

    async def _fetch(self, session: aiohttp.ClientSession, url: str, params: Mapping[str, str],
                     headers: Mapping[str, str]) -> Answer:
        async with session.get(url, params=params, headers=headers, allow_redirects=False) as response:
            body = await self._read(response)
            return Answer(response.status, response.headers, body)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > self._max_body:
                response.close()  # do not read the rest only to reuse the connection
                raise _TooLarge
        return bytes(body)


class Endpoint:
    """One service's base URL and the headers that carry its key."""

    def __init__(self, http: ProviderHttp, url: str, headers: Mapping[str, str]) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._headers = dict(headers)

    async def get(self, path: str, params: Mapping[str, str], timeout: float) -> Answer | Outcome:
        """GET `path` below the base URL; see ProviderHttp.get."""
        return await self._http.get(self._url + path, params, self._headers, timeout)
