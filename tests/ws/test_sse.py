"""The event stream: what it says, where it begins, and that nothing is missing, whatever becomes of the connection."""
from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Serve
from tests.support import Served, frame
from tests.ws.event_source import Event, Parser, event_source, listening
from tests.ws.support import QUIET, many, numbers, opened, quiet
from ws import sse

HEAD = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no",
        "x-content-type-options": "nosniff", "server": "Foyer"}


async def test_it_begins_with_ready_and_goes_on_live(served: Served, session: Any) -> None:
    async with event_source(served, session["access_token"], "Accept: text/event-stream") as source:
        assert source.status == 200 and HEAD.items() <= source.headers.items() and source.headers["x-request-id"]
        ready = await source.expect("ready")
        assert ready.last_id == "" and source.parser.retry == 1000 + session["user"]["id"]
        assert ready.frame["user"] == {"id": session["user"]["id"], "username": "ada"} and ready.frame["seq"] == 1
        enriched = await source.expect("enriched")
        assert enriched.last_id == "1" and set(enriched.frame) == {"type", "seq", "at", "data"}
        for seq in (2, 3):
            await many(served, session, 1)
            assert (await source.expect("post_liked")).last_id == str(seq)
    await quiet(served)


async def test_the_frames_are_those_of_the_socket(served: Served, session: Any) -> None:
    await many(served, session, 120, "enriched", 300)
    socket = await served.socket(session["access_token"])
    async with event_source(served, session["access_token"]) as source:
        for _ in range(122):
            event = await source.next()
            assert event is not None and event.data == (await socket.receive(timeout=5)).data
    await socket.close()


async def test_where_it_begins(served: Served, session: Any) -> None:
    await many(served, session, 5)
    await served.api.post("/api/events/ack", {"seq": 2}, token=session["access_token"])
    for headers, query, first in (((), "", 3), (("Last-Event-ID: 4",), "", 5), ((), "?after=1", 2),
                                  (("Last-Event-ID: 5",), "?after=1", 6), (("Last-Event-ID:",), "?after=3", 4),
                                  (("last-event-id: 0",), "", 1)):
        async with event_source(served, session["access_token"], *headers, query=query) as source:
            await source.expect("ready")
            assert await source.numbers(6) == list(range(first, 7))


async def test_a_number_that_was_never_given_out_is_a_gap(served: Served, session: Any) -> None:
    await many(served, session, 2)
    for after in (4, 1000, 2**53 - 1):
        async with listening(served, session, after) as source:
            gap = await source.expect("gap")
            assert gap.data == '{"type":"gap","from":4}' and gap.last_id == "3"  # to come again there
    async with listening(served, session, 3) as source:
        await many(served, session, 1)
        assert await source.numbers(4) == [4]


async def test_a_gap_is_told_where_it_is(served: Served, session: Any) -> None:
    await many(served, session, 1005)
    async with listening(served, session, 0) as source:
        assert (await source.expect("enriched")).last_id == "1"
        gap = await source.expect("gap")
        assert gap.frame["from"] == 8 and gap.last_id == "7"
        assert await source.numbers(1006) == list(range(8, 1007))


@pytest.mark.parametrize("place", ["-1", "x", "1.5", "9007199254740992", "9" * 30, "１", "1 2", "0x1"])
async def test_bad_places(place: str, served: Served, session: Any) -> None:
    for headers, query, field in (({"Last-Event-ID": place}, {}, "Last-Event-ID"), ({}, {"after": place}, "after")):
        answer = await served.api.get("/api/events/stream", headers=headers, params=query,
                                      token=session["access_token"])
        assert answer.status == 422 and set(answer.fields) == {field}
    assert (await served.api.get("/api/events/stream?since=1", token=session["access_token"])).status == 422
    assert served.foyer.hub.count == 0


