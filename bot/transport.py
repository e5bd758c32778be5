"""One HTTP request, sent as often as it takes: patience with limits, stubbornness with broken connections."""

import asyncio
import email.utils
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple, NoReturn

import aiohttp
import msgspec

from bot.errors import ApiError, BadAnswer, LimitReached, ServerUnreachable

TRANSIENT = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
Sleep = Callable[[float], Awaitable[None]]

_WAIT = frozenset({429, 503})
_GATEWAY = frozenset({502, 504})
_MOST_WAITS = 20
_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)


class Backoff:
    """Waiting times that grow with jitter, from 0.2 s to 10 s, lest many clients come back at once."""

    def __init__(self, rng: random.Random, first: float = 0.2, longest: float = 10.0) -> None:
        self._rng, self._first, self._longest = rng, first, longest
        self._last = first

    def next(self) -> float:
        self._last = min(self._longest, self._rng.uniform(self._first, self._last * 3))
        return self._last

    def reset(self) -> None:
        self._last = self._first


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Call:
    """A request; `repeatable` when sending it twice does no more than sending it once."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] | None = None
    repeatable: bool = True

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class _Patience:
    """How often one call was put off already."""

    def __init__(self, rng: random.Random) -> None:
        self.backoff = Backoff(rng)
        self.failures = 0
        self.waits = 0


def open_session() -> aiohttp.ClientSession:
    """Opens a session that any number of clients may share.

    It has no cookie jar: the server sets a refresh cookie, one member's must not travel with another's call.
    """
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=_TIMEOUT)


class Transport:
    """Sends calls to one server.

    Arguments: the server's address, the session to use, the longest wait a limit may ask for, how often a
    connection is tried, and (for tests) how to sleep and where chance comes from.
    """

    def __init__(self, base_url: str, session: aiohttp.ClientSession, *, max_wait: float = 60.0,
                 tries: int = 6, sleep: Sleep = asyncio.sleep, rng: random.Random | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.session = session
        self.max_wait = max_wait
        self.tries = tries
        self.sleep = sleep
        self.rng = rng or random.Random()

    async def send(self, call: Call) -> Reply:
        """Sends a call and gives the answer, whatever its status, but for those that ask to come again.

        Raises ServerUnreachable, LimitReached, or BadAnswer when it is not HTTP at all.
        """
        patience = _Patience(self.rng)
        while True:
            try:
                reply = await self._once(call)
            except TRANSIENT as failure:
                # Without a connection nothing was sent, so that trying again is safe for every call.
                safe = call.repeatable or isinstance(failure, aiohttp.ClientConnectorError)
                await self._try_again(call, patience, safe, str(failure) or type(failure).__name__)
                continue
            if reply.status in _WAIT:
                await self._obey(call, patience, reply)
            elif reply.status in _GATEWAY:
                await self._try_again(call, patience, call.repeatable, f"answered {reply.status}")
            else:
                return reply

    async def _once(self, call: Call) -> Reply:
        try:
            async with self.session.request(
                call.method, self.base_url + call.path, data=call.body, headers=call.headers,
                params=call.params, allow_redirects=False,
            ) as response:
                return Reply(response.status, await response.read(), response.headers)
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as failure:
            raise BadAnswer(f"{call}: this is not a Foyer server: {failure}") from failure

    async def _try_again(self, call: Call, patience: _Patience, safe: bool, why: str) -> None:
        patience.failures += 1
        if not safe or patience.failures >= self.tries:
            raise ServerUnreachable(f"{self.base_url} cannot be reached ({call}): {why}")
        await self.sleep(patience.backoff.next())

    async def _obey(self, call: Call, patience: _Patience, reply: Reply) -> None:
        asked = retry_after(reply)
        wait = patience.backoff.next() if asked is None else asked
        patience.waits += 1
        if wait > self.max_wait or patience.waits > _MOST_WAITS:
            limit = reply.headers.get("RateLimit-Policy")
            raise LimitReached(str(call), reply.status, problem_of(reply), wait, self.max_wait, limit)
        # A little more than asked: all who wait for the same limit would come back in the same instant.
        await self.sleep(wait + self.rng.uniform(0, min(1.0, wait / 10)))


def retry_after(reply: Reply) -> float | None:
    """Reads Retry-After, in seconds or as a date, by the server's own clock; None without one."""
    text = reply.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    when = parse_date(text)
    return None if when is None else max(0.0, (when - server_time(reply)).total_seconds())


def server_time(reply: Reply) -> datetime:
    """Says what the server's clock showed when it answered; ours when it does not say."""
    return parse_date(reply.headers.get("Date", "")) or datetime.now(timezone.utc)


def parse_date(text: str) -> datetime | None:
    """Reads a date of an HTTP header; None for anything else."""
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def problem_of(reply: Reply) -> Mapping[str, Any]:
    """Reads a problem document; empty for a body that is none (an answer of some proxy on the way)."""
    try:
        return msgspec.json.decode(reply.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def raise_for(call: Call, reply: Reply) -> NoReturn:
    """Raises the ApiError that an answer tells of."""
    raise ApiError(str(call), reply.status, problem_of(reply), retry_after(reply))
