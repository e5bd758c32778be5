"""How a socket ends: with its session, its token, the server; and that nothing is delivered after it."""
from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from server.events import log as events
from server.web.route import Member
from tests.support import PASSWORD, Served, close_code, frame, until
from tests.ws.support import many, masked, numbers, opened, quiet, raw

End = Callable[[Served, Any, Any], Awaitable[Any]]


async def log_in(served: Served, name: str = "ada") -> Any:
    return (await served.api.post("/api/login", {"username": name, "password": PASSWORD})).data


async def log_out(served: Served, mine: Any, other: Any) -> Any:
    return await served.api.post("/api/logout", token=mine["access_token"])


async def end_from_elsewhere(served: Served, mine: Any, other: Any) -> Any:
    sessions = (await served.api.get("/api/sessions", token=mine["access_token"])).data
    current = next(session for session in sessions if session["current"])
    return await served.api.call("DELETE", f"/api/sessions/{current['id']}", token=other["access_token"])


async def change_password(served: Served, mine: Any, other: Any) -> Any:
    body = {"current": PASSWORD, "new": "an0ther-horse"}
    return await served.api.post("/api/me/password", body, token=other["access_token"])


async def reuse_a_token(served: Served, mine: Any, other: Any) -> Any:
    for _ in range(3):
        pair = (await served.api.post("/api/token/refresh", {"refresh_token": mine["refresh_token"]})).data
        mine = mine if "first" in mine else {**mine, "first": mine["refresh_token"]}
        mine["refresh_token"] = pair["refresh_token"]
    return await served.api.post("/api/token/refresh", {"refresh_token": mine["first"]})


@pytest.mark.parametrize("end, status", [
    (log_out, 204), (end_from_elsewhere, 204), (change_password, 204), (reuse_a_token, 401)])
async def test_the_end_of_a_session_closes_its_sockets_and_no_others(
        end: End, status: int, served: Served, session: Any) -> None:
    other = await log_in(served)
    stays = await opened(served, other, after=1)
    mine = [await opened(served, session, after=1) for _ in range(3)]
    assert (await end(served, session, other)).status == status
    began = time.monotonic()
    await many(served, session, 3)
    for socket in mine:
        message = await socket.receive(timeout=5)
        assert message.type.name == "CLOSE" and socket.close_code == 4401, message
    assert time.monotonic() - began < 1
    assert await numbers(stays, 4) == [2, 3, 4]
    assert await close_code(await served.socket(session["access_token"])) == 4401
    await stays.close()
    await quiet(served)


