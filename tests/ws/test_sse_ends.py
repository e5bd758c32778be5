"""How an event stream ends, what is told then, and that nothing of it stays behind."""
from __future__ import annotations

import asyncio
import random
import socket as sockets
import time
from typing import Any

import pytest
from aiohttp import web

from server.events import log as events
from server.web.route import Member
from tests.conftest import Serve
from tests.support import Served, close_code, until
from tests.ws.event_source import event_source, listening
from tests.ws.support import QUIET, many, opened, quiet
from tests.ws.test_ends import change_password, end_from_elsewhere, expiring, log_in, log_out, reuse_a_token
from ws import sse


def streams(monkeypatch: pytest.MonkeyPatch, **options: float) -> None:
    """Servers that are started from now on have such streams."""
    route = sse.route
    monkeypatch.setattr("server.app.sse.route", lambda hub: route(hub, **options))


def watched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The server's side of the connections of streams that are opened from now on."""
    lines: list[Any] = []
    watch = sse._watch

    def watched_too(request: Any, gone: Any, silence: float) -> None:
        lines.append(request.transport)
        watch(request, gone, silence)
    monkeypatch.setattr(sse, "_watch", watched_too)
    return lines


@pytest.mark.parametrize("end", [log_out, end_from_elsewhere, change_password, reuse_a_token])
async def test_the_end_of_a_session_ends_its_streams_and_no_others(end: Any, served: Served, session: Any) -> None:
    other = await log_in(served)
    async with listening(served, other, 1) as stays, listening(served, session, 1) as mine:
        await end(served, session, other)
        began = time.monotonic()
        await many(served, session, 3)
        last = await mine.expect("end")
        assert last.frame == {"type": "end", "code": 4401, "reason": "token missing, expired or revoked"}
        assert last.last_id == "" and await mine.next() is None and mine.whole
        assert time.monotonic() - began < 1
        assert await stays.numbers(4) == [2, 3, 4]
        async with event_source(served, session["access_token"]) as again:
            assert again.status == 401
    await quiet(served)


