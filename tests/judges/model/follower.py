"""A client with a socket: it read its state once, and from then on only applies the events."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.judges.model.operations import Caller, data_of, same
from tests.judges.model.reading import WHOLE, ReadMe, path_of
from tests.judges.model.world import Member, World
from tests.support import Api, close_code, frame

UNAUTHORIZED = 4401


@dataclass
class View:
    """What the client believes."""

    email: str
    confirmed_at: str | None
    email_status: str
    enrichment: Any
    likes: dict[int, int]

    def apply(self, event: Any) -> None:
        """What the event tells."""
        data = event["data"]
        match event["type"]:
            case "enriched":
                self.enrichment = data
            case "email_verified":
                self.email_status = data["email_status"]
            case "email_confirmed":
                self.email, self.confirmed_at = data["email"], data["email_confirmed_at"]
                self.email_status = data["email_status"]
            case "post_liked":
                self.likes[data["post_id"]] = data["like_count"]


async def read_view(api: Api, by: Caller, username: str) -> View:
    """The state, read afresh: oneself, and how often each of one's posts is liked."""
    me = data_of(await ReadMe(by).send(api))
    likes: dict[int, int] = {}
    cursor = None
    while True:
        answer = await api.get(path_of("/api/posts", author=username, limit=WHOLE, cursor=cursor), token=by.token)
        likes |= {post["id"]: post["like_count"] for post in data_of(answer)}
        cursor = answer.body["next"]
        if cursor is None:
            return View(me["email"], me["email_confirmed_at"], me["email_status"], me["enrichment"], likes)


class Follower:
    """The client of one member."""

    def __init__(self, by: Caller, username: str) -> None:
        self.by, self.username = by, username
        self.last = 0  # the newest event that came
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._since = 0  # the state that was read holds these
        self._epoch = ""
        self.view: View | None = None

    async def begin(self, api: Api, world: World, by_frame: bool) -> None:
        """Opens the socket, reads the state, and takes what is waiting."""
        member = world.members[self.by.member]
        self._since = await self._open(api, None, by_frame)
        await self.look(api)
        self.last = member.acked
        await self._take(member, self.last)

    async def again(self, api: Api, world: World) -> None:
        """Comes back after the connection was lost, and goes on behind what it has."""
        await self._open(api, self.last, by_frame=True)
        await self._take(world.members[self.by.member], self.last)

    async def look(self, api: Api) -> None:
        """Reads the state, at the beginning and whenever the member has changed it themselves."""
        self.view = await read_view(api, self.by, self.username)

    async def _open(self, api: Api, after: int | None, by_frame: bool) -> int:
        headers = {} if by_frame else {"Authorization": f"Bearer {self.by.token}"}
        self._socket = await api.session.ws_connect(api.url + "/ws", headers=headers)
        if by_frame:
            told = {} if after is None else {"after": after}
            await self._socket.send_json({"type": "auth", "token": self.by.token, **told})
        ready = await frame(self._socket, "ready")
        same({"id": self.by.member, "username": self.username}, ready["user"])
        assert self._epoch in ("", ready["epoch"])
        self._epoch = ready["epoch"]
        return int(ready["seq"])

    async def resume(self, world: World, after: int) -> None:
        """Asks once more for what came behind `after`."""
        assert self._socket is not None
        await self._socket.send_json({"type": "resume", "after": after})
        await self._take(world.members[self.by.member], after)

    async def acknowledge(self, world: World, seq: int) -> None:
        """Up to `seq` all is done with."""
        assert self._socket is not None
        await self._socket.send_json({"type": "ack", "seq": seq})
        await self._socket.send_json({"type": "ping"})
        await frame(self._socket, "pong")  # frames are handled one after the other
        member = world.members[self.by.member]
        if member.acked < seq <= len(member.log):
            member.acked = seq

    async def catch_up(self, world: World) -> bool:
        """Takes the events that the world knows of; whether there were any."""
        member = world.members[self.by.member]
        behind = self.last < len(member.log)
        await self._take(member, self.last)
        return behind

    async def _take(self, member: Member, after: int) -> None:
        """The next frames must be those behind `after`: all of them, in order, the same as over plain HTTP."""
        assert self._socket is not None
        if after > len(member.log):
            same({"type": "gap", "from": len(member.log) + 1}, await frame(self._socket, "gap"))
        for expected in member.log[after:]:
            event = await self._socket.receive_json(timeout=10)
            if expected["data"].get("by", "") is None:
                event["data"]["by"] = None  # it may have left before its bearer did
            same(expected, event)
            self._apply(event)

    def _apply(self, event: Any) -> None:
        if event["seq"] > self.last:
            self.last = event["seq"]
            if self.view is not None and self.last > self._since:
                self.view.apply(event)

    async def compare(self, api: Api, world: World) -> None:
        """State and events must be the state as it is read now. A like that was taken back or given again is told to
        nobody, so the number of such a post is left out until the next event about it."""
        assert self.view is not None
        fresh = await read_view(api, self.by, self.username)
        same((fresh.email, fresh.confirmed_at, fresh.email_status),
             (self.view.email, self.view.confirmed_at, self.view.email_status))
        same(fresh.enrichment, self.view.enrichment)
        told = {id_: count for id_, count in fresh.likes.items() if id_ not in world.unheard}
        same(told, {id_: self.view.likes.get(id_, 0) for id_ in told})

    async def closed(self) -> None:
        """The session is over: the server must have closed the socket."""
        assert self._socket is not None
        same(UNAUTHORIZED, await close_code(self._socket))

    async def leave(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            await self._socket.close()
            self._socket = None
