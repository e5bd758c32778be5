"""What is no proper HTTP is answered as a problem as well, without an echo and without a word in the log."""
from __future__ import annotations

import asyncio
import json

import pytest

from server.core.errors import CODES
from tests.support import Served

HOST = b"Host: foyer.test\r\n"
MARK = b"m4rker"
JSON_TYPE = b"Content-Type: application/json\r\n"
BROKEN = {
    "no http": (b"<script>" + MARK + b"</script>\r\n\r\n", 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00" + MARK + b"\r\n\r\n", 400),
    "version": (b"GET /" + MARK + b" HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    "method": (b"B\xffEW /" + MARK + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "path": (b"GET /" + MARK + b"\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "header without colon": (b"GET / HTTP/1.1\r\n" + HOST + MARK + b"\r\n\r\n", 400),
    "NUL in a header": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + MARK + b"\0\r\n\r\n", 400),
    "space before colon": (b"GET / HTTP/1.1\r\n" + HOST + MARK + b" : 1\r\n\r\n", 400),
    "two hosts": (b"GET /api/posts HTTP/1.1\r\n" + HOST + b"Host: " + MARK + b"\r\n\r\n", 400),
    "no host": (b"GET /api/posts?" + MARK + b" HTTP/1.1\r\n\r\n", 400),
    "length and chunks": (b"POST /api/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 4"
                          b"\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
                    400),
    "odd length": (b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
    "odd chunks": (b"POST /api/login HTTP/1.1\r\n" + HOST + JSON_TYPE + b"Transfer-Encoding: chunked\r\n\r\n"
                   + MARK + b"\r\n", 400),
    "late odd chunks": (b"POST /api/login HTTP/1.1\r\n" + HOST + JSON_TYPE + b"Transfer-Encoding: chunked\r\n\r\n"
                        b"2\r\n{}\r\nzz" + MARK + b"\r\n", 400),
    "odd transfer": (b"POST /api/login HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: " + MARK + b"\r\n\r\n", 400),
    "odd expectation": (b"POST /api/login HTTP/1.1\r\n" + HOST + b"Expect: " + MARK
                        + b"\r\nContent-Length: 2\r\n\r\n{}", 400),
    "odd expectation of nothing": (b"GET /nothing HTTP/1.1\r\n" + HOST + b"Expect: " + MARK + b"\r\n\r\n", 400),
    "long header": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + MARK * 1500 + b"\r\n\r\n", 431),
    "long header name": (b"GET / HTTP/1.1\r\n" + HOST + MARK * 1500 + b": 1\r\n\r\n", 431),
    "long path": (b"GET /" + MARK * 1500 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
    "bad gzip": (b"POST /api/login HTTP/1.1\r\n" + HOST + JSON_TYPE + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n"
                 b"\r\n" + MARK, 400),
}


async def _say(server: Served, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends bytes and reads one whole answer."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
    finally:
        writer.close()
        await writer.wait_closed()
    return int(head[0].split(" ")[1]), headers, body


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_request_is_a_problem(server: Served, name: str, caplog: pytest.LogCaptureFixture) -> None:
    data, expected = BROKEN[name]
    status, headers, raw = await _say(server, data)
    body = json.loads(raw)
    assert (status, body["status"], headers["content-type"]) == (expected, expected, "application/problem+json")
    assert CODES[body["code"]][0] == status and body["request_id"] == headers["x-request-id"]
    assert headers["x-content-type-options"] == "nosniff" and headers["server"] == "Foyer"
    assert MARK not in raw and MARK.decode() not in str(headers)
    assert "Traceback" not in caplog.text and MARK.decode() not in caplog.text


async def test_the_server_goes_on_after_all_of_them(server: Served) -> None:
    await asyncio.gather(*[_say(server, data) for data, _ in BROKEN.values()])
    assert (await server.api.get("/readyz")).status == 200


async def test_a_header_of_8000_bytes_is_taken(server: Served) -> None:
    status, _, _ = await _say(server, b"GET /livez HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 8000 + b"\r\n\r\n")
    assert status == 200


async def test_old_and_odd_requests_that_are_proper(server: Served) -> None:
    for data, expected in {
            b"GET /livez HTTP/1.0\r\n\r\n": 200, b"GET http://elsewhere.test/livez HTTP/1.1\r\n" + HOST + b"\r\n": 200,
            b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n": 404,
            b"CONNECT elsewhere.test:80 HTTP/1.1\r\n" + HOST + b"\r\n": 404,
            b"GET /api/me HTTP/1.1\r\n" + HOST + b"Authorization: Bearer \xff\xfe\r\n\r\n": 401,
            b"POST /api/token/refresh HTTP/1.1\r\n" + HOST + b"Cookie: foyer_refresh=\"\xff;;;=;\r\n"
            b"Content-Length: 0\r\n\r\n": 401}.items():
        status, headers, raw = await _say(server, data)
        assert status == expected, data
        assert headers["content-type"] == ("application/json" if status == 200 else "application/problem+json")


async def test_an_expectation_that_is_known_is_met(server: Served) -> None:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/login HTTP/1.1\r\n" + HOST + JSON_TYPE
                 + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    writer.write(b"{}")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 422 ")
    writer.close()
    await writer.wait_closed()