async def test_a_token_that_expires_ends_its_stream(served: Served, session: Any,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    expiring(served, monkeypatch, {session["access_token"]: 0.15})
    async with listening(served, session) as source:
        began = time.monotonic()
        assert await source.farewell() == 4401
        assert time.monotonic() - began < 1
    await quiet(served)


async def test_a_session_that_ends_while_a_stream_of_it_is_being_opened(
        served: Served, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    position, reached, go = events.position, asyncio.Event(), asyncio.Event()
    read = served.foyer.database.read

    async def held(function: Any, *args: Any) -> Any:
        result = await read(function, *args)
        if function is position:
            reached.set()
            await go.wait()
        return result
    monkeypatch.setattr(served.foyer.database, "read", held)
    opening = asyncio.create_task(_first_words(served, session))
    await reached.wait()
    await log_out(served, session, None)
    go.set()
    assert await opening == (200, 4401)
    await quiet(served)


async def _first_words(served: Served, session: Any) -> tuple[int, int]:
    async with event_source(served, session["access_token"]) as source:
        return source.status, await source.farewell()


async def test_a_session_that_ended_before_the_hub_knew_of_the_stream(
        served: Served, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    enter = served.foyer.hub.enter

    def ends(listener: Any, member: Member) -> bool:
        served.foyer.gate.session_ended(member.session_id)
        return enter(listener, member)
    assert (await log_out(served, session, None)).status == 204
    monkeypatch.setattr(served.foyer.hub, "enter", ends)
    member = Member(session["user"]["id"], "ada", "member", 1, 2**53)
    stream = sse.EventStream(served.foyer.hub, 1, 1)
    with pytest.raises(Exception, match="revoked"):
        await stream.open(member, session["access_token"], None)
    await quiet(served)


async def test_one_connection_too_many(serve: Serve) -> None:
    served = await serve({"sandbox.mode": "off", "limits.sockets": "3"})
    ada, bob = [await served.api.sign_up(name) for name in ("ada", "bob")]
    socket = await opened(served, ada)
    async with listening(served, ada), listening(served, ada), listening(served, bob):
        async with event_source(served, ada["access_token"]) as refused:
            assert refused.status == 429
            assert refused.headers["ratelimit-policy"] == '"sockets";q=3' and int(refused.headers["retry-after"]) > 0
            assert b'"code":"rate_limited"' in await refused.reader.read(2000)
        assert await close_code(await served.socket(ada["access_token"])) == 4429
        await until(lambda: served.foyer.hub.count == 4)
        await socket.close()
        await until(lambda: served.foyer.hub.count == 3)
        async with listening(served, ada):
            assert served.foyer.hub.count == 4
    await quiet(served)


async def test_twenty_at_once_leave_ten(serve: Serve) -> None:
    served = await serve({"sandbox.mode": "off"})
    ada = await served.api.sign_up("ada")
    statuses: list[int] = []
    all_told = asyncio.Event()

    async def one() -> None:
        async with event_source(served, ada["access_token"]) as source:
            statuses.append(source.status)
            if len(statuses) == 20:
                all_told.set()
            await all_told.wait()
    await asyncio.gather(*(one() for _ in range(20)))
    assert sorted(statuses) == [200] * 10 + [429] * 10
    await quiet(served)


# -- who goes, who is too slow, who is silent


async def test_a_client_that_hangs_up_is_forgotten_at_once(served: Served, session: Any) -> None:
    for how in ("abort", "close", "half"):
        async with listening(served, session) as source:
            assert served.foyer.hub.count == 1
            if how == "half":
                source.writer.write_eof()
            elif how == "close":
                source.writer.close()
            else:
                source.writer.transport.abort()
            await until(lambda: served.foyer.hub.count == 0, 2)  # long before the next sign of life
    await quiet(served)


async def test_whatever_a_client_says_to_a_stream_is_passed_over(served: Served, session: Any) -> None:
    async with listening(served, session, 1) as source:
        source.writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n\0\xff{}")
        await many(served, session, 1)
        assert await source.numbers(2) == [2]
    await quiet(served)


async def test_who_is_too_slow_is_cut_off_and_named_in_the_log(serve: Serve, caplog: pytest.LogCaptureFixture,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    streams(monkeypatch, send_seconds=1.0)
    lines = watched(monkeypatch)
    served = await serve(QUIET)
    ada = await served.api.sign_up("ada")
    async with listening(served, ada, 1) as good, event_source(served, ada["access_token"], limit=1024) as deaf:
        reading = asyncio.create_task(good.numbers(401))
        await many(served, ada, 400, "enriched", 40_000)
        assert await reading == list(range(2, 402))  # the other stream does not suffer
        await until(lambda: served.foyer.hub.count == 1)
        await until(lambda: not any(line.get_write_buffer_size() for line in lines))  # nothing waits for it any more
        with pytest.raises((ConnectionError, AssertionError)):
            await deaf.numbers(401)
            raise AssertionError("the whole stream came")
    told = [record.getMessage() for record in caplog.records if "too slow" in record.getMessage()]
    assert len(told) == 1 and f"member {ada['user']['id']} " in told[0]
    await quiet(served)


async def test_a_slow_reader_who_catches_up_in_time_stays(served: Served, session: Any) -> None:
    async with listening(served, session, 1, limit=1024) as slow:
        await many(served, session, 300, "enriched", 40_000)
        assert await slow.numbers(301) == list(range(2, 302))
    await quiet(served)


async def test_signs_of_life_come_while_nothing_happens(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    streams(monkeypatch, keep_alive=0.02)
    served = await serve(QUIET)
    ada = await served.api.sign_up("ada")
    async with listening(served, ada, 1) as source:
        await source.comment(3)
        await many(served, ada, 1)
        assert await source.numbers(2) == [2]
        before = source.parser.comments
        await source.comment(before + 2)


async def test_a_client_that_fell_silent_is_given_up_by_the_kernel(served: Served, session: Any,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    lines = watched(monkeypatch)
    async with listening(served, session):
        line = lines[0].get_extra_info("socket")
        assert line.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_USER_TIMEOUT) == 40_000


async def test_a_client_that_is_gone_before_the_first_word(served: Served, session: Any,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = web.StreamResponse.prepare

    async def fails(response: web.StreamResponse, request: Any) -> Any:
        if isinstance(response, sse.Body):
            raise ConnectionResetError
        return await prepare(response, request)
    with monkeypatch.context() as patch:
        patch.setattr(web.StreamResponse, "prepare", fails)
        with pytest.raises(asyncio.IncompleteReadError):
            async with event_source(served, session["access_token"]):
                pass
    await quiet(served)


# -- the server goes


async def test_the_server_says_good_bye_to_streams_too(served: Served, session: Any) -> None:
    async with listening(served, session, 1) as one, listening(served, session, 1) as other:
        began = time.monotonic()
        stopping = asyncio.create_task(served.foyer.hub.close())
        assert [await one.farewell(), await other.farewell()] == [1001, 1001]
        await stopping
        assert time.monotonic() - began < 2
        async with event_source(served, session["access_token"]) as late:
            assert late.status == 503 and int(late.headers["retry-after"]) > 0


async def test_the_whole_server_stops_quickly_under_deaf_streams(served: Served, session: Any) -> None:
    async with event_source(served, session["access_token"], limit=1024), listening(served, session, 0) as good:
        reading = asyncio.create_task(good.numbers(301))
        await many(served, session, 300, "enriched", 40_000)
        assert await reading == list(range(1, 302))
        began = time.monotonic()
        stopping = asyncio.create_task(served.stop())
        assert await good.farewell() == 1001
        await stopping
        assert time.monotonic() - began < 8


async def test_a_database_that_fails_ends_the_stream(served: Served, session: Any,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    from server.core.errors import StorageUnavailable
    read = served.foyer.database.read

    async def fails(function: Any, *args: Any) -> Any:
        if function is events.page:
            raise StorageUnavailable
        return await read(function, *args)
    monkeypatch.setattr(served.foyer.database, "read", fails)
    async with listening(served, session) as source:
        assert await source.farewell() == 1001
    await quiet(served)


async def test_streams_opened_and_dropped_at_random_leave_nothing(served: Served) -> None:
    sessions = [await served.api.sign_up() for _ in range(10)]
    before = len(asyncio.all_tasks())
    chance = random.Random(11)

    async def one(session: Any) -> None:
        how = chance.randrange(4)
        async with event_source(served, session["access_token"] if how else "x") as source:
            if how == 2:
                await source.expect("ready")
            elif how == 3:
                await many(served, session, 2)
    for _ in range(15):
        await asyncio.gather(*(one(chance.choice(sessions)) for _ in range(20)))
    await quiet(served)
    hub = served.foyer.hub
    assert (hub._by_member, hub._by_session, hub._all) == ({}, {}, set())
    await until(lambda: len(asyncio.all_tasks()) <= before)
