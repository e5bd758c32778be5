"""Access tokens: what is not exactly one of ours is refused, on REST and on the socket, always with the same answer."""
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from server.storage import Tx
from tests.accounts.conftest import HandClock
from tests.accounts.forgeries import FORGERIES, IN_FRAMES, SCHEMES, Forge
from tests.conftest import Serve
from tests.support import PASSWORD, Answer, Api, Served, close_code, frame
from tests.web.hostile import problem

CHANGING = ("Date", "X-Request-ID", "Content-Length")  # the last one with the length of the request's number


async def forge_of(served: Served, name: str = "ada") -> Forge:
    """A new member's tokens, and the secret that signed them."""
    session = await served.api.sign_up(name)
    return Forge(session["access_token"], served.secret, session["refresh_token"])


@pytest.fixture
async def forge(server: Served) -> Forge:
    return await forge_of(server)


@pytest.fixture
async def steady(server: Served) -> AsyncIterator[Api]:
    """A client with one connection only, so that what the server remembers of it is met again."""
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Api(session, server.url)


def seen(answer: Answer) -> tuple[Any, ...]:
    """All of a refusal that must not differ."""
    assert problem(answer, 401) == "not_signed_in"
    headers = tuple((name, value) for name, value in answer.headers.items() if name not in CHANGING)
    return answer.raw.replace(answer.body["request_id"].encode(), b"-"), headers


@asynccontextmanager
async def refusing(served: Served) -> AsyncIterator[Any]:
    """Gives a function that asks with an Authorization header, here and on the socket, and checks that both refuse with
    the answer that a request without a token gets."""
    expected = seen(await served.api.get("/api/me"))

    async def check(header: str, name: str = "") -> None:
        for path in ("/api/me", "/api/posts", "/api/me"):
            answer = await served.api.get(path, headers={"Authorization": header})
            assert answer.status == 401, (name, path, answer.raw[:200])
            assert seen(answer) == expected, (name, path)
        socket = await served.socket(headers={"Authorization": header})
        assert await close_code(socket) == 4401, name
    yield check


async def check_frame(served: Served, token: str, name: str = "") -> None:
    """The token is refused as that of the first frame."""
    socket = await served.socket()
    await socket.send_json({"type": "auth", "token": token})
    assert await close_code(socket) == 4401, name


async def test_our_own_tokens_are_what_the_contract_says(api: Api, forge: Forge) -> None:
    assert (await api.get("/api/me", token=forge.token)).status == 200
    assert jwt.get_unverified_header(forge.token)["alg"] == "HS256"
    assert {"sub", "iat", "exp", "jti", "sid"} <= set(forge.claims)
    assert forge.claims["exp"] - forge.claims["iat"] == 15 * 60
    assert jwt.decode(forge.token, forge.secret, algorithms=["HS256"])


async def test_the_forge_makes_what_is_accepted_when_nothing_is_wrong(api: Api, forge: Forge) -> None:
    for token in (forge.with_claims(), forge.with_header(), forge.by(forge.secret), forge.with_claims(more="claims")):
        assert (await api.get("/api/me", token=token)).status == 200


async def test_every_forgery_is_refused_with_one_answer(server: Served, steady: Api, forge: Forge,
                                                        caplog: pytest.LogCaptureFixture) -> None:
    assert len(FORGERIES) >= 120
    caplog.set_level("DEBUG")
    server.api = steady
    async with refusing(server) as check:
        for name, make in FORGERIES.items():
            await check(f"Bearer {make(forge)}", name)
            assert (await steady.get("/api/me", token=forge.token)).status == 200, name
    silent(caplog, [make(forge) for make in FORGERIES.values()])


