"""Access tokens: what is not exactly one of ours is refused, always with the same answer."""
from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from tests.accounts.conftest import HandClock
from tests.support import Api, Served
from tests.web.hostile import problem

Claims = dict[str, Any]


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Forge:
    """Makes tokens with the server's own secret, or another."""

    def __init__(self, token: str, secret: str, refresh_token: str) -> None:
        self.token, self.secret, self.refresh_token = token, secret, refresh_token
        self.claims: Claims = jwt.decode(token, options={"verify_signature": False})

    def raw(self, header: str, payload: str, secret: str | None = None, digest: Any = hashlib.sha256) -> str:
        """A token of any header and payload, rightly signed."""
        text = f"{b64(header.encode())}.{b64(payload.encode())}"
        key = (self.secret if secret is None else secret).encode()
        return f"{text}.{b64(hmac.new(key, text.encode(), digest).digest())}"

    def with_claims(self, **changes: Any) -> str:
        """Rightly signed, with other claims; None takes one out."""
        claims = {name: value for name, value in {**self.claims, **changes}.items() if value is not None}
        return self.raw('{"alg":"HS256","typ":"JWT"}', json.dumps(claims))

    def with_header(self, **changes: Any) -> str:
        """Rightly signed, with another header."""
        return self.raw(json.dumps({"alg": "HS256", "typ": "JWT", **changes}), json.dumps(self.claims))


def _unsigned(forge: Forge, algorithm: str) -> str:
    return f"{b64(json.dumps({'alg': algorithm}).encode())}.{b64(json.dumps(forge.claims).encode())}."


def _twice(forge: Forge, name: str, value: str) -> str:
    text = json.dumps(forge.claims)[:-1] + f', "{name}": {value}}}'
    return forge.raw('{"alg":"HS256"}', text)


NOW = int(time.time())
FORGERIES: dict[str, Callable[[Forge], str]] = {
    **{f"alg {name}": lambda forge, name=name: _unsigned(forge, name)  # type: ignore[misc]
       for name in ("none", "None", "NONE", "nOnE", "HS256", "")},
    **{f"without {name}": lambda forge, name=name: forge.with_claims(**{name: None})  # type: ignore[misc]
       for name in ("sub", "iat", "exp", "jti", "sid", "kind")},
    **{f"{name} is {value!r}": lambda forge, name=name,
       value=value: forge.with_claims(**{name: value})  # type: ignore[misc]
       for name, value in (
           ("sub", 1), ("sub", ""), ("sub", "1 "), ("sub", "-1"), ("sub", "\u0661"), ("sub", "2"), ("sub", "1" * 17),
           ("sub", []),
           ("sid", 1), ("sid", "0"), ("sid", "99"), ("sid", "x"), ("sid", {"a": 1}), ("exp", NOW - 1), ("exp", 0),
           ("exp", -1), ("exp", "9999999999"), ("exp", 1e12), ("exp", True), ("exp", 2**63), ("exp", 10**400),
           ("exp", float("inf")),
           ("iat", NOW + 3600), ("iat", "now"), ("iat", 1.5), ("iat", 10**400), ("kind", "refresh"), ("kind", 1),
           ("kind", ["access"]), ("nbf", NOW + 3600), ("aud", "elsewhere"))},
    "HS384": lambda forge: forge.raw('{"alg":"HS384"}', json.dumps(forge.claims), digest=hashlib.sha384),
    "HS512": lambda forge: forge.raw('{"alg":"HS512"}', json.dumps(forge.claims), digest=hashlib.sha512),
    "RS256 with our secret": lambda forge: forge.with_header(alg="RS256"),
    "no alg": lambda forge: forge.raw('{"typ":"JWT"}', json.dumps(forge.claims)),
    "alg is a list": lambda forge: forge.with_header(alg=["HS256"]),
    "crit": lambda forge: forge.with_header(crit=["exp"]),
    "crit unknown": lambda forge: forge.with_header(crit=["x\r\nSet-Cookie: a"]),
    "b64 false": lambda forge: forge.with_header(b64=False, crit=["b64"]),
    "kid is a number": lambda forge: forge.with_header(kid=1),
    "kid and another key": lambda forge: forge.raw('{"alg":"HS256","kid":"../../dev/null"}', json.dumps(forge.claims),
                                                   ""),
    "jwk and another key": lambda forge: forge.raw('{"alg":"HS256","jwk":{"kty":"oct","k":"eA"}}',
                                                   json.dumps(forge.claims), "x"),
    "another key": lambda forge: forge.raw('{"alg":"HS256"}', json.dumps(forge.claims),
                                           "another secret of many characters"),
    "empty key": lambda forge: forge.raw('{"alg":"HS256"}', json.dumps(forge.claims), ""),
    "refresh token": lambda forge: forge.refresh_token,
    "refresh token as bearer of a jwt": lambda forge: forge.raw('{"alg":"HS256"}', json.dumps(forge.refresh_token)),
    "exp twice": lambda forge: _twice(forge, "exp", "1"),
    "sub twice": lambda forge: _twice(forge, "sub", '"77"'),
    "payload is a list": lambda forge: forge.raw('{"alg":"HS256"}', "[]"),
    "payload is a number": lambda forge: forge.raw('{"alg":"HS256"}', "1"),
    "payload is no json": lambda forge: forge.raw('{"alg":"HS256"}', "{"),
    "payload is deep": lambda forge: forge.raw('{"alg":"HS256"}', "[" * 2000),
    "payload is no text": lambda forge: forge.raw('{"alg":"HS256"}',
                                                  "\udcff".encode("utf-8", "surrogatepass").decode("latin-1")),
    "header is no json": lambda forge: forge.raw("HS256", json.dumps(forge.claims)),
    "header is a list": lambda forge: forge.raw("[]", json.dumps(forge.claims)),
    "header is deep": lambda forge: forge.raw("[" * 2000, json.dumps(forge.claims)),
    "huge": lambda forge: forge.with_claims(padding="x" * 4500),
    "padding": lambda forge: forge.token + "=",
    "padding inside": lambda forge: forge.token.replace(".", "=.", 1),
    "spare bits": lambda forge: forge.token[:-1] + chr(ord(forge.token[-1]) + 1),
    "garbage behind": lambda forge: forge.token + "!",
    "letters behind": lambda forge: forge.token + "AAAA",
    "a fourth part": lambda forge: forge.token + ".x",
    "no signature": lambda forge: forge.token.rpartition(".")[0] + ".",
    "two parts": lambda forge: forge.token.rpartition(".")[0],
    "half a signature": lambda forge: forge.token[:-20],
    "another payload": lambda forge: ".".join([forge.token.split(".")[0], b64(b'{"sub":"1"}'),
                                               forge.token.split(".")[2]]),
    "not ascii": lambda forge: forge.token + "\u00e9",
    "standard base64": lambda forge: forge.token[:-2] + "+/",
    "a dot": lambda forge: "..",
    "a word": lambda forge: "null",
    "in quotes": lambda forge: f'"{forge.token}"',
    "two tokens": lambda forge: f"{forge.token} {forge.token}",
    "two tokens with a comma": lambda forge: f"{forge.token},{forge.token}",
    "two spaces": lambda forge: f" {forge.token}",
}


