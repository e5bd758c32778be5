"""The public client against a server that misbehaves on purpose."""

import asyncio
from datetime import datetime, timedelta, timezone

import pytest
from aiohttp import web

from bot.client import FoyerClient
from bot.errors import ApiError, BadAnswer, LimitReached, NotSignedIn, ServerUnreachable
from tests.bot.fake_server import FakeServer, drop, problem


async def test_sign_up_signs_in(ada: FoyerClient) -> None:
    me = await ada.me()
    assert (me.username, me.email) == ("ada", "ada@example.org")
    assert me.enrichment is not None and me.enrichment.status == "found"


async def test_posts_and_likes_are_read_to_the_last_page(ada: FoyerClient, fake: FakeServer) -> None:
    for n in range(5):
        await ada.create_post(f"title {n}", "text")
    fake.likes[3] = ["x", "y", "z"]
    assert [post.title async for post in ada.posts(author="ada")] == [f"title {n}" for n in (4, 3, 2, 1, 0)]
    assert [liker.username async for liker in ada.likes(3)] == ["z", "y", "x"]
    assert fake.count("GET /api/posts") == 3


async def test_like_and_unlike(ada: FoyerClient) -> None:
    await ada.create_post("title", "text", "https://example.org/")
    assert (await ada.like(1)).like_count == 1
    assert (await ada.unlike(1)).like_count == 0


@pytest.mark.parametrize("status", [429, 503])
async def test_waits_as_long_as_it_is_asked_to(ada: FoyerClient, fake: FakeServer, slept: list[float],
                                               status: int) -> None:
    fake.canned["GET /api/me"].append(lambda _: problem(status, "busy", **{"Retry-After": "7"}))
    await ada.me()
    assert len(slept) == 1 and 7 <= slept[0] <= 8


async def test_retry_after_may_be_a_date_of_the_servers_clock(ada: FoyerClient, fake: FakeServer,
                                                              slept: list[float]) -> None:
    headers = {"Retry-After": "Sat, 01 Jan 2000 00:00:30 GMT", "Date": "Sat, 01 Jan 2000 00:00:00 GMT"}
    fake.canned["GET /api/me"].append(lambda _: problem(503, "busy", **headers))
    await ada.me()
    assert len(slept) == 1 and 30 <= slept[0] <= 31


async def test_a_wait_of_exactly_the_limit_is_accepted(ada: FoyerClient, fake: FakeServer) -> None:
    fake.canned["GET /api/me"].append(lambda _: problem(429, "rate_limited", **{"Retry-After": "60"}))
    await ada.me()


async def test_a_longer_wait_names_the_limit(stranger: FoyerClient, fake: FakeServer,
                                             slept: list[float]) -> None:
    headers = {"Retry-After": "3600", "RateLimit-Policy": "signup"}
    fake.canned["POST /api/signup"].append(lambda _: problem(429, "rate_limited", **headers))
    with pytest.raises(LimitReached) as caught:
        await stranger.sign_up("ada", "ada@example.org", "a long password")
    error = caught.value
    assert (error.limit, error.code, error.retry_after) == ("signup", "rate_limited", 3600)
    assert "signup" in str(caught.value) and "3600 s" in str(caught.value) and slept == []


async def test_a_server_that_always_asks_to_wait_is_given_up(ada: FoyerClient, fake: FakeServer) -> None:
    fake.canned["GET /api/me"].extend([lambda _: problem(429, "rate_limited", **{"Retry-After": "1"})] * 30)
    with pytest.raises(LimitReached, match="rate_limited"):
        await ada.me()


async def test_a_dropped_sign_up_and_post_are_repeated_with_their_key(stranger: FoyerClient,
                                                                      fake: FakeServer) -> None:
    fake.canned["POST /api/signup"].append(drop)
    await stranger.sign_up("ada", "ada@example.org", "a long password")
    fake.canned["POST /api/posts"].append(drop)
    await stranger.create_post("title", "text")
    keys = [headers["Idempotency-Key"] for call, headers in fake.calls if call.startswith("POST")]
    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert len(fake.names) == len(fake.posts) == 1


async def test_a_given_key_is_used(ada: FoyerClient, fake: FakeServer) -> None:
    first = await ada.create_post("title", "text", idempotency_key="mine")
    assert await ada.create_post("title", "text", idempotency_key="mine") == first
    assert len(fake.posts) == 1


async def test_a_bad_gateway_is_tried_again(ada: FoyerClient, fake: FakeServer, slept: list[float]) -> None:
    fake.canned["PUT /api/posts/1/like"].extend([lambda _: web.Response(status=502)] * 2)
    await ada.create_post("title", "text")
    assert (await ada.like(1)).like_count == 1
    assert len(slept) == 2


