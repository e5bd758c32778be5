"""200 members whose sockets drop at random while the server is killed five times: none misses its `enriched`, none gets
an event out of order or one of somebody else."""
from __future__ import annotations

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import aiohttp
import pytest
from msgspec import to_builtins

from bot.client import FoyerClient
from bot.transport import open_session
from tests.proofs.book import GONE
from tests.proofs.processes import Stage, chance, lasting_port, median_and_most, pause, staged
from tests.support import PASSWORD, Answer, Api, until

MEMBERS, WITH_OUR_CLIENT, KILLS = 200, 40, 5
DELAY = 0.3  # seconds by which the stand-ins hold each answer back: with eight at a time the run is full of them
SWITCHED = "Stand-ins are in use for Hunter, Clearbit, Randomdata and Mail at "


class Town:
    """What all members share."""

    def __init__(self, api: Api, rng: random.Random) -> None:
        self.api, self.rng = api, rng
        self.posts: list[tuple[int, int]] = []  # post, author
        self.over = asyncio.Event()
        self.quiet = asyncio.Barrier(MEMBERS)  # the last listening begins when nobody likes any more
        self.connections = 0

    async def answered(self, send: Callable[[], Any]) -> Answer:
        """Sends until there is an answer: an equal request with the same key has one effect."""
        while True:
            try:
                answer: Answer = await send()
                assert answer.status < 300, answer.body
                return answer
            except GONE:
                await pause(self.rng.uniform(0.01, 0.1))


class Resident(ABC):
    """A member, and the events that have reached them."""

    def __init__(self, town: Town, number: int) -> None:
        self._town, self._number = town, number
        self.name = f"resident{number}"
        self.events: list[dict[str, Any]] = []
        self.id, self.token = 0, ""

    @property
    def last(self) -> int:
        """The newest number that was seen."""
        return self.events[-1]["seq"] if self.events else 0

    @property
    def enriched(self) -> bool:
        """Whether the one event that must come has come."""
        return any(event["type"] == "enriched" for event in self.events)

    async def live(self) -> None:
        """Signs up, posts, then listens and likes until the run is over."""
        await pause(self._town.rng.uniform(0, 3))
        await self._arrive()
        while not self._town.over.is_set():
            await self._like()
            try:
                await self._listen(self._town.rng.expovariate(0.7))
            except GONE:
                await pause(self._town.rng.uniform(0.01, 0.1))
        await self._town.quiet.wait()
        await self._listen(None)

    async def _arrive(self) -> None:
        town, headers = self._town, {"Idempotency-Key": self.name}
        body = {"username": self.name, "email": f"{self.name}@example.org", "password": PASSWORD}
        arrived = (await town.answered(lambda: town.api.post("/api/signup", body, headers=headers))).data
        self.id, self.token = arrived["user"]["id"], arrived["access_token"]
        post = {"title": "A title", "text": "Some text"}
        written = await town.answered(lambda: town.api.post("/api/posts", post, token=self.token, headers=headers))
        town.posts.append((written.data["id"], self.id))

    async def _like(self) -> None:
        town = self._town
        post, author = town.rng.choice(town.posts)
        if author != self.id:
            await town.answered(lambda: town.api.call("PUT", f"/api/posts/{post}/like", token=self.token))

    @abstractmethod
    async def _listen(self, seconds: float | None) -> None:
        """One connection: for so long, or until all that there is was seen."""

    def take(self, event: dict[str, Any]) -> None:
        """The next event, which must be the next."""
        assert event["seq"] == self.last + 1, f"{event['seq']} came behind {self.last}"
        self.events.append(_kept(event))

    async def judge(self) -> None:
        """What came is what is kept, all of it is this member's, and `enriched` came once."""
        kept, api = [], self._town.api
        while page := (await api.get(f"/api/events?after={len(kept)}", token=self.token)).data:
            kept += [_kept(event) for event in page]
        assert self.events == kept
        told = [event["data"] for event in kept if event["type"] == "enriched"]
        assert len(told) == 1
        # The stand-in seeds the person with the address, so that somebody else's would be another.
        shown = (await api.get("/api/me/enrichment", token=self.token)).data
        assert shown["status"] == "found" and told[0]["fields"] == shown["fields"]
        mine = {post for post, author in self._town.posts if author == self.id}
        assert all(event["data"]["post_id"] in mine for event in kept if event["type"] == "post_liked")


