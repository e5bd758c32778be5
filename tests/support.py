"""What the tests of every room share: a server in this process, and short ways to talk to it."""
from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from server import secret, settings as settings_room
from server.app import Foyer
from server.core.clock import Clock, now_ms
from server.serve import Running, running
from server.settings import Settings
from server.storage import Database
from server.storage.postgres import open_postgres
from server.storage.sqlite import open_database
from tests import frames, postgres

PASSWORD = "corr3ct-horse"
ON_POSTGRES = os.environ.get("FOYER_TEST_DATABASE") == "postgres"
_NUMBERS = itertools.count(1)


def settings(folder: Path, overrides: dict[str, str] | None = None) -> Settings:
    """Settings for a test: a database in `folder`, a free port, cheap hashes; `{"auth.bcrypt_cost": "4"}` on top."""
    where = {} if "database.url" in (overrides or {}) else database(folder)
    given = {"server.port": "0", **where, "auth.bcrypt_cost": "4", "enrichment.first_retry": "20 ms",
             "enrichment.longest_retry": "100 ms", **(overrides or {})}
    return settings_room.load(environ={}, overrides={split(name): value for name, value in given.items()})


def database(folder: Path) -> dict[str, str]:
    """The settings that name the database of the folder."""
    if not ON_POSTGRES:
        return {"database.url": f"sqlite:{folder / 'foyer.db'}"}
    return {"database.url": postgres.database_of(folder), "auth.secret": f"the secret of all processes of {folder}"}


def variables(given: Mapping[str, str]) -> dict[str, str]:
    """Settings as environment variables."""
    return {f"FOYER_{name.upper().replace('.', '_')}": value for name, value in given.items()}


async def opened(folder: Path, *, clock: Clock = now_ms) -> Database:
    """A database without a server: in the folder, or the one of the folder."""
    if ON_POSTGRES:
        return await open_postgres(postgres.database_of(folder), durability="normal", clock=clock)
    return await open_database(folder / "foyer.db", durability="normal", clock=clock)


def split(name: str) -> tuple[str, str]:
    """`section.key` as a pair."""
    section, _, key = name.partition(".")
    return section, key


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    raw: bytes
    body: Any

    @property
    def data(self) -> Any:
        """What stands in the envelope of a success."""
        assert self.status < 300, (self.status, self.body)
        return self.body["data"]

    @property
    def code(self) -> str:
        """The code of a problem."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        assert self.body["status"] == self.status
        return str(self.body["code"])

    @property
    def fields(self) -> dict[str, str]:
        """The field errors of a problem: field to code."""
        return {error["field"]: error["code"] for error in self.body["errors"]}


class Api:
    """A client that hides nothing."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def call(self, method: str, path: str, *, token: str | None = None, **options: Any) -> Answer:
        """One request. `json`, `data`, `headers` ... as in aiohttp."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.session.request(method, self.url + path, headers=headers, **options) as response:
            raw = await response.read()
            is_json = "json" in response.headers.get("Content-Type", "")
            import json
            answer = Answer(response.status, response.headers, raw, json.loads(raw) if is_json and raw else None)
            if method == "GET" and answer.status == 200 and path.startswith("/api/events"):
                frames.judge_page(answer.body)
            return answer

    async def get(self, path: str, **options: Any) -> Answer:
        """GET."""
        return await self.call("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> Answer:
        """POST, with a JSON body when one is given."""
        if json is not None:
            options["json"] = json
        return await self.call("POST", path, **options)

    async def sign_up(self, name: str | None = None, **fields: Any) -> Any:
        """Signs somebody up; the data of the answer (user, access_token, refresh_token, ...)."""
        name = name or f"member{next(_NUMBERS)}"
        body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, **fields}
        return (await self.post("/api/signup", body)).data

    async def write_post(self, token: str, title: str = "A title", text: str = "Some text", **fields: Any) -> Any:
        """Writes a post; the post."""
        return (await self.post("/api/posts", {"title": title, "text": text, **fields}, token=token)).data

    async def switch(self, sandbox: str, provider: str, **positions: Any) -> None:
        """Tells a stand-in how to behave."""
        async with self.session.put(f"{sandbox}/_switch/{provider}", json=positions) as response:
            assert response.status < 300, await response.text()

    async def calls(self, sandbox: str, provider: str, email: str | None = None) -> Any:
        """How often a stand-in was called."""
        params = {"email": email} if email else {}
        async with self.session.get(f"{sandbox}/_calls/{provider}", params=params) as response:
            return await response.json()

    async def letters(self, sandbox: str, to: str | None = None) -> list[Any]:
        """What the stand-in for the mail server took, newest first; for an address."""
        async with self.session.get(f"{sandbox}/mail/messages", params={"to": to} if to else {}) as response:
            assert response.status == 200
            return list((await response.json())["data"])


@dataclass
class Served:
    """A server in this process."""

    api: Api
    foyer: Foyer
    url: str
    sandbox: str
    settings: Settings
    _stack: AsyncExitStack

    @property
    def secret(self) -> str:
        """What its tokens are signed with."""
        return secret.of(self.settings)

    def stored(self) -> dict[str, bytes]:
        """What the database keeps, by file or table; the key is not in it."""
        file = self.settings.sqlite_file
        if file is None:
            return postgres.contents(self.settings.database.url)
        return {path.name: path.read_bytes() for path in file.parent.glob(file.name + "*")}

    async def mails(self, to: str) -> list[Any]:
        """What the stand-in for the mail server took for an address, newest first."""
        return await self.api.letters(self.sandbox, to)

    async def stop(self) -> None:
        """Stops it; harmless a second time."""
        await self._stack.aclose()

    async def socket(self, token: str | None = None, **options: Any) -> aiohttp.ClientWebSocketResponse:
        """A socket, with the token in the header when there is one."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        return await self.api.session.ws_connect(self.url + "/ws", headers={**headers, **options.pop("headers", {})},
                                                 **options)


async def start(given: Settings) -> Served:
    """Starts a server with these settings."""
    stack = AsyncExitStack()
    # The session is closed first: the server would wait for its idle connections.
    server: Running = await stack.enter_async_context(running(given))
    session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
    sandbox = server.sandbox.url if server.sandbox else ""
    return Served(Api(session, server.url), server.foyer, server.url, sandbox, given, stack)


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Waits until `condition()` (or what it awaits) is true and gives it back; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


async def frame(socket: aiohttp.ClientWebSocketResponse, type_: str, seconds: float = 10.0) -> Any:
    """The next frame, which must be of this type."""
    found = await socket.receive_json(timeout=seconds)
    assert found["type"] == type_, found
    return found


async def close_code(socket: aiohttp.ClientWebSocketResponse, seconds: float = 10.0) -> int | None:
    """Reads to the end of a socket; its close code."""
    async with asyncio.timeout(seconds):
        while not socket.closed:
            await socket.receive()
    return socket.close_code
