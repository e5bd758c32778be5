"""A service next door, protected by aiohttp-jwt, which knows `auth.secret` and takes Foyer's access tokens."""
from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp_jwt import JWTMiddleware, login_required

from tests.conftest import Serve
from tests.support import Served

SECRET = "known to Foyer and to the service next door"
NextDoor = TestClient[web.Request, web.Application]
# aiohttp-jwt 0.6.1 (2020) keeps the claims under a plain name, where today's aiohttp wants a key of its own; it warns
# and works.
pytestmark = pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey:aiohttp.web.NotAppKeyWarning")


@login_required
async def who(request: web.Request) -> web.Response:
    return web.json_response(request["payload"])


def protected(secret: str, **options: Any) -> web.Application:
    app = web.Application(middlewares=[JWTMiddleware(secret, **options)])
    app.router.add_get("/who", who)
    return app


@pytest.fixture
async def next_door() -> AsyncIterator[NextDoor]:
    async with TestClient(TestServer(protected(SECRET, algorithms=["HS256"]))) as client:
        yield client


@pytest.fixture
async def foyer(serve: Serve) -> Served:
    return await serve({"auth.secret": SECRET})


async def status(client: NextDoor, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with client.get("/who", headers=headers) as response:
        return response.status


async def test_it_accepts_the_tokens_of_sign_up_login_and_refresh(foyer: Served, next_door: NextDoor) -> None:
    signed_up = await foyer.api.sign_up("ada")
    body = {"username": "ada", "password": "corr3ct-horse"}
    logged_in = (await foyer.api.post("/api/login", body)).data
    refreshed = (await foyer.api.post("/api/token/refresh", {"refresh_token": logged_in["refresh_token"]})).data
    for pair in (signed_up, logged_in, refreshed):
        token = pair["access_token"]
        async with next_door.get("/who", headers={"Authorization": f"Bearer {token}"}) as response:
            assert response.status == 200
            claims = await response.json()
        assert claims["sub"] == str(signed_up["user"]["id"])
        assert {"sub", "iat", "exp", "jti", "sid"} <= set(claims)
        assert (await foyer.api.get("/api/me", token=token)).data["username"] == "ada"


async def test_it_refuses_what_was_tampered_with(foyer: Served, next_door: NextDoor) -> None:
    session = await foyer.api.sign_up("ada")
    token = session["access_token"]
    head, claims, signature = token.split(".")
    read = json.loads(urlsafe_b64decode(claims + "=="))
    someone_else = urlsafe_b64encode(json.dumps(read | {"sub": "2"}).encode()).rstrip(b"=").decode()
    flipped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    unsigned = jwt.encode(read, None, algorithm="none")
    for forged in (f"{head}.{someone_else}.{signature}", f"{head}.{claims}.{flipped}", f"{head}.{claims}.", unsigned,
                   jwt.encode(read, "another secret, and a long one too", "HS256"),
                   jwt.encode(read, SECRET * 2, "HS512"), jwt.encode(read | {"exp": read["iat"] - 1}, SECRET, "HS256"),
                   session["refresh_token"], "x.y.z"):
        assert await status(next_door, forged) == 401, forged
        assert (await foyer.api.get("/api/me", token=forged)).status == 401, forged
    assert await status(next_door, None) == 401
    assert await status(next_door, token) == 200


async def test_without_the_list_of_algorithms_it_refuses_every_token(foyer: Served) -> None:
    token = (await foyer.api.sign_up("ada"))["access_token"]
    async with TestClient(TestServer(protected(SECRET))) as client:
        assert await status(client, token) == 401
    other = protected("a secret that Foyer does not have", algorithms=["HS256"])
    async with TestClient(TestServer(other)) as client:
        assert await status(client, token) == 401
