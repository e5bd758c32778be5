"""What goes over the wire, and what must not; how the session behaves when the other side does not."""
from __future__ import annotations

import asyncio
import gzip
import logging
import time as real_time
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from server.providers.clearbit import Clearbit
from server.providers.gravatar import Gravatar, hashed
from server.providers.http import Answer, ProviderHttp
from server.providers.hunter import Hunter
from server.providers.outcome import Outcome
from server.sandbox.app import Sandbox
from tests.providers.conftest import WebServer

ADA = "ada.o'neill+tag%20&x=1#é@lovelace.example"
KEY = "k3y-that-must-not-leak"


async def get(http: ProviderHttp, url: str, timeout: float = 10.0) -> Answer | Outcome:
    return await http.get(url, {}, {}, timeout)


def reason(got: Answer | Outcome) -> str:
    assert isinstance(got, Outcome) and got.kind == "broken"
    return got.reason


async def test_the_request_of_each_call(web_server: WebServer, http: ProviderHttp) -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=404, text="{}")
    url = await web_server(handler)
    await Hunter(http, url + "/v/", KEY, paced=False).verify(ADA)
    await Hunter(http, url, KEY, paced=False).find(ADA)
    await Clearbit(http, url, KEY, paced=False).find(ADA)
    assert [request.path for request in seen] == [
        "/v/v2/email-verifier", "/v2/combined/find", "/v2/combined/find"]
    for request in seen:
        assert request.query == {"email": ADA}
        assert "%2B" in request.raw_path and "+" not in request.raw_path and KEY not in request.raw_path
        assert request.headers["Accept-Encoding"] == "identity"
        assert request.headers["User-Agent"] == "Foyer"
    assert [request.headers.get("X-API-KEY") for request in seen] == [KEY, KEY, None]
    assert [request.headers.get("Authorization") for request in seen] == [None, None, f"Bearer {KEY}"]


@pytest.mark.parametrize("key, header", [("", None), (KEY, f"Bearer {KEY}")])
async def test_of_the_address_gravatar_is_told_the_hash_alone(key: str, header: str | None, web_server: WebServer,
                                                              http: ProviderHttp) -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({"error": "Profile not found"}, status=404)
    url = await web_server(handler)
    for email in ("MyEmailAddress@example.com ", "myemailaddress@example.com"):
        assert (await Gravatar(http, url + "/base/", key, paced=False).find(email)).kind == "not_found"
    of_the_documentation = "84059b07d4be67b806386c0aad8070a23f18836bbaae342275dc0a83414c32ee"
    assert [request.path_qs for request in seen] == [f"/base/v3/profiles/{of_the_documentation}"] * 2
    for request in seen:
        assert request.headers.get("Authorization") == header
        assert "myemailaddress" not in str(request.headers).lower()


async def test_no_redirect_is_followed(sandbox: Sandbox, http: ProviderHttp, control: aiohttp.ClientSession,
                                       switch: Any) -> None:
    for provider, endpoint in (("hunter", "verifier"), ("hunter", "find"), ("clearbit", "find"),
                               ("gravatar", "profile")):
        await switch(provider, {endpoint: ["redirect"]})
        client = {"hunter": Hunter, "clearbit": Clearbit, "gravatar": Gravatar}[provider](
            http, f"{sandbox.url}/{provider}", KEY, paced=False)
        ask = client.verify if isinstance(client, Hunter) and endpoint == "verifier" else client.find
        assert (await ask(ADA)).kind == "broken"
    async with control.get("/_calls/elsewhere") as response:
        assert await response.json() == {"total": 0, "with_key": 0}


