"""Other web sites: only those that are listed, and caches are told."""
from __future__ import annotations

import pytest

from tests.conftest import Serve

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
    for path in ("/api/posts", "/api/me", "/api/nothing", "/livez", "/", "/docs", "/static/foyer.css"):
        for headers in ({}, {"Origin": GOOD}, {"Origin": "https://evil.test"}):
            answer = await server.api.get(path, headers=headers)
            assert "Origin" in answer.headers.getall("Vary"), path
