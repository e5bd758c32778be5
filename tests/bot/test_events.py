"""The stream of events over sockets that break, repeat themselves, count anew and refuse."""

import asyncio
import contextlib
from typing import Any

import pytest
from aiohttp import web

from bot.client import FoyerClient
from bot.errors import ApiError, ServerUnreachable, SocketRefused
from tests.bot.fake_server import FakeServer, Script, problem


def says(fake: FakeServer, *frames: dict[str, Any] | int, close: int | None = 1001) -> Script:
    """A socket that says these frames (a number is an event), then closes or goes on listening."""
    async def script(socket: web.WebSocketResponse, auth: dict[str, Any]) -> None:
        await fake.ready(socket)
        for frame in frames:
            event = {"type": "post_liked", "seq": frame, "data": {}} if isinstance(frame, int) else frame
            await socket.send_json(event)
        if close is None:
            await fake.hear(socket, "ada")
        else:
            await socket.close(code=close)
    return script


def closes(code: int) -> Script:
    async def script(socket: web.WebSocketResponse, auth: dict[str, Any]) -> None:
        await socket.close(code=code)
    return script


async def take(client: FoyerClient, count: int, **position: Any) -> list[tuple[str, int]]:
    async with client.events(**position) as events:
        return [(event.type, event.seq) for event in [await anext(events) for _ in range(count)]]


async def test_events_come_in_order_and_are_acknowledged(ada: FoyerClient, fake: FakeServer) -> None:
    fake.add_event("ada", "email_verified", {"status": "valid"})
    assert await take(ada, 2) == [("enriched", 1), ("email_verified", 2)]
    assert fake.acked["ada"] == 2
    assert "after" not in fake.auths[0]


async def test_an_event_is_acknowledged_only_when_dealt_with(ada: FoyerClient, fake: FakeServer) -> None:
    fake.add_event("ada", "email_verified", {})
    with pytest.raises(RuntimeError):
        async with ada.events() as events:
            async for event in events:
                if event.seq == 2:
                    raise RuntimeError("the consumer fails")
    assert fake.acked["ada"] == 1


async def test_a_broken_socket_goes_on_behind_the_last_event(ada: FoyerClient, fake: FakeServer) -> None:
    fake.scripts.extend([says(fake, 1, 2), says(fake, 2, 3, close=4409), says(fake, 4, close=None)])
    assert await take(ada, 4) == [("post_liked", seq) for seq in (1, 2, 3, 4)]
    assert [auth.get("after") for auth in fake.auths] == [None, 2, 3]


async def test_repeated_events_are_dropped(ada: FoyerClient, fake: FakeServer) -> None:
    fake.scripts.append(says(fake, 5, 6, 6, 5, 4, 7, close=None))
    assert await take(ada, 2, after=5) == [("post_liked", 6), ("post_liked", 7)]
    assert fake.auths[0]["after"] == 5


async def test_a_gap_is_told_and_passed(ada: FoyerClient, fake: FakeServer) -> None:
    fake.scripts.append(says(fake, {"type": "gap", "from": 8}, 7, 8, close=None))
    assert await take(ada, 2, after=2) == [("gap", 7), ("post_liked", 8)]
    assert fake.acked["ada"] == 8


async def test_a_gap_may_lead_back(ada: FoyerClient, fake: FakeServer) -> None:
    fake.scripts.append(says(fake, {"type": "gap", "from": 3}, 3, close=None))
    assert await take(ada, 2, after=50) == [("gap", 2), ("post_liked", 3)]


async def test_a_new_epoch_drops_the_position(ada: FoyerClient, fake: FakeServer) -> None:
    async def restored(socket: web.WebSocketResponse, auth: dict[str, Any]) -> None:
        fake.epoch = "e2"
        await says(fake, 9)(socket, auth)

    fake.scripts.extend([says(fake, 6, 7), restored, says(fake, 1, close=None)])
    async with ada.events() as events:
        seen = [await anext(events) for _ in range(3)]
    assert [(event.seq, event.epoch) for event in seen] == [(6, "e1"), (7, "e1"), (1, "e2")]
    assert [auth.get("after") for auth in fake.auths] == [None, 7, None]


async def test_numbers_of_an_older_epoch_are_not_acknowledged(ada: FoyerClient, fake: FakeServer) -> None:
    fake.scripts.append(says(fake, 6, close=None))
    async with ada.events() as events:
        await anext(events)
        events.epoch = "e2"
    assert fake.acked["ada"] == 0