async def test_neither_key_nor_address_in_any_log(sandbox: Sandbox, http: ProviderHttp, switch: Any,
                                                  caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for position in ("401", "500-html", "429-quota", "reset", "cut-json", "403-limit", "redirect", "451"):
        await switch("hunter", {"verifier": [position], "find": [position]})
        hunter = Hunter(http, sandbox.url + "/hunter", KEY, paced=False)
        outcomes = [await hunter.verify(ADA), await hunter.find(ADA)]
        assert all(ADA not in repr(each) and KEY not in repr(each) for each in outcomes)
        assert KEY not in repr(hunter.describe())
    for position in ("401", "500-html", "429", "reset", "cut-json", "cut-body", "redirect", "451", "huge", "found"):
        await switch("gravatar", {"profile": [position]})
        gravatar = Gravatar(http, sandbox.url + "/gravatar", KEY, paced=False)
        outcome = await gravatar.find(ADA)
        assert hashed(ADA) not in repr(outcome) and KEY not in repr(outcome) + repr(gravatar.describe())
    assert caplog.records
    assert KEY not in caplog.text and "lovelace" not in caplog.text and hashed(ADA) not in caplog.text


async def test_nobody_listens(http: ProviderHttp) -> None:
    got = await get(http, f"http://127.0.0.1:{unused_port()}/")
    assert reason(got) == "no answer: ClientConnectorError"


@pytest.mark.parametrize("url", ["http://", "nonsense", "ftp://127.0.0.1/", "http://a b/", "http://[::1", ""])
async def test_a_url_that_is_none(url: str, http: ProviderHttp) -> None:
    assert reason(await get(http, url)).startswith("no answer: ")


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "\ud800"])
async def test_a_key_that_is_no_header(key: str, sandbox: Sandbox, http: ProviderHttp) -> None:
    outcome = await Hunter(http, sandbox.url + "/hunter", key, paced=False).verify("ada@lovelace.example")
    assert outcome.kind in ("broken", "off") and "Evil" not in outcome.reason


async def test_before_opening_and_after_closing() -> None:
    http = ProviderHttp()
    await http.close()
    assert reason(await get(http, "http://127.0.0.1/")) == "session closed"
    await http.open()
    await http.close()
    await http.close()
    assert reason(await get(http, "http://127.0.0.1/")) == "session closed"


async def test_a_body_up_to_the_cap_is_read_and_no_byte_more(web_server: WebServer) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.path[1:]))
    url = await web_server(handler)
    async with ProviderHttp(max_body=200_000) as http:
        full = await get(http, url + "/200000")
        assert isinstance(full, Answer) and len(full.body) == 200_000
        assert reason(await get(http, url + "/200001")) == "body too large"


async def test_a_compressed_bomb_is_stopped_at_the_cap(web_server: WebServer, http: ProviderHttp) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})
    assert reason(await get(http, await web_server(handler))) == "body too large"


async def test_an_endless_body_is_stopped_at_the_cap(web_server: WebServer, http: ProviderHttp) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
    assert reason(await get(http, await web_server(handler))) == "body too large"


async def test_the_deadline_covers_a_body_that_drips(web_server: WebServer, http: ProviderHttp) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)
    began = real_time.monotonic()
    assert reason(await get(http, await web_server(handler), 0.1)) == "timeout"
    assert real_time.monotonic() - began < 2.0


async def test_cookies_are_not_kept(web_server: WebServer, http: ProviderHttp) -> None:
    cookies: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "who=you; Path=/"})
    url = await web_server(handler)
    await get(http, url)
    await get(http, url)
    assert cookies == [None, None]


async def test_a_proxy_of_the_environment_is_not_used(web_server: WebServer, http: ProviderHttp,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text="direct")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port()}")
    got = await get(http, await web_server(handler))
    assert isinstance(got, Answer) and got.body == b"direct"


async def test_cancelling_goes_through_and_frees_the_probe(web_server: WebServer, http: ProviderHttp) -> None:
    arrived = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError
    hunter = Hunter(http, await web_server(handler), KEY, paced=False)
    task = asyncio.create_task(hunter.verify(ADA))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hunter.describe()["state"] == "ready"


async def test_sixteen_calls_at_once(sandbox: Sandbox, http: ProviderHttp) -> None:
    clearbit = Clearbit(http, sandbox.url + "/clearbit", KEY, paced=False)
    outcomes = await asyncio.gather(*(clearbit.find(f"ada{n}@lovelace.example") for n in range(16)))
    assert {outcome.kind for outcome in outcomes} == {"found"}
