"""What a client may send, what it may not, and how large."""
from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from server.core.errors import StorageUnavailable
from tests.support import Served, close_code, frame, until
from tests.ws.support import many, masked, numbers, opened, quiet, raw

BAD = [
    "", " ", "x", "null", "1", "[]", '["ping"]', '"ping"', "{}", "{", '{"type":null}', '{"type":1}',
    '{"type":["ping"]}',
    '{"type":"nothing"}', '{"type":"PING"}', '{"type":"ready"}', '{"type":"ping"}{"type":"ping"}', '{"type":"ack"}',
    '{"type":"ack","seq":null}', '{"type":"ack","seq":"1"}', '{"type":"ack","seq":1.5}', '{"type":"ack","seq":-1}',
    '{"type":"ack","seq":true}', '{"type":"ack","seq":9007199254740992}', '{"type":"ack","seq":9223372036854775808}',
    '{"type":"ack","seq":1e400}', '{"type":"ack","seq":NaN}', '{"type":"ack","seq":[]}', '{"type":"resume"}',
    '{"type":"resume","after":-1}', '{"type":"resume","after":1.25}', '{"type":"resume","after":18446744073709551616}',
    '{"type":"auth"}', '{"type":"auth","token":1}', '{"type":"auth","token":null}',
    '{"type":"auth","token":"x","after":"7"}', '{"type":"auth","token":"\\ud800"}', '{"type":"auth","token":"\0"}',
    '{"type":"pi\0ng"}', "[" * 60_000, '{"a":' * 9_000,
]


async def test_bad_frames_on_a_live_socket(served: Served, session: Any) -> None:
    for text in BAD:
        socket = await opened(served, session)
        await socket.send_str(text)
        assert await close_code(socket) == 4400, text[:80]
    await quiet(served)


async def test_bad_first_frames(served: Served) -> None:
    for text in BAD:
        socket = await served.socket()
        await socket.send_str(text)
        assert await close_code(socket) == 4400, text[:80]
    await quiet(served)


@pytest.mark.parametrize("authenticated", [True, False])
async def test_binary_frames(authenticated: bool, served: Served, session: Any) -> None:
    socket = await opened(served, session) if authenticated else await served.socket()
    await socket.send_bytes(b'{"type":"ping"}')
    assert await close_code(socket) == 4400


async def test_what_is_no_utf8_is_the_protocols_own_error(served: Served, session: Any) -> None:
    async with raw(served, f"Authorization: Bearer {session['access_token']}") as socket:
        socket.send(b'{"type":"ping","x":"\xff"}')
        assert await socket.close_code() in (1007, 4400)
    await quiet(served)


async def test_unknown_fields_are_passed_over(served: Served, session: Any) -> None:
    socket = await opened(served, session, after=1)
    await socket.send_str('{"x":{"deep":[1,null]},"type":"ping","":0,"type2":"ack","a":"\\u0000"}')
    assert await frame(socket, "pong") == {"type": "pong"}
    await socket.close()


def padded(size: int) -> bytes:
    empty = len(json.dumps({"type": "ping", "padding": ""}))
    return json.dumps({"type": "ping", "padding": "x" * (size - empty)}).encode()


@pytest.mark.parametrize("authenticated", [True, False])
async def test_64_kib_is_a_frame_and_one_byte_more_is_not(authenticated: bool, served: Served, session: Any) -> None:
    whole = 64 * 1024
    if authenticated:
        socket = await opened(served, session, after=1)
        await socket.send_str(padded(whole).decode())
        await frame(socket, "pong")
    else:
        socket = await served.socket()
    await socket.send_str(padded(whole + 1).decode())
    assert await close_code(socket) == 1009
    await quiet(served)