async def test_every_forgery_is_refused_in_a_frame(server: Served, forge: Forge,
                                                   caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    for name, make in {**FORGERIES, **IN_FRAMES}.items():
        await check_frame(server, make(forge), name)
    silent(caplog, [make(forge) for make in IN_FRAMES.values()])


def silent(caplog: pytest.LogCaptureFixture, tokens: list[str]) -> None:
    """Nothing of a token stands in the log, and nothing failed."""
    told = [record.getMessage() + str(record.exc_info or "") for record in caplog.records
            if record.name.startswith(("foyer", "aiohttp.server", "aiohttp.access", "aiohttp.web"))]
    text = "\n".join(told)
    assert "Traceback" not in caplog.text
    parts = {part for token in tokens for part in token.split(".") if len(part) > 8}
    assert not [part for part in parts if part in text]


async def test_every_forgery_is_refused_on_a_live_socket(server: Served, forge: Forge) -> None:
    for name in ("unsigned, alg 'none'", "refresh token", "another key", "exp is '0', a int", "payload is a list"):
        socket = await server.socket(forge.token)
        await frame(socket, "ready")
        await socket.send_json({"type": "auth", "token": FORGERIES[name](forge)})
        assert await close_code(socket) == 4401, name


@pytest.mark.parametrize("header", SCHEMES)
async def test_another_scheme_is_refused(server: Served, forge: Forge, header: str) -> None:
    async with refusing(server) as check:
        await check(header.format(forge.token))


async def test_the_scheme_is_read_without_case(api: Api, forge: Forge) -> None:
    for scheme in ("bearer", "BEARER"):
        assert (await api.get("/api/me", headers={"Authorization": f"{scheme} {forge.token}"})).status == 200


async def test_of_two_headers_the_first_counts_whichever_way_the_request_goes(server: Served, forge: Forge) -> None:
    good, bad = f"Bearer {forge.token}", f"Bearer {FORGERIES['another key'](forge)}"
    for pair, status in (((good, bad), 200), ((bad, good), 401)):
        headers = [("Authorization", value) for value in pair]
        for path in ("/api/me", "/api/posts", "/api/me", "/api/posts"):
            async with server.api.session.get(server.url + path, headers=headers) as answer:
                assert answer.status == status


async def test_a_token_comes_in_the_header_only(api: Api, forge: Forge) -> None:
    expected = seen(await api.get("/api/me"))
    for name in ("access_token", "token", "authorization", "Authorization", "jwt"):
        assert seen(await api.get(f"/api/me?{name}={forge.token}")) == expected
        assert seen(await api.get("/api/me", headers={"Cookie": f"{name}={forge.token}"})) == expected
        assert seen(await api.get("/api/me", headers={f"X-{name}": forge.token})) == expected
        assert seen(await api.post("/api/logout", data={name: forge.token})) == expected
    assert seen(await api.get("/api/me", headers={"Cookie": f"foyer_refresh={forge.refresh_token}"})) == expected


async def test_every_route_that_knows_tokens_refuses(server: Served, forge: Forge) -> None:
    expected = seen(await server.api.get("/api/me"))
    guarded = [route for route in server.foyer.routes if route.who != "open"]
    assert len(guarded) >= 15
    for route in guarded:
        path = route.path.replace("{id}", "1").replace("{username}", "ada").replace("{name}", "users")
        for name in ("another key", "without exp", "refresh token"):
            answer = await server.api.call(route.method, path, token=FORGERIES[name](forge))
            assert seen(answer) == expected, (route.key, name)


async def test_a_token_ends_on_its_second(server: Served, forge: Forge, clock: HandClock) -> None:
    left = forge.claims["exp"] - time.time()
    clock.wait(left - 2)
    assert (await server.api.get("/api/me", token=forge.token)).status == 200
    clock.wait(2)
    await ended(server, forge.token)


async def test_a_token_is_not_good_before_its_time(server: Served, forge: Forge, clock: HandClock) -> None:
    clock.wait(-60)
    await ended(server, forge.token)


async def ended(served: Served, token: str) -> None:
    """The token is refused everywhere, as any forgery is."""
    async with refusing(served) as check:
        await check(f"Bearer {token}")
    await check_frame(served, token)


async def test_after_logout(server: Served, forge: Forge) -> None:
    other = (await server.api.post("/api/login", {"username": "ada", "password": PASSWORD})).data["access_token"]
    for _ in range(3):  # remembered by now
        assert (await server.api.get("/api/me", token=forge.token)).status == 200
    assert (await server.api.post("/api/logout", token=forge.token)).status == 204
    await ended(server, forge.token)
    assert (await server.api.get("/api/me", token=other)).status == 200


async def test_after_another_password(server: Served, forge: Forge) -> None:
    kept = (await server.api.post("/api/login", {"username": "ada", "password": PASSWORD})).data["access_token"]
    body = {"current": PASSWORD, "new": "an0ther-stable-word"}
    assert (await server.api.get("/api/me", token=forge.token)).status == 200
    assert (await server.api.post("/api/me/password", body, token=kept)).status == 204
    await ended(server, forge.token)
    assert (await server.api.get("/api/me", token=kept)).status == 200


async def test_after_the_session_was_ended_from_another(server: Served, forge: Forge) -> None:
    kept = (await server.api.post("/api/login", {"username": "ada", "password": PASSWORD})).data["access_token"]
    assert (await server.api.call("DELETE", f"/api/sessions/{forge.claims['sid']}", token=kept)).status == 204
    await ended(server, forge.token)
    assert (await server.api.get("/api/me", token=kept)).status == 200


async def test_after_the_session_was_forgotten(server: Served, forge: Forge) -> None:
    await _write(server, "DELETE FROM sessions WHERE id = $1", int(forge.claims["sid"]))
    await ended(server, forge.with_claims())


async def test_after_the_account_was_suspended(server: Served, forge: Forge) -> None:
    await _write(server, "UPDATE users SET suspended_at = 1 WHERE id = $1", int(forge.claims["sub"]))
    await ended(server, forge.with_claims())


async def test_after_the_member_has_left(server: Served, forge: Forge) -> None:
    other = (await server.api.post("/api/login", {"username": "ada", "password": PASSWORD})).data["access_token"]
    for _ in range(2):  # remembered by now
        assert (await server.api.get("/api/posts", token=forge.token)).status == 200
    left = await server.api.call("DELETE", "/api/me", json={"password": PASSWORD}, token=forge.token)
    assert left.status == 204
    for token in (forge.token, other, forge.with_claims()):
        await ended(server, token)


async def _write(served: Served, sql: str, id_: int) -> None:
    async def change(tx: Tx) -> None:
        assert await tx.run(sql, id_) == 1
    await served.foyer.database.write(change)


async def test_a_session_is_its_members_own(server: Served, forge: Forge) -> None:
    bob = await forge_of(server, "bob")
    assert bob.claims["sid"] != forge.claims["sid"]
    await ended(server, forge.with_claims(sid=bob.claims["sid"]))
    await ended(server, forge.with_claims(sub=bob.claims["sub"]))
    for each in (forge, bob):
        assert (await server.api.get("/api/me", token=each.token)).status == 200


async def test_another_servers_token_is_refused(serve: Serve, tmp_path: Path) -> None:
    forges, servers = [], []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        servers.append(await serve(None, tmp_path / name))
        forges.append(await forge_of(servers[-1]))
    assert forges[0].claims["sub"] == forges[1].claims["sub"] and forges[0].claims["sid"] == forges[1].claims["sid"]
    await ended(servers[0], forges[1].token)
    await ended(servers[1], forges[0].token)


async def test_a_changed_secret_ends_every_token(serve: Serve) -> None:
    first = await serve()
    forge = await forge_of(first)
    await first.stop()
    second = await serve({"auth.secret": "a new secret of more than 32 letters"})
    await ended(second, forge.token)


async def test_many_forgeries_at_once_and_the_good_one_among_them(server: Served, forge: Forge) -> None:
    tokens = [make(forge) for make in FORGERIES.values()] * 3 + [forge.token] * 50
    answers = await asyncio.gather(*[server.api.get("/api/me", token=token) for token in tokens])
    assert [answer.status for answer in answers] == [401] * (len(tokens) - 50) + [200] * 50
