"""What arrives: everything, in order, once, to the member's own sockets and nobody else's."""
from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from server.events import log as events
from server.ops import check
from tests.conftest import Serve
from tests.support import Served, frame
from tests.ws.support import QUIET, many, numbers, opened, quiet, raw


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await serve(QUIET)


async def test_order_under_writers_at_once_and_to_two_sockets(served: Served) -> None:
    ada, bob = [await served.api.sign_up(name) for name in ("ada", "bob")]
    sockets = [await opened(served, ada, after=1) for _ in range(2)]
    stranger = await opened(served, bob, after=1)
    reading = [asyncio.create_task(numbers(socket, 301)) for socket in sockets]
    await asyncio.gather(*(many(served, ada, 3, "email_verified") for _ in range(100)))
    assert await asyncio.gather(*reading) == [list(range(2, 302))] * 2
    await stranger.send_json({"type": "ping"})
    await frame(stranger, "pong")  # and nothing before it
    for socket in [*sockets, stranger]:
        await socket.close()
    assert await served.foyer.database.read(check.broken) == []


async def test_real_likes_reach_the_author_only(served: Served) -> None:
    author, *likers = [await served.api.sign_up(name) for name in ("author", "bob", "carl", "dora")]
    post = await served.api.write_post(author["access_token"])
    sockets = [await opened(served, session, after=1) for session in (author, *likers)]
    path = f"/api/posts/{post['id']}/like"
    await asyncio.gather(*(served.api.call("PUT", path, token=liker["access_token"]) for liker in likers * 3))
    received = [await frame(sockets[0], "post_liked") for _ in likers]
    assert [event["seq"] for event in received] == [2, 3, 4]
    for socket in sockets:
        await socket.send_json({"type": "ping"})
        assert await frame(socket, "pong") == {"type": "pong"}
        await socket.close()


async def test_after_a_reconnect_exactly_the_missing_ones_come(served: Served) -> None:
    ada = await served.api.sign_up("ada")
    seen: list[int] = []
    total, chance = 400, random.Random(7)
    writing = asyncio.create_task(_write_slowly(served, ada, total - 1))
    while not seen or seen[-1] < total:
        socket = await opened(served, ada, after=seen[-1] if seen else 0)
        upto = min(total, (seen[-1] if seen else 0) + chance.randrange(1, 60))
        seen += await numbers(socket, upto)
        await socket.close()
    await writing
    assert seen == list(range(1, total + 1))


async def _write_slowly(served: Served, session: Any, count: int) -> None:
    for _ in range(count):
        await many(served, session, 1)


async def test_lost_and_doubled_nudges_are_harmless(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await served.api.sign_up("ada")
    socket = await opened(served, ada, after=1)
    tell, chance = served.foyer.nudges.tell, random.Random(3)

    def unreliable(user_id: int, seq: int, text: str) -> None:
        for _ in range(chance.choice((0, 1, 1, 2))):
            tell(user_id, seq, text)
    monkeypatch.setattr(served.foyer.nudges, "tell", unreliable)
    for _ in range(100):
        await many(served, ada, chance.randrange(1, 4))
    monkeypatch.undo()
    await many(served, ada, 1)
    newest = (await served.foyer.database.read(events.position, ada["user"]["id"])).seq
    assert await numbers(socket, newest) == list(range(2, newest + 1))
    await socket.close()


async def test_who_is_too_slow_is_cut_and_named_in_the_log(serve: Serve, caplog: pytest.LogCaptureFixture,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    from ws import connection
    monkeypatch.setattr("server.app.endpoint", lambda hub: connection.endpoint(hub, send_seconds=0.2))
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.2)
    served = await serve(QUIET)
    ada = await served.api.sign_up("ada")
    good = await opened(served, ada, after=1)
    async with raw(served, f"Authorization: Bearer {ada['access_token']}", limit=1024) as deaf:
        await deaf.receive()
        reading = asyncio.create_task(numbers(good, 401))
        await many(served, ada, 400, type_="enriched", size=40_000)
        assert await reading == list(range(2, 402))  # the other socket does not suffer
        await good.close()
        await quiet(served)
        assert await asyncio.wait_for(deaf.close_code(), 10) in (4409, None)  # what it never read may be lost
    lines = [record.getMessage() for record in caplog.records if "too slow" in record.getMessage()]
    assert len(lines) == 1 and f"member {ada['user']['id']} " in lines[0]


async def test_a_slow_reader_who_catches_up_in_time_stays(served: Served) -> None:
    ada = await served.api.sign_up("ada")
    async with raw(served, f"Authorization: Bearer {ada['access_token']}", limit=1024) as slow:
        await many(served, ada, 300, type_="enriched", size=40_000)
        texts = [(await slow.receive())[1][:60].decode() for _ in range(302)]
    assert [text.partition('"seq":')[2].partition(",")[0] for text in texts[1:]] == [str(n) for n in range(1, 302)]
    await quiet(served)


async def test_sockets_opened_and_dropped_at_random_leave_nothing(served: Served) -> None:
    sessions = [await served.api.sign_up() for _ in range(10)]
    before = len(asyncio.all_tasks())
    chance = random.Random(11)

    async def one(session: Any) -> None:
        header = f"Authorization: Bearer {session['access_token']}"
        how = chance.randrange(5)
        async with raw(served, *([header] if how else [])) as socket:
            for _ in range(chance.randrange(3) if how else 0):
                await socket.receive()
            if how == 2:
                socket.send(b"bad")
            elif how == 3:
                socket.send(b"\x03\xe8", opcode=8)
            elif how == 4:
                await many(served, session, 2)
    for _ in range(15):
        await asyncio.gather(*(one(chance.choice(sessions)) for _ in range(20)))
    await quiet(served)
    hub = served.foyer.hub
    assert (hub._by_member, hub._by_session, hub._all) == ({}, {}, set())
    for _ in range(200):
        if len(asyncio.all_tasks()) <= before:
            break
        await asyncio.sleep(0.005)
    assert len(asyncio.all_tasks()) <= before
