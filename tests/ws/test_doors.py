"""How a socket is opened, and by whom it is not: the token, the origin, the upgrade, the number of sockets."""
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conftest import Serve
from tests.support import Served, close_code, frame
from tests.ws.support import QUIET, many, masked, numbers, opened, quiet, raw


async def test_by_the_header_the_stream_begins_at_once(served: Served, session: Any) -> None:
    socket = await served.socket(session["access_token"])
    ready = await frame(socket, "ready")
    assert set(ready) == {"type", "user", "seq", "epoch"}
    assert ready["user"] == {"id": session["user"]["id"], "username": "ada"}
    assert ready["seq"] == 1 and isinstance(ready["epoch"], str) and ready["epoch"]
    enriched = await frame(socket, "enriched")
    assert set(enriched) == {"type", "seq", "at", "data"} and enriched["seq"] == 1
    await socket.close()


async def test_by_the_first_frame_with_and_without_after(served: Served, session: Any) -> None:
    await many(served, session, 4)
    for after, first in ((None, 1), (0, 1), (3, 4)):
        socket = await opened(served, session, after)
        assert await numbers(socket, 5) == list(range(first, 6))
        await socket.close()


async def test_the_epoch_stays_over_a_restart(serve: Serve) -> None:
    epochs = []
    for name in ("ada", "bob"):
        served = await serve(QUIET)
        socket = await served.socket((await served.api.sign_up(name))["access_token"])
        epochs.append((await frame(socket, "ready"))["epoch"])
        await socket.close()
        await served.stop()
    assert epochs[0] == epochs[1]


