"""Access tokens (JWT, HS256) and refresh tokens, both made anew from what the session row holds.

No token is stored anywhere: the same session in the same generation always gives the same two tokens, so a lost answer
can be given again.
"""
from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass

import jwt
import msgspec
from jwt.utils import base64url_decode

from server.core.clock import Clock, iso
from server.core.errors import Problem
from server.web.route import unauthorized

LONGEST = 4096  # characters; decoding megabytes of garbage takes long
KIND = "access"
_REQUIRED = ["exp", "iat", "sub", "jti", "sid"]
# Only the one way to write a token: PyJWT also takes padding and spare bits behind the signature.
_WRITTEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)


class Grant(msgspec.Struct):
    """What tokens are made of: a session in one of its generations."""

    user_id: int
    session_id: int
    generation: int
    issued_at: int  # milliseconds
    nonce: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid access token says."""

    user_id: int
    session_id: int
    expires_at: int  # milliseconds


class Tokens:
    """Makes and verifies tokens."""

    def __init__(self, secret: str, access_ms: int, clock: Clock) -> None:
        self._secret = secret
        self._refresh_key = hmac.digest(secret.encode(), b"foyer refresh token", "sha256")
        self._access_s = access_ms // 1000
        self._clock = clock
        self._jwt = jwt.PyJWT(options={"require": _REQUIRED, "enforce_minimum_key_length": True})

    def access(self, grant: Grant) -> str:
        """The access token of a grant."""
        issued = grant.issued_at // 1000
        return self._jwt.encode({
            "sub": str(grant.user_id), "iat": issued, "exp": issued + self._access_s, "kind": KIND,
            "jti": f"{grant.session_id}-{grant.generation}", "sid": str(grant.session_id),
        }, self._secret, algorithm="HS256")

    def expires_at(self, grant: Grant) -> str:
        """When the access token of a grant expires, as it is shown."""
        return iso((grant.issued_at // 1000 + self._access_s) * 1000)

    def verify(self, token: str) -> Claims:
        """What the token says; raises Problem 401, the same for every fault."""
        try:
            if len(token) > LONGEST or not _WRITTEN.fullmatch(token):
                raise ValueError
            for part in token.split(".")[:2]:
                # PyJWT lets the last one of two equal names count.
                json.loads(base64url_decode(part), object_pairs_hook=_once)
            # Times are compared with our own clock below, so that tests can hand one in.
            claims = self._jwt.decode(token, self._secret, algorithms=["HS256"],
                                      options={"verify_exp": False, "verify_iat": False})
            return self._claims(claims)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise unauthorized() from None

    def _claims(self, claims: dict[str, object]) -> Claims:
        expires, issued = claims["exp"], claims["iat"]
        now = self._clock() / 1000
        if type(expires) is not int or type(issued) is not int or not issued - 5 <= now < expires < 2**40:
            raise ValueError
        if claims.get("kind") != KIND:
            raise ValueError
        return Claims(_number(claims["sub"]), _number(claims["sid"]), expires * 1000)

    def refresh(self, grant: Grant) -> str:
        """The refresh token of a grant."""
        return f"{grant.session_id}.{grant.generation}.{self._mac(grant)}"

    def _mac(self, grant: Grant) -> str:
        text = f"{grant.user_id}.{grant.session_id}.{grant.generation}.{grant.nonce}"
        mac = hmac.digest(self._refresh_key, text.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def is_refresh_of(self, token: str, grant: Grant) -> bool:
        """Whether the token is the refresh token of the grant."""
        return hmac.compare_digest(token.encode(), self.refresh(grant).encode())


def parse_refresh(token: str) -> tuple[int, int]:
    """The session and generation that a refresh token speaks of; raises Problem 401."""
    match = re.fullmatch(r"([0-9]{1,16})\.([0-9]{1,16})\.[A-Za-z0-9_-]{43}", token, re.ASCII)
    if match is None:
        raise Problem("token_invalid", "Sign in again.")
    return int(match[1]), int(match[2])


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _number(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch("[0-9]{1,16}", value, re.ASCII):
        raise ValueError
    return int(value)