async def test_a_known_epoch_is_compared_at_once(ada: FoyerClient, fake: FakeServer) -> None:
    fake.scripts.extend([says(fake, close=None), says(fake, 1, close=None)])
    assert await take(ada, 1, after=40, epoch="older") == [("post_liked", 1)]
    assert [auth.get("after") for auth in fake.auths] == [40, None]


async def test_a_refused_token_is_renewed(ada: FoyerClient, fake: FakeServer) -> None:
    fake.scripts.append(says(fake, 1, close=4401))
    fake.add_event("ada", "email_verified", {})
    assert await take(ada, 2) == [("post_liked", 1), ("email_verified", 2)]
    assert [auth["token"] for auth in fake.auths] == ["access1", "access2"]


async def test_a_token_refused_at_the_door_is_renewed_once(ada: FoyerClient, fake: FakeServer) -> None:
    fake.scripts.extend([closes(4401), closes(4401)])
    with pytest.raises(SocketRefused, match="4401"):
        await take(ada, 1)
    assert fake.count("POST /api/token/refresh") == 1


async def test_an_ended_session_reaches_the_consumer(ada: FoyerClient, fake: FakeServer) -> None:
    fake.refreshing.clear()
    fake.scripts.append(says(fake, 1, close=4401))
    async with ada.events() as events:
        await anext(events)
        for _ in range(2):
            with pytest.raises(ApiError, match="token_reused"):
                await anext(events)


@pytest.mark.parametrize("code", [4400, 4403, 4429])
async def test_final_refusals_are_not_tried_again(ada: FoyerClient, fake: FakeServer, code: int) -> None:
    fake.scripts.append(closes(code))
    with pytest.raises(SocketRefused, match=str(code)):
        await take(ada, 1)
    fake.scripts.append(says(fake, 1, close=code))
    with pytest.raises(SocketRefused, match=str(code)):
        await take(ada, 2)
    assert fake.count("GET /ws") == 2


async def test_a_refused_upgrade(ada: FoyerClient, fake: FakeServer) -> None:
    fake.canned["GET /ws"].append(lambda _: problem(403, "origin"))
    with pytest.raises(SocketRefused, match="origin"):
        await take(ada, 1)
    fake.canned["GET /ws"].append(lambda _: problem(503, "starting"))
    assert await take(ada, 1) == [("enriched", 1)]


async def test_no_first_connection(ada: FoyerClient, fake: FakeServer, slept: list[float]) -> None:
    fake.canned["GET /ws"].extend([lambda _: problem(503, "starting")] * 6)
    with pytest.raises(ServerUnreachable):
        await take(ada, 1)
    assert len(slept) == 5 and all(0.2 <= seconds <= 10 for seconds in slept)


async def test_a_later_outage_is_waited_out(ada: FoyerClient, fake: FakeServer, slept: list[float]) -> None:
    fake.scripts.extend([says(fake, 1), says(fake, 2, close=None)])
    async with ada.events() as events:
        assert (await anext(events)).seq == 1
        fake.canned["GET /ws"].extend([lambda _: problem(503, "starting")] * 12)
        assert (await anext(events)).seq == 2


async def test_a_socket_is_extended_before_its_token_expires(stranger: FoyerClient, fake: FakeServer) -> None:
    fake.lifetime = 1
    await stranger.sign_up("ada", "ada@example.org", "a long password")
    fake.lifetime = 900
    extended = asyncio.Event()

    async def script(socket: web.WebSocketResponse, auth: dict[str, Any]) -> None:
        await fake.ready(socket)
        fake.auths.append(await socket.receive_json())
        await fake.ready(socket)
        extended.set()
        await socket.send_json({"type": "post_liked", "seq": 1, "data": {}})
        await fake.hear(socket, "ada")

    fake.scripts.append(script)
    assert await take(stranger, 1) == [("post_liked", 1)]
    assert extended.is_set() and [auth["token"] for auth in fake.auths] == ["access1", "access2"]
    assert fake.count("GET /ws") == 1


async def test_closing_the_client_ends_a_waiting_consumer(ada: FoyerClient, fake: FakeServer) -> None:
    fake.events.clear()
    events = ada.events()
    waiting = asyncio.create_task(anext(events, None))
    while events._pump is None:
        await asyncio.sleep(0)
    await ada.close()
    assert await asyncio.wait_for(waiting, 5) is None
    assert [event async for event in events] == []


async def test_closing_the_client_ends_a_connecting_consumer(ada: FoyerClient, fake: FakeServer) -> None:
    waiting = asyncio.create_task(anext(ada.events(), None))
    while not fake.auths:
        await asyncio.sleep(0)
    await ada.close()
    with contextlib.suppress(ServerUnreachable):
        assert await asyncio.wait_for(waiting, 5) is None