async def test_a_session_that_ends_while_a_socket_of_it_is_being_opened(
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
    socket = await served.socket(session["access_token"])
    await reached.wait()
    await log_out(served, session, None)
    go.set()
    assert await close_code(socket, 3) == 4401
    await quiet(served)


async def test_a_server_that_stops_while_a_socket_is_being_opened(
        served: Served, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    authenticate, reached, go = served.foyer.gate.authenticate, asyncio.Event(), asyncio.Event()

    async def held(token: str) -> Member:
        member = await authenticate(token)
        reached.set()
        await go.wait()
        return member
    surroundings = replace(served.foyer.hub.surroundings, authenticate=held)
    monkeypatch.setattr(served.foyer.hub, "surroundings", surroundings)
    socket = await served.socket(session["access_token"])
    await reached.wait()
    await served.foyer.hub.close(0.01)
    go.set()
    assert await close_code(socket, 3) == 1001
    await quiet(served)


async def test_the_server_says_good_bye_to_everybody_at_once(served: Served, session: Any) -> None:
    sockets = [await opened(served, session) for _ in range(5)]
    stranger = await served.socket()
    closing = [asyncio.create_task(close_code(socket)) for socket in [*sockets, stranger]]
    await asyncio.sleep(0)
    began = time.monotonic()
    stopping = asyncio.create_task(served.foyer.hub.close())
    assert await asyncio.gather(*closing) == [1001] * 6
    assert time.monotonic() - began < 2
    await stopping


async def test_the_whole_server_stops_quickly_under_deaf_sockets(served: Served, session: Any) -> None:
    async with raw(served, f"Authorization: Bearer {session['access_token']}") as deaf, raw(served) as silent:
        await deaf.receive()
        began = time.monotonic()
        await served.stop()
        assert time.monotonic() - began < 8
        assert [await deaf.close_code(), await silent.close_code()] == [1001, 1001]


def expiring(served: Served, monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> None:
    """Lets the tokens named in `seconds` expire so soon."""
    authenticate, clock = served.foyer.gate.authenticate, served.foyer.hub.surroundings.clock

    async def near(token: str) -> Member:
        member = await authenticate(token)
        return replace(member, expires_at=clock() + int(seconds.get(token, 900) * 1000))
    monkeypatch.setattr(served.foyer.hub, "surroundings", replace(served.foyer.hub.surroundings, authenticate=near))


async def test_a_token_that_expires_closes_its_socket(served: Served, session: Any,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    expiring(served, monkeypatch, {session["access_token"]: 0.15})
    socket = await opened(served, session)
    began = time.monotonic()
    assert await close_code(socket) == 4401
    assert time.monotonic() - began < 1


async def test_another_token_extends_a_live_socket(served: Served, session: Any,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    other = await log_in(served)
    expiring(served, monkeypatch, {session["access_token"]: 0.2})
    socket = await opened(served, session, after=1)
    await socket.send_json({"type": "auth", "token": other["access_token"]})
    assert (await frame(socket, "ready"))["seq"] == 1
    loop = asyncio.get_running_loop()
    expired = loop.create_future()
    loop.call_later(0.3, expired.set_result, None)
    await expired
    await many(served, session, 2)
    assert await numbers(socket, 3) == [2, 3]
    assert (await log_out(served, session, None)).status == 204  # the socket is not that session's any more
    await many(served, session, 1)
    assert await numbers(socket, 4) == [4]
    await log_out(served, other, None)
    assert await close_code(socket) == 4401


async def test_an_auth_frame_with_after_goes_back(served: Served, session: Any) -> None:
    socket = await opened(served, session)
    await many(served, session, 3)
    assert await numbers(socket, 4) == [1, 2, 3, 4]
    await socket.send_json({"type": "auth", "token": session["access_token"], "after": 2})
    await frame(socket, "ready")
    assert await numbers(socket, 4) == [3, 4]
    await socket.send_json({"type": "auth", "token": session["access_token"]})
    await frame(socket, "ready")
    await many(served, session, 1)
    assert await numbers(socket, 5) == [5]
    await socket.close()


async def test_another_members_token_ends_it(served: Served, session: Any) -> None:
    bob = await served.api.sign_up("bob")
    socket = await opened(served, session, after=1)
    await socket.send_json({"type": "auth", "token": bob["access_token"], "after": 0})
    message = await socket.receive(timeout=5)
    assert message.type.name == "CLOSE" and socket.close_code == 4401
    await quiet(served)


@pytest.mark.parametrize("token", ["", "x", "a.b.c"])
async def test_a_bad_token_on_a_live_socket_ends_it(token: str, served: Served, session: Any) -> None:
    socket = await opened(served, session, after=1)
    await socket.send_json({"type": "auth", "token": token})
    assert await close_code(socket) == 4401


async def test_a_bad_frame_in_the_packet_of_the_upgrade_has_its_code(served: Served, session: Any) -> None:
    for _ in range(10):
        header = f"Authorization: Bearer {session['access_token']}"
        async with raw(served, header, first=masked(b"not JSON")) as socket:
            assert await socket.close_code() == 4400
    await quiet(served)


async def test_a_client_that_closes_is_forgotten(served: Served, session: Any) -> None:
    for code in (1000, 1001, 4000):
        socket = await opened(served, session)
        await socket.close(code=code)
    async with raw(served, f"Authorization: Bearer {session['access_token']}") as gone:
        await gone.receive()
        await until(lambda: served.foyer.hub.count == 1)
    await quiet(served)