class Plain(Resident):
    """Speaks to the socket without any help."""

    async def _listen(self, seconds: float | None) -> None:
        socket = await self._town.api.session.ws_connect(f"{self._town.api.url}/ws", max_msg_size=0)
        self._town.connections += 1
        try:
            await self._hello(socket, named=seconds is None or self._town.rng.random() < 0.7)
            async with asyncio.timeout(seconds):
                await self._follow(socket, to_end=seconds is None)
        except TimeoutError:
            await self._drop(socket)
        finally:
            await socket.close()

    async def _hello(self, socket: aiohttp.ClientWebSocketResponse, named: bool) -> None:
        """Signs in; without `after` the server begins behind what it knows to be acknowledged."""
        await socket.send_json({"type": "auth", "token": self.token, **({"after": self.last} if named else {})})
        first = await _frame(socket)
        assert first["type"] == "ready" and first["user"] == {"id": self.id, "username": self.name}
        self._newest, self._before = first["seq"], self.last if named else 0

    async def _follow(self, socket: aiohttp.ClientWebSocketResponse, to_end: bool) -> None:
        while not to_end or self.last < self._newest:
            frame = await _frame(socket)
            assert "seq" in frame, frame
            if frame["seq"] > self.last:
                self.take(frame)
            else:
                # Only without `after`, and then in order too: not yet acknowledged, as far as the server knew.
                assert frame["seq"] > self._before and _kept(frame) == self.events[frame["seq"] - 1]
            self._before = frame["seq"]
            if self._town.rng.random() < 0.5:
                await socket.send_json({"type": "ack", "seq": self.last})

    async def _drop(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Half of the time the connection breaks, else it is closed by the rules."""
        line = socket.get_extra_info("socket")
        if line is not None and self._town.rng.random() < 0.5:
            line.shutdown(SHUT_RDWR)


class WithOurClient(Resident):
    """Uses the public client, which opens its socket again by itself while the server is away."""

    async def _arrive(self) -> None:
        await super()._arrive()
        self._foyer = FoyerClient(self._town.api.url, session=self._town.api.session, rng=self._town.rng, tries=1000)
        await self._town.answered(self._log_in)

    async def _log_in(self) -> Answer:
        await self._foyer.login(self.name, PASSWORD)
        return await self._town.api.get("/livez")

    async def _listen(self, seconds: float | None) -> None:
        self._town.connections += 1
        newest = await self._newest() if seconds is None else None
        try:
            async with asyncio.timeout(seconds), self._foyer.events(self.last) as events:
                while newest is None or self.last < newest:
                    event = await anext(events)
                    self.take(to_builtins(event))
        except TimeoutError:
            pass

    async def _newest(self) -> int:
        found = [event.seq async for event in self._foyer.stored_events(0)]
        return found[-1] if found else 0


def _kept(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("type", "seq", "data")}


async def _frame(socket: aiohttp.ClientWebSocketResponse) -> Any:
    message = await socket.receive()
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise ConnectionError("the socket was closed")
    return json.loads(message.data)


async def start(stage: Stage, session: aiohttp.ClientSession) -> str:
    """A server whose stand-ins are slow; its address."""
    server = await stage.start()
    stand_ins = (await server.line(SWITCHED)).partition(": ")[0]
    for provider in ("hunter", "clearbit"):
        await Api(session, "").switch(stand_ins, provider, delay=DELAY)
    return server.url


async def _count_after_kill(stage: Stage, session: aiohttp.ClientSession, rng: random.Random,
                            people: list[Resident]) -> int:
    """Kills and starts anew after a while; how many had been told by then."""
    await pause(rng.uniform(1, 2))
    assert stage.server is not None
    await stage.server.kill()
    enriched = sum(person.enriched for person in people)
    await start(stage, session)
    return enriched


def residents(town: Town) -> list[Resident]:
    kinds = [WithOurClient] * WITH_OUR_CLIENT + [Plain] * (MEMBERS - WITH_OUR_CLIENT)
    return [kind(town, number) for number, kind in enumerate(kinds)]


@pytest.mark.long
async def test_everybody_is_told_once_and_in_order(tmp_path: Path) -> None:
    rng = chance()
    environ = {"FOYER_SANDBOX_MODE": "on", "FOYER_ENRICHMENT_CONCURRENCY": "8"}
    async with staged(tmp_path, environ, lasting_port()) as stage, open_session() as session:
        town = Town(Api(session, await start(stage, session)), rng)
        people = residents(town)
        async with asyncio.TaskGroup() as group:
            for person in people:
                group.create_task(person.live())
            enriched = [await _count_after_kill(stage, session, rng, people) for _ in range(KILLS)]
            await until(lambda: all(person.enriched for person in people), 100)
            town.over.set()
        for person in people:
            await person.judge()
        print(f"{MEMBERS} members, {KILLS} kills (enriched by then: {enriched}), {town.connections} connections, "
              f"{sum(len(person.events) for person in people)} events; "
              f"restart to ready {median_and_most(stage.starts)}")
        assert stage.server is not None and await stage.server.terminate() == 0
        await stage.check()
        assert not stage.complaints()
