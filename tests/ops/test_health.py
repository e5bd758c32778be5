"""What operators look at: health, metrics, pages."""
from __future__ import annotations

import re
from typing import Any

import pytest

from server.ops.health import Health
from tests.answers import NOT_OF_THE_API
from tests.conftest import Serve
from tests.support import PASSWORD, Served
from tests.web.hostile import guarded, problem


async def test_alive_and_ready(server: Served) -> None:
    assert (await server.api.get("/livez")).data == {"status": "alive"}
    answer = await server.api.get("/readyz")
    assert answer.status == 200 and answer.data["status"] == "ready"
    assert (answer.data["database"], answer.data["writes"]) == ("ok", "ok")
    assert answer.data["stand_ins"] == ["hunter", "clearbit", "randomdata", "mail"]
    providers = answer.data["providers"]
    assert set(providers) == {"hunter", "clearbit", "randomdata", "mail", "flake8"}
    assert all("state" in each for each in providers.values())
    guarded(answer)


async def test_without_stand_ins_none_are_told_of(serve: Serve) -> None:
    server = await serve({"sandbox.mode": "off"})
    assert (await server.api.get("/readyz")).data["stand_ins"] == []
    assert "No stand-ins are in use" in (await server.api.get("/")).raw.decode()


@pytest.mark.parametrize("phase", ["starting", "stopping"])
async def test_not_ready_while_starting_or_stopping(server: Served, phase: str) -> None:
    server.foyer.health.phase = phase
    answer = await server.api.get("/readyz")
    assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0 and answer.body["data"]["status"] == phase
    assert (await server.api.get("/livez")).status == 200


async def test_not_ready_without_its_database(server: Served) -> None:
    class Gone:
        refuses_writes = False

        async def read(self, *_: Any) -> None:
            raise OSError("gone")
    status, body = await Health(Gone(), phase="ready").report()  # type: ignore[arg-type]
    assert status == 503 and body["database"] == "unreachable"


async def test_a_provider_that_is_off_is_told(server: Served) -> None:
    await server.api.switch(server.sandbox, "hunter", verifier=["401"], find=["401"])
    await server.api.sign_up("ada")
    hunter = (await server.api.get("/readyz")).data["providers"]["hunter"]
    assert hunter["state"] != "closed" and hunter["reason"] and "stand-in" not in str(hunter["reason"])


async def test_metrics_hold_declared_labels_and_nothing_of_anybody(server: Served) -> None:
    api = server.api
    session = await api.sign_up("ada", email="ada.lovelace@example.org")
    await api.write_post(session["access_token"], "Marker title")
    for path in ("/m4rker", "/api/posts/4711?m4rker=1", "/api/me", "/api/posts?author=m4rker"):
        await api.get(path, headers={"X-Request-ID": "m4rker", "User-Agent": "m4rker"})
    await api.call("M4RKER", "/api/posts")
    answer = await api.get("/metrics")
    text = answer.raw.decode()
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for secret in ("m4rker", "ada", "lovelace", "Marker", "4711", PASSWORD, session["access_token"],
                   session["refresh_token"],
                   "127.0.0.1", "stand-in"):
        assert secret.lower() not in text.lower(), secret
    known = {route.key.replace("GET", method) for route in server.foyer.routes for method in ("GET", "HEAD")}
    labels = set(re.findall(r'route="([^"]*)"', text))
    assert labels and labels <= known | {"unknown", *(f"GET {path}" for path in NOT_OF_THE_API)}
    assert 'foyer_http_requests_total{route="POST /api/signup",status="201"} 1.0' in text
    assert re.search(r"^foyer_sockets 0.0$", text, re.MULTILINE)


async def test_the_pages(server: Served) -> None:
    home = await server.api.get("/")
    assert home.headers["Content-Type"].startswith("text/html") and "Stand-ins are in use" in home.raw.decode()
    assert 'href="/docs"' in home.raw.decode()
    docs = (await server.api.get("/docs")).raw.decode()
    for route in server.foyer.routes:
        assert route.path in docs
    for path in ("/", "/docs"):
        answer = await server.api.get(path)
        guarded(answer)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        linked = re.findall(r'(?:src|href)="([^"#]+)', answer.raw.decode())
        assert linked and not [link for link in linked if "//" in link], "nothing comes from another host"
        for link in set(linked):
            assert (await server.api.get(link)).status == 200, link
    css = await server.api.get("/static/foyer.css")
    assert css.headers["Content-Type"].startswith("text/css") and b"http" not in css.raw


async def test_the_docs_hold_every_code_where_the_errors_point_to(server: Served) -> None:
    docs = (await server.api.get("/docs")).raw.decode()
    answer = await server.api.get("/nothing")
    path, _, fragment = answer.body["type"].partition("#")
    assert path == "/docs" and f'id="{fragment}"' in docs


async def test_a_crash_is_a_problem_without_a_word_of_why(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    async def crash() -> Any:
        raise RuntimeError("m4rker of ada@example.org")
    server.foyer.health.report = crash  # type: ignore[method-assign]
    answer = await server.api.get("/readyz")
    assert answer.status == 500 and answer.code == "internal"
    assert b"m4rker" not in answer.raw and b"Traceback" not in answer.raw
    assert answer.headers["X-Request-ID"] == answer.body["request_id"]
    assert answer.body["request_id"] in caplog.text
    guarded(answer)


async def test_what_is_not_there_is_no_page(server: Served) -> None:
    assert problem(await server.api.get("/static/other.css"), 404) == "not_found"
