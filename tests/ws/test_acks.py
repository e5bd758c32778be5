"""Acknowledgements: however fast they come few are written, and none that a client was sure of is lost."""
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.core.errors import StorageUnavailable
from server.events import log as events
from tests.support import Served, close_code, frame
from tests.ws.event_source import listening
from tests.ws.support import many, masked, numbers, opened, quiet, raw
from ws.acks import PAUSE, Acks

COUNT = 1000


@pytest.fixture
def stored(served: Served, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers that are given to the table."""
    write, found = served.foyer.database.write, list[int]()

    async def watched(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        if function is events.acknowledge:
            found.append(args[1])
        return await write(function, *args)
    monkeypatch.setattr(served.foyer.database, "write", watched)
    return found


async def begins_behind(served: Served, session: Any, seq: int) -> bool:
    """Whether a new socket without `after` begins behind that number."""
    socket = await served.socket(session["access_token"])
    newest = (await frame(socket, "ready"))["seq"]
    found = await numbers(socket, newest) if seq < newest else []
    await socket.send_json({"type": "ping"})
    await frame(socket, "pong")
    await socket.close()
    return found == list(range(seq + 1, newest + 1))


async def acked(served: Served, session: Any) -> int:
    """What the table knows."""
    return (await served.foyer.database.read(events.position, session["user"]["id"])).acked


async def test_a_thousand_replayed_events_acknowledged_one_by_one(
        served: Served, session: Any, stored: list[int]) -> None:
    await many(served, session, COUNT - 1, "email_verified")
    socket = await opened(served, session)
    began = asyncio.get_running_loop().time()
    for seq in await numbers(socket, COUNT):
        await socket.send_json({"type": "ack", "seq": seq})
    await socket.send_json({"type": "ping"})
    await frame(socket, "pong")
    took = asyncio.get_running_loop().time() - began
    assert stored[-1] == COUNT and stored == sorted(set(stored)) and len(stored) <= took / PAUSE + 2
    assert await acked(served, session) == COUNT  # a pong says so
    await socket.close()


async def test_what_was_done_with_already_is_not_written_again(
        served: Served, session: Any, stored: list[int]) -> None:
    await many(served, session, 4)
    async with raw(served, f"Authorization: Bearer {session['access_token']}") as socket:
        socket.writer.write((masked(b'{"type":"ack","seq":5}') + masked(b'{"type":"ack","seq":2}')
                             + masked(b'{"type":"ack","seq":6}') + masked(b'{"type":"ping"}')) * 500)
        pongs = 0
        while pongs < 500:
            pongs += b"pong" in (await socket.receive())[1]
    assert stored == [5]  # 6 was not given out
    await quiet(served)


@pytest.mark.parametrize("how", ["closes", "hangs up", "breaks the rules", "asks for more"])
async def test_who_acknowledges_and_is_gone_at_once(how: str, served: Served, session: Any) -> None:
    await many(served, session, 9)
    last = {"closes": masked(b"\x03\xe8", opcode=8), "hangs up": b"", "breaks the rules": masked(b"not JSON"),
            "asks for more": masked(b'{"type":"resume","after":0}')}[how]
    async with raw(served, f"Authorization: Bearer {session['access_token']}") as socket:
        while b'"seq":10,"at"' not in (await socket.receive())[1]:
            pass
        socket.writer.write(b"".join(masked(b'{"type":"ack","seq":%d}' % seq) for seq in range(1, 9)) + last)
        await socket.writer.drain()
        if how == "closes":
            assert await socket.close_code() == 1000
            assert await acked(served, session) == 8
        elif how == "hangs up":
            socket.writer.write_eof()
    await quiet(served)
    assert await acked(served, session) == 8
    assert await begins_behind(served, session, 8)


async def test_another_connection_knows_what_is_not_stored_yet(
        served: Served, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await many(served, session, 4)
    socket = await opened(served, session)
    await numbers(socket, 5)
    monkeypatch.setattr("ws.acks.PAUSE", 3600)
    await socket.send_json({"type": "ack", "seq": 1})
    await socket.send_json({"type": "ping"})
    await frame(socket, "pong")
    await socket.send_json({"type": "ack", "seq": 3})  # waits for its turn
    await socket.send_json({"type": "resume", "after": 4})
    assert await numbers(socket, 5) == [5]
    assert await acked(served, session) == 1 and await begins_behind(served, session, 3)
    async with listening(served, session) as source:
        assert await source.numbers(5) == [4, 5]
    bob = await served.api.sign_up("bob")
    assert await begins_behind(served, bob, 0)
    (connection,) = served.foyer.hub._by_member[session["user"]["id"]]
    connection._acks._storing.cancel()  # type: ignore[attr-defined]
    await socket.close()


async def test_a_client_that_closes_before_it_has_said_who_it_is(served: Served) -> None:
    async with raw(served, first=masked(b"\x0f\xa0", opcode=8)) as socket:
        assert await socket.close_code() == 1000
    await quiet(served)


async def test_the_end_of_a_session_waits_for_what_was_acknowledged(served: Served, session: Any) -> None:
    await many(served, session, 4)
    other = await opened(served, session)
    await numbers(other, 5)
    for seq in range(1, 5):
        await other.send_json({"type": "ack", "seq": seq})
    await other.send_json({"type": "auth", "token": "x"})
    assert await close_code(other) == 4401
    assert await acked(served, session) == 4


class Table:
    """A database that stores when it is told to, and may fail."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None

    async def write(self, function: Any, member_id: int, seq: int) -> None:
        self.stored.append(seq)
        self.reached.set()
        await self.go.wait()
        if self.error:
            raise self.error


async def test_while_one_is_stored_only_the_newest_of_the_others_is_kept() -> None:
    table = Table()
    acks = Acks(table)  # type: ignore[arg-type]
    await acks.settled()
    acks.take(1, 1)
    await table.reached.wait()
    for seq in (2, 7, 4, 7):
        acks.take(1, seq)
    assert table.stored == [1] and acks.newest == 7
    table.go.set()
    await acks.settled()
    assert table.stored == [1, 7]
    acks.take(1, 8)
    await acks.settled()
    assert table.stored == [1, 7, 8]


@pytest.mark.parametrize("error", [StorageUnavailable(), RuntimeError("broken")])
async def test_one_that_cannot_be_stored_stops_none_that_follow(
        error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.go.set()
    acks = Acks(table)  # type: ignore[arg-type]
    table.error = error
    acks.take(1, 1)
    await acks.settled()
    table.error = None
    acks.take(1, 2)
    await acks.settled()
    assert table.stored == [1, 2]
    assert ("could not be stored" in caplog.text) == isinstance(error, RuntimeError)