async def test_a_frame_in_pieces_counts_as_one(served: Served, session: Any) -> None:
    header = f"Authorization: Bearer {session['access_token']}"
    text = padded(64 * 1024)
    for extra, expected in ((b"", None), (b" ", 1009)):
        async with raw(served, header) as socket:
            assert [(await socket.receive())[0] for _ in range(2)] == [1, 1]  # ready, enriched
            pieces = [text[:30_000], text[30_000:60_000], text[60_000:] + extra]
            for number, piece in enumerate(pieces):
                socket.send(piece, opcode=1 if number == 0 else 0, final=number == 2)
            if expected is None:
                assert (await socket.receive())[1] == b'{"type":"pong"}'
            else:
                assert await socket.close_code() == expected
    await quiet(served)


async def test_each_ping_has_its_pong_also_a_thousand_at_once(served: Served, session: Any) -> None:
    async with raw(served, f"Authorization: Bearer {session['access_token']}") as socket:
        assert [(await socket.receive())[0] for _ in range(2)] == [1, 1]
        socket.writer.write(masked(b'{"type":"ping"}') * 1000)
        assert {(await socket.receive())[1] for _ in range(1000)} == {b'{"type":"pong"}'}
    await quiet(served)


async def test_who_asks_and_does_not_listen_costs_no_memory(served: Served, session: Any) -> None:
    async with raw(served, f"Authorization: Bearer {session['access_token']}", limit=1024) as socket:
        connection = await until(lambda: next(iter(served.foyer.hub._all), None))
        sent, most = 0, 0
        burst = masked(b'{"type":"ping"}') * 3000
        while sent < 200:
            socket.writer.write(burst)
            sent += 1
            await asyncio.sleep(0)
            most = max(most, len(connection._replies))
            if socket.writer.transport.get_write_buffer_size() > 2**22:
                break
        assert most <= 100
    await quiet(served)


async def test_resume_goes_back_and_forth(served: Served, session: Any) -> None:
    await many(served, session, 149)
    socket = await opened(served, session, after=150)
    for after, expected in ((147, [148, 149, 150]), (0, list(range(1, 151))), (149, [150])):
        await socket.send_json({"type": "resume", "after": after})
        assert await numbers(socket, 150) == expected
    await socket.send_json({"type": "resume", "after": 150})
    await many(served, session, 1)
    assert await numbers(socket, 151) == [151]
    await socket.close()


async def test_after_what_was_never_given_out_is_a_gap(served: Served, session: Any) -> None:
    await many(served, session, 2)
    for after in (4, 1000, 2**53 - 1):
        socket = await opened(served, session, after=after)
        assert await frame(socket, "gap") == {"type": "gap", "from": 4}
        await socket.send_json({"type": "resume", "after": after})
        assert await frame(socket, "gap") == {"type": "gap", "from": 4}
        await socket.close()
    socket = await opened(served, session, after=1000)
    await frame(socket, "gap")
    await many(served, session, 2)
    assert await numbers(socket, 5) == [4, 5]
    await socket.close()


async def acknowledged(served: Served, session: Any, seq: int) -> bool:
    page = await served.api.get("/api/events", token=session["access_token"])
    return [event["seq"] for event in page.data][:1] == [seq + 1]


async def test_ack_moves_forward_only_and_where_the_stream_begins(served: Served, session: Any) -> None:
    await many(served, session, 5)
    socket = await opened(served, session, after=6)
    for seq in (3, 1, 0, 7, 2**53 - 1):  # the last two were never given out
        await socket.send_json({"type": "ack", "seq": seq})
    await socket.send_json({"type": "ping"})
    await frame(socket, "pong")
    await socket.close()
    assert await acknowledged(served, session, 3)
    again = await served.socket(session["access_token"])
    assert (await frame(again, "ready"))["seq"] == 6
    assert await numbers(again, 6) == [4, 5, 6]
    await again.close()


async def test_an_ack_that_cannot_be_stored_costs_nobody_the_socket(
        served: Served, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = await opened(served, session, after=1)

    async def refuses(*_: object) -> None:
        raise StorageUnavailable
    with monkeypatch.context() as patch:
        patch.setattr(served.foyer.database, "write", refuses)
        await socket.send_json({"type": "ack", "seq": 1})
        await socket.send_json({"type": "ping"})
        await frame(socket, "pong")
    await many(served, session, 1)
    assert await numbers(socket, 2) == [2]
    await socket.close()