@pytest.mark.parametrize("accept, taken", [
    ("text/event-stream", True), ("*/*", True), ("text/*;q=0.1", True), ("Text/Event-Stream; charset=utf-8", True),
    ("application/json, text/event-stream;q=0.5", True), ("", True), ("text/event-stream;q=0.001", True),
    ("application/json", False), ("text/html, application/*", False), ("text/event-stream;q=0, */*", False),
    ("text/event-stream; q=0.000", False), ("text/*;q=0, */*", False)])
async def test_accept(accept: str, taken: bool, served: Served, session: Any) -> None:
    async with event_source(served, session["access_token"], f"Accept: {accept}") as source:
        assert source.status == (200 if taken else 406)
        if taken:
            await source.expect("ready")
        else:
            assert b'"code":"not_acceptable"' in await source.reader.read(2000)


async def test_head_opens_nothing(served: Served, session: Any) -> None:
    for _ in range(2):
        async with event_source(served, session["access_token"], "Connection: close", method="HEAD") as source:
            assert source.status == 200 and HEAD.items() <= source.headers.items()
            assert await source.reader.read() == b"" and served.foyer.hub.count == 0
    async with event_source(served, None, method="HEAD") as source:
        assert source.status == 401


async def test_http_1_0_gets_the_same_without_chunks(served: Served, session: Any) -> None:
    async with listening(served, session, 0, version="1.0") as source:
        assert "transfer-encoding" not in source.headers
        assert await source.numbers(1) == [1]
        await served.stop()
        assert await source.farewell() == 1001


@pytest.mark.parametrize("token", [None, "", "x", "a.b.c"])
async def test_nobody_listens_without_a_token(token: str | None, served: Served) -> None:
    async with event_source(served, token) as source:
        assert source.status == 401 and source.headers["www-authenticate"] == "Bearer"
    for name in ("token", "access_token"):
        answer = await served.api.get(f"/api/events/stream?{name}=x")
        assert answer.status == 401


async def test_other_web_sites_may_listen_when_they_are_named(serve: Serve) -> None:
    served = await serve({**QUIET, "cors.origins": "https://friend.example"})
    session = await served.api.sign_up("ada")
    async with event_source(served, session["access_token"], "Origin: https://friend.example") as source:
        assert source.headers["access-control-allow-origin"] == "https://friend.example"
        assert source.headers["vary"] == "Origin"
        await source.expect("ready")
    async with event_source(served, session["access_token"], "Origin: https://evil.example") as source:
        assert "access-control-allow-origin" not in source.headers and source.headers["vary"] == "Origin"
    asked = {"Origin": "https://friend.example", "Access-Control-Request-Method": "GET",
             "Access-Control-Request-Headers": "authorization,last-event-id"}
    preflight = await served.api.call("OPTIONS", "/api/events/stream", headers=asked)
    assert preflight.status == 200 and "LAST-EVENT-ID" in preflight.headers["Access-Control-Allow-Headers"].upper()


async def test_an_opening_is_counted_at_once_and_not_as_slow(served: Served, session: Any,
                                                             caplog: pytest.LogCaptureFixture) -> None:
    async with listening(served, session):
        text = (await served.api.get("/metrics")).raw.decode()
        assert 'foyer_http_requests_total{route="GET /api/events/stream",status="200"} 1.0' in text
        assert "foyer_sockets 1.0" in text
    assert not caplog.records


# -- everything, in order, once, to the member alone


async def test_order_under_writers_at_once_and_to_nobody_else(served: Served, session: Any) -> None:
    bob = await served.api.sign_up("bob")
    async with listening(served, session, 1) as one, listening(served, session, 1) as other, \
            listening(served, bob, 1) as stranger:
        socket = await opened(served, session, after=1)
        reading = [asyncio.create_task(source.numbers(301)) for source in (one, other)]
        reading.append(asyncio.create_task(numbers(socket, 301)))
        await asyncio.gather(*(many(served, session, 3, "enriched", random.Random(number).randrange(2000))
                               for number in range(100)))
        assert await asyncio.gather(*reading) == [list(range(2, 302))] * 3
        await many(served, bob, 1)
        assert await stranger.numbers(2) == [2]  # and nothing before it
        await socket.close()