async def test_a_dropped_change_is_not_repeated(ada: FoyerClient, fake: FakeServer,
                                                slept: list[float]) -> None:
    fake.canned["PATCH /api/me"].append(drop)
    with pytest.raises(ServerUnreachable):
        await ada.update_me(name="Ada")
    assert slept == []


async def test_no_server_at_all(unused_tcp_port: int, slept: list[float]) -> None:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with FoyerClient(f"http://127.0.0.1:{unused_tcp_port}", sleep=sleep) as client:
        with pytest.raises(ServerUnreachable, match="cannot be reached"):
            await client.login("ada", "a long password")
    assert len(slept) == 5 and all(0.2 <= seconds <= 10 for seconds in slept)


async def test_a_refusal_tells_everything(ada: FoyerClient, fake: FakeServer) -> None:
    fake.canned["POST /api/posts"].append(lambda _: problem(422, "invalid"))
    with pytest.raises(ApiError) as caught:
        await ada.create_post("title", "text")
    error = caught.value
    assert (error.status, error.code, error.detail) == (422, "invalid", "it is invalid")
    assert error.request_id == "r1"
    assert error.errors[0]["field"] == "title" and "title: too_long" in str(error)


async def test_something_else_than_foyer(stranger: FoyerClient, fake: FakeServer) -> None:
    fake.canned["GET /api/me"].append(lambda _: web.Response(text="<html>", content_type="text/html"))
    fake.canned["GET /api/me"].append(lambda _: web.json_response({"data": {"id": "x"}}))
    for _ in range(2):
        with pytest.raises(BadAnswer):
            await stranger.me()


async def test_a_401_renews_the_token_once(ada: FoyerClient, fake: FakeServer) -> None:
    del fake.tokens["access1"]
    await ada.me()
    assert fake.count("POST /api/token/refresh") == 1
    fake.canned["GET /api/me"].extend([lambda _: problem(401, "bad_token")] * 2)
    with pytest.raises(ApiError, match="bad_token"):
        await ada.me()
    assert fake.count("POST /api/token/refresh") == 2


async def test_many_401_at_once_renew_once(ada: FoyerClient, fake: FakeServer) -> None:
    del fake.tokens["access1"]
    await asyncio.gather(*(ada.me() for _ in range(20)))
    assert fake.count("POST /api/token/refresh") == 1


async def test_an_ended_session_is_reported(ada: FoyerClient, fake: FakeServer) -> None:
    fake.tokens.clear()
    fake.refreshing.clear()
    with pytest.raises(ApiError, match="token_reused"):
        await ada.me()


async def test_a_token_is_renewed_before_it_expires(stranger: FoyerClient, fake: FakeServer,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    await stranger.sign_up("ada", "ada@example.org", "a long password")
    await stranger.me()
    monkeypatch.setattr(stranger._tokens, "_clock", lambda: stranger._tokens._renew_at)
    await stranger.me()
    assert [call for call, _ in fake.calls][-2:] == ["POST /api/token/refresh", "GET /api/me"]


async def test_lifetimes_are_told_by_the_servers_clock(stranger: FoyerClient, fake: FakeServer) -> None:
    wrong = datetime(2001, 1, 1, tzinfo=timezone.utc)
    expires = (wrong + timedelta(minutes=15)).isoformat()
    pair = {"access_token": "a", "refresh_token": "r", "expires_at": expires}
    fake.names.append("ada")
    body = {"data": {"user": fake.profile("ada"), **pair}}
    date = {"Date": "Mon, 01 Jan 2001 00:00:00 GMT"}
    fake.canned["POST /api/login"].append(lambda _: web.json_response(body, headers=date))
    await stranger.login("ada", "a long password")
    assert 860 < stranger._tokens.seconds_left() <= 870


async def test_logout_forgets_the_tokens(ada: FoyerClient, fake: FakeServer) -> None:
    fake.canned["POST /api/logout"].append(lambda _: problem(401, "bad_token"))
    await ada.logout()
    assert not ada._tokens.signed_in
    with pytest.raises(NotSignedIn):
        await ada.refresh()


async def test_the_token_never_stands_in_a_url(ada: FoyerClient, fake: FakeServer) -> None:
    await ada.me()
    async with ada.events() as events:
        await anext(events)
    assert fake.urls and not any("access1" in url for url in fake.urls)


async def test_stored_events_end_with_the_last(ada: FoyerClient, fake: FakeServer) -> None:
    fake.add_event("ada", "post_liked", {})
    assert [event.seq async for event in ada.stored_events(0)] == [1, 2]