async def test_nobody_who_says_nothing_stays(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ws.connection.AUTH_SECONDS", 0.1)
    assert await close_code(await served.socket()) == 4408


async def test_pings_of_the_protocol_do_not_prolong_the_time_to_say_who_one_is(
        served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ws.connection.AUTH_SECONDS", 0.2)
    async with raw(served) as socket:
        pongs = 0
        while True:
            socket.send(b"", opcode=9)
            opcode, payload = await socket.receive()
            if opcode == 8:
                break
            pongs += 1
            assert pongs < 100_000
    assert payload[:2] == (4408).to_bytes(2, "big")


BAD_TOKENS = ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "\0", "é", " ", "x" * 60_000]


@pytest.mark.parametrize("token", BAD_TOKENS)
async def test_a_bad_token_in_the_frame(token: str, served: Served) -> None:
    socket = await served.socket()
    await socket.send_json({"type": "auth", "token": token})
    assert await close_code(socket) == 4401


@pytest.mark.parametrize("header", ["Bearer x", "Bearer", "Basic YTpi", "x", "Bearer a.b.c", "bearer  "])
async def test_a_bad_token_in_the_header(header: str, served: Served, session: Any) -> None:
    socket = await served.socket(headers={"Authorization": header})
    assert await close_code(socket) == 4401


async def test_a_refresh_token_is_no_access_token(served: Served, session: Any) -> None:
    socket = await served.socket(session["refresh_token"])
    assert await close_code(socket) == 4401


@pytest.mark.parametrize("name", ["token", "access_token", "auth"])
async def test_a_token_in_the_url_is_not_looked_at(name: str, served: Served, session: Any,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ws.connection.AUTH_SECONDS", 0.1)
    socket = await served.api.session.ws_connect(f"{served.url}/ws?{name}={session['access_token']}")
    assert await close_code(socket) == 4408


@pytest.mark.parametrize("first", [{"type": "ping"}, {"type": "resume", "after": 0}, {"type": "ack", "seq": 1}])
async def test_nothing_comes_before_auth(first: Any, served: Served) -> None:
    socket = await served.socket()
    await socket.send_json(first)
    assert await close_code(socket) in (4400, 4401)


async def test_auth_in_the_packet_of_the_upgrade(served: Served, session: Any) -> None:
    text = f'{{"type":"auth","token":"{session["access_token"]}"}}'.encode()
    async with raw(served, first=masked(text) + masked(b'{"type":"ping"}')) as socket:
        received = [await socket.receive() for _ in range(3)]
    assert [b"ready" in received[0][1], b"pong" in b"".join(text for _, text in received)] == [True, True]


def origins(port: int) -> dict[str, bool]:
    own = {f"http://127.0.0.1:{port}": True, f"HTTP://127.0.0.1:{port}": True, f"http://LOCALHOST:{port}": True,
           "https://friend.example": True, "https://FRIEND.example": True}
    here = f"http://127.0.0.1:{port}"
    forged = ["null", "", "http://evil.example", f"{here}.evil.example", f"http://127.0.0.1:{port + 1}", f"{here}/",
              "http://127.0.0.1", f"https://127.0.0.1:{port}", f"http://x@127.0.0.1:{port}", f"{here} {here}",
              "https://friend.example.evil.example", "https://evil.example#https://friend.example",
              "http://friend.example", "https://friend.example:444", f"http://127.0.0.1:{port}, http://evil.example"]
    return own | dict.fromkeys(forged, False)


async def test_origins(serve: Serve) -> None:
    served = await serve(QUIET | {"cors.origins": "https://friend.example"})
    session = await served.api.sign_up()
    for origin, allowed in origins(served.foyer.port).items():
        socket = await served.socket(session["access_token"], headers={"Origin": origin})
        if allowed:
            await frame(socket, "ready")
            await socket.close()
        else:
            assert await close_code(socket) == 4403, origin
    await quiet(served)


async def test_a_forged_origin_is_not_read_from(served: Served, session: Any) -> None:
    text = f'{{"type":"auth","token":"{session["access_token"]}"}}'.encode()
    async with raw(served, "Origin: http://evil.example", first=masked(text)) as socket:
        opcode, payload = await socket.receive()
    assert (opcode, payload[:2]) == (8, (4403).to_bytes(2, "big"))


async def test_a_public_url_is_the_only_own_origin(serve: Serve) -> None:
    served = await serve(QUIET | {"server.public_url": "https://foyer.example"})
    session = await served.api.sign_up()
    for origin, allowed in (("https://foyer.example", True), (f"http://127.0.0.1:{served.foyer.port}", False)):
        socket = await served.socket(session["access_token"], headers={"Origin": origin})
        if allowed:
            await frame(socket, "ready")
            await socket.close()
        else:
            assert await close_code(socket) == 4403


@pytest.mark.parametrize("headers", [
    {}, {"Upgrade": "websocket"}, {"Connection": "Upgrade", "Upgrade": "h2c"},
    {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "7", "Sec-WebSocket-Key": "eA=="}])
async def test_without_a_proper_upgrade_it_is_a_problem(headers: dict[str, str], served: Served) -> None:
    answer = await served.api.get("/ws", headers=headers)
    assert answer.status in (400, 426)
    assert answer.code in ("upgrade_required", "malformed")
    if not headers:
        assert answer.status == 426 and answer.headers["Upgrade"] == "websocket"
    assert (await served.api.post("/ws")).status == 405


async def test_what_is_measured_is_how_long_the_opening_takes(
        served: Served, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[float] = []

    def count(route: str, status: int, seconds: float) -> None:
        if (route, status) == ("GET /ws", 101):
            counted.append(seconds)
    monkeypatch.setattr(served.foyer.metrics.requests, "count", count)
    began = asyncio.get_running_loop().time()
    socket = await opened(served, session, after=1)
    took = asyncio.get_running_loop().time() - began
    assert len(counted) == 1 and counted[0] <= took  # while it is open
    await socket.send_json({"type": "resume", "after": 0})
    await numbers(socket, 1)
    assert await close_code(await served.socket(headers={"Origin": "http://evil.example"})) == 4403
    await socket.close()
    await quiet(served)
    assert len(counted) == 2


async def test_one_socket_too_many(serve: Serve) -> None:
    served = await serve({"sandbox.mode": "off"})
    ada, bob = [await served.api.sign_up(name) for name in ("ada", "bob")]
    sockets = [await opened(served, ada) for _ in range(10)]
    assert await close_code(await served.socket(ada["access_token"])) == 4429
    sockets.append(await opened(served, bob))  # another member's are another matter
    await sockets.pop(0).close()
    await many(served, ada, 1)
    sockets.append(await opened(served, ada))
    assert served.foyer.hub.count == 11
    for socket in sockets:
        await socket.close()
    await quiet(served)


async def test_twenty_at_once_leave_ten(serve: Serve) -> None:
    served = await serve({"sandbox.mode": "off"})
    ada = await served.api.sign_up("ada")
    sockets = await asyncio.gather(*(served.socket(ada["access_token"]) for _ in range(20)))
    firsts = await asyncio.gather(*(socket.receive(timeout=5) for socket in sockets))
    assert sum(message.type.name == "TEXT" for message in firsts) == 10
    assert sorted(socket.close_code or 0 for socket in sockets) == [0] * 10 + [4429] * 10
    for socket in sockets:
        await socket.close()
    await quiet(served)