@pytest.fixture
async def forge(server: Served, tmp_path: Any) -> Forge:
    session = await server.api.sign_up("ada")
    return Forge(session["access_token"], (tmp_path / "foyer.key").read_text().strip(), session["refresh_token"])


async def test_our_own_tokens_are_what_the_contract_says(api: Api, forge: Forge) -> None:
    assert (await api.get("/api/me", token=forge.token)).status == 200
    assert jwt.get_unverified_header(forge.token)["alg"] == "HS256"
    assert {"sub", "iat", "exp", "jti", "sid"} <= set(forge.claims)
    assert forge.claims["exp"] - forge.claims["iat"] == 15 * 60
    assert jwt.decode(forge.token, forge.secret, algorithms=["HS256"])
    assert (await api.get("/api/me", token=forge.with_claims())).status == 200


async def test_every_forgery_is_refused_with_one_answer(api: Api, forge: Forge,
                                                        caplog: pytest.LogCaptureFixture) -> None:
    assert len(FORGERIES) >= 70
    bodies = set()
    for name, make in FORGERIES.items():
        for path in ("/api/me", "/api/posts"):
            answer = await api.get(path, headers={"Authorization": f"Bearer {make(forge)}"})
            assert answer.status == 401, (name, path, answer.raw[:200])
            assert problem(answer) == "not_signed_in"
            bodies.add(answer.raw.replace(answer.body["request_id"].encode(), b"-"))
    assert len(bodies) == 1
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "BearerX {}", "{}", "Token {}",
                                    "Bearer\u00a0{}", "Bearer,{}"])
async def test_another_scheme_is_refused(api: Api, forge: Forge, header: str) -> None:
    answer = await api.get("/api/me", headers={"Authorization": header.format(forge.token)})
    assert problem(answer, 401) == "not_signed_in"


async def test_the_scheme_is_read_without_case(api: Api, forge: Forge) -> None:
    for scheme in ("bearer", "BEARER"):
        assert (await api.get("/api/me", headers={"Authorization": f"{scheme} {forge.token}"})).status == 200


async def test_a_token_never_comes_in_the_url(api: Api, forge: Forge) -> None:
    for query in (f"access_token={forge.token}", f"token={forge.token}"):
        problem(await api.get(f"/api/me?{query}"), 401)


async def test_a_token_ends_on_its_second(api: Api, forge: Forge, clock: HandClock) -> None:
    left = forge.claims["exp"] - time.time()
    clock.wait(left - 2)
    assert (await api.get("/api/me", token=forge.token)).status == 200
    clock.wait(2)
    problem(await api.get("/api/me", token=forge.token), 401)
    problem(await api.get("/api/me", token=forge.token), 401)


async def test_another_servers_token_is_refused(serve: Any, tmp_path: Any) -> None:
    tokens = []
    servers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        servers.append(await serve(None, tmp_path / name))
        tokens.append((await servers[-1].api.sign_up("ada"))["access_token"])
    problem(await servers[0].api.get("/api/me", token=tokens[1]), 401)
    problem(await servers[1].api.get("/api/me", token=tokens[0]), 401)