async def test_real_likes_reach_the_author_only(served: Served) -> None:
    author, bob, carl = [await served.api.sign_up(name) for name in ("author", "bob", "carl")]
    post = await served.api.write_post(author["access_token"])
    async with listening(served, author, 1) as source, listening(served, bob, 1) as other:
        for liker in (bob, carl, bob):
            await served.api.call("PUT", f"/api/posts/{post['id']}/like", token=liker["access_token"])
        likes = [(await source.expect("post_liked")).frame["data"] for _ in range(2)]
        assert [like["by"]["username"] for like in likes] == ["bob", "carl"]
        await many(served, bob, 1, "email_verified")
        assert (await other.expect("email_verified")).last_id == "2"


async def test_after_a_dropped_connection_exactly_the_missing_ones_come(served: Served, session: Any) -> None:
    seen: list[int] = []
    total, chance = 400, random.Random(7)

    async def write() -> None:
        for _ in range(total - 1):
            await many(served, session, 1)
    writing = asyncio.create_task(write())
    while not seen or seen[-1] < total:
        async with listening(served, session, seen[-1] if seen else 0) as source:
            seen += await source.numbers(min(total, len(seen) + chance.randrange(1, 60)))
    await writing
    assert seen == list(range(1, total + 1))
    await quiet(served)


async def test_lost_and_doubled_nudges_are_harmless(served: Served, session: Any,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    tell, chance = served.foyer.nudges.tell, random.Random(3)

    def unreliable(user_id: int, seq: int, text: str) -> None:
        for _ in range(chance.choice((0, 1, 1, 2))):
            tell(user_id, seq, text)
    async with listening(served, session, 1) as source:
        monkeypatch.setattr(served.foyer.nudges, "tell", unreliable)
        for _ in range(100):
            await many(served, session, 1)
        monkeypatch.undo()
        await many(served, session, 1)
        assert await source.numbers(102) == list(range(2, 103))


async def test_a_socket_and_a_stream_do_not_disturb_each_other(served: Served, session: Any) -> None:
    socket = await opened(served, session, after=1)
    async with listening(served, session, 1) as source:
        await socket.send_json({"type": "ping"})
        await frame(socket, "pong")
        await socket.close()
        await many(served, session, 1)
        assert await source.numbers(2) == [2]


# -- the form


FRAMES = st.fixed_dictionaries({"type": st.sampled_from(["enriched", "post_liked"]), "seq": st.integers(1, 2**53 - 1),
                                "data": st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3)})


@given(st.lists(FRAMES, max_size=5), st.integers(1, 40), st.booleans())
def test_any_frame_arrives_as_it_was(frames: list[Any], size: int, spread: bool) -> None:
    import json
    texts = [json.dumps(told, ensure_ascii=False, indent=1 if spread else None) for told in frames]
    stream = b"".join(sse.block(text) + sse.KEEP_ALIVE for text in texts)
    parser = Parser()
    events = [event for at in range(0, len(stream), size) for event in parser.feed(stream[at:at + size])]
    assert [(event.type, event.last_id, json.loads(event.data)) for event in events] == [
        (told["type"], str(told["seq"]), told) for told in frames]
    assert parser.comments == len(frames)


def test_the_parser_does_what_the_standard_shows() -> None:
    """The examples of the standard, so that our own words are not their own judge."""
    def parse(text: str) -> list[Event]:
        return list(Parser().feed(text.encode(), final=True))
    assert parse("data: YHOO\ndata: +2\ndata: 10\n\n") == [Event("message", "YHOO\n+2\n10", "")]
    assert parse(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n") == [
        Event("message", "first event", "1"), Event("message", "second event", "")]
    assert parse("data\n\ndata\ndata\n\ndata:") == [Event("message", "", ""), Event("message", "\n", "")]
    assert parse("\ufeffevent: add\rdata:test\r\n\r\ndata: test\n\r") == [
        Event("add", "test", ""), Event("message", "test", "")]
