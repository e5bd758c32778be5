"""Other web sites: only those that are listed, and caches are told."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.web.hostile import guarded, problem

GOOD = "https://app.example.org"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}
TRICKS = ("null", "https://app.example.org.evil.test", "https://evil-app.example.org", "http://app.example.org",
          "https://app.example.org:8443", "https://app.example.org/", "https://app.example.org:443.evil.test",
          "https://evil.test", "https://sub.app.example.org", "https://app.example.org@evil.test", "app.example.org",
          "*",
          "", "https://app_example.org", "https://app.example.org evil.test")


async def test_without_origins_nobody_elsewhere_is_told_anything(serve: Serve) -> None:
    server = await serve()
    answer = await server.api.get("/api/posts", headers={"Origin": GOOD})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert (await server.api.call("OPTIONS", "/api/posts", headers={"Origin": GOOD, **PREFLIGHT})).status == 405


async def test_a_listed_origin_is_allowed(serve: Serve) -> None:
    server = await serve({"cors.origins": f"{GOOD}, http://localhost:5173"})
    for origin in (GOOD, "http://localhost:5173"):
        answer = await server.api.get("/api/posts", headers={"Origin": origin})
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in answer.headers
        asked = await server.api.call("OPTIONS", "/api/signup", headers={"Origin": origin, **PREFLIGHT})
        assert asked.status < 300 and asked.headers["Access-Control-Allow-Origin"] == origin
        assert "POST" in asked.headers["Access-Control-Allow-Methods"]
        assert "AUTHORIZATION" in asked.headers["Access-Control-Allow-Headers"].upper()


async def test_a_preflight_is_an_answer_like_all_others(serve: Serve) -> None:
    server = await serve({"cors.origins": GOOD})
    for origin, status in ((GOOD, 200), ("https://evil.test", 403)):
        headers = {"Origin": origin, "X-Request-ID": "mine", **PREFLIGHT}
        asked = await server.api.call("OPTIONS", "/api/posts", headers=headers)
        assert (asked.status, asked.headers["Server"], asked.headers["X-Request-ID"]) == (status, "Foyer", "mine")
        guarded(asked)


async def test_a_plain_options_is_no_preflight(serve: Serve, tmp_path: Path) -> None:
    allowed = []
    for name, origins in (("none", ""), ("some", GOOD)):
        (tmp_path / name).mkdir()
        server = await serve({"cors.origins": origins}, tmp_path / name)
        for path in ("/api/posts", "/api/posts/7", "/api/me"):
            for headers in ({}, {"Origin": GOOD}):
                answer = await server.api.call("OPTIONS", path, headers=headers)
                assert problem(answer, 405) == "method_not_allowed"
                allowed.append((path, answer.headers["Allow"]))
        assert problem(await server.api.call("OPTIONS", "/api/nothing"), 404) == "not_found"
    assert len(set(allowed)) == 3 and ("/api/posts", "GET,HEAD,POST") in allowed


async def test_a_page_may_read_how_often_it_may_come(serve: Serve) -> None:
    server = await serve({"cors.origins": GOOD, "sandbox.mode": "off", "limits.read": "1/hour"})
    answers = [await server.api.get("/api/posts", headers={"Origin": GOOD}) for _ in range(2)]
    shown = set(answers[1].headers["Access-Control-Expose-Headers"].split(","))
    limits = {name for name in answers[1].headers if name.startswith("RateLimit-")}
    assert answers[1].status == 429 and len(limits) == 4 and limits | {"Retry-After", "X-Request-ID"} <= shown


async def test_errors_of_routes_can_be_read_by_a_listed_origin(serve: Serve) -> None:
    server = await serve({"cors.origins": GOOD})
    for method, path in (("GET", "/api/me"), ("GET", "/api/posts/77"), ("POST", "/api/login")):
        answer = await server.api.call(method, path, headers={"Origin": GOOD})
        assert answer.status >= 400 and answer.headers["Access-Control-Allow-Origin"] == GOOD, path


@pytest.mark.parametrize("origin", TRICKS)
async def test_another_origin_is_told_nothing(serve: Serve, origin: str) -> None:
    server = await serve({"cors.origins": GOOD})
    for method, headers in (("GET", {}), ("OPTIONS", PREFLIGHT)):
        answer = await server.api.call(method, "/api/posts", headers={"Origin": origin, **headers})
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert method == "GET" or answer.code == "forbidden"


async def test_caches_are_told_that_the_origin_matters(serve: Serve) -> None:
    server = await serve({"cors.origins": GOOD})
    token = (await server.api.sign_up())["access_token"]
    for method, path, headers in (
            ("OPTIONS", "/api/posts", {"Origin": GOOD, **PREFLIGHT}), ("OPTIONS", "/api/posts", {}),
            ("HEAD", "/api/posts", {}), ("DELETE", "/api/posts", {}), ("POST", "/api/posts", {}),
            ("GET", "/api/me/export", {}), ("POST", "/api/logout", {})):
        answer = await server.api.call(method, path, headers=headers, token=token)
        assert answer.headers.getall("Vary") == ["Origin"], (method, path)
    async with server.api.session.post(f"{server.url}/api/posts", headers={"Expect": "everything"}) as refused:
        assert refused.status == 400 and refused.headers.getall("Vary") == ["Origin"]
    for path in ("/api/posts", "/api/me", "/api/nothing", "/livez", "/", "/docs", "/static/foyer.css"):
        for headers in ({}, {"Origin": GOOD}, {"Origin": "https://evil.test"}):
            answer = await server.api.get(path, headers=headers)
            assert "Origin" in answer.headers.getall("Vary"), path
