"""Access tokens that are not exactly one of ours: each was made with the server's own secret, or without it."""
from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt

Claims = dict[str, Any]
PLAIN = '{"alg":"HS256","typ":"JWT"}'
FAR = 10**400


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Forge:
    """Makes tokens out of a good one, with the server's own secret or another."""

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
        return self.raw(PLAIN, json.dumps(claims))

    def with_header(self, **changes: Any) -> str:
        """Rightly signed, with another header."""
        return self.raw(json.dumps({"alg": "HS256", "typ": "JWT", **changes}), json.dumps(self.claims))

    def by(self, secret: str, **header: Any) -> str:
        """With our claims, signed with another secret."""
        return self.raw(json.dumps({"alg": "HS256", "typ": "JWT", **header}), json.dumps(self.claims), secret)

    def unsigned(self, algorithm: Any) -> str:
        """With an empty signature."""
        return f"{b64(json.dumps({'alg': algorithm}).encode())}.{b64(json.dumps(self.claims).encode())}."

    def twice(self, name: str, first: str, last: str) -> str:
        """Rightly signed, with a claim that stands there twice (as JSON texts)."""
        rest = json.dumps({key: value for key, value in self.claims.items() if key != name})[1:]
        return self.raw(PLAIN, f'{{"{name}": {first}, "{name}": {last}, {rest}')

    def part(self, number: int) -> str:
        """Header, payload or signature of the good token."""
        return self.token.split(".")[number]

    def with_part(self, number: int, part: str) -> str:
        """The good token with one part replaced."""
        parts = self.token.split(".")
        parts[number] = part
        return ".".join(parts)


Make = Callable[[Forge], str]


def _unsigned() -> dict[str, Make]:
    def make(algorithm: Any) -> Make:
        return lambda forge: forge.unsigned(algorithm)
    return {f"unsigned, alg {algorithm!r}": make(algorithm)
            for algorithm in ("none", "None", "NONE", "nOnE", "none ", "HS256", "", None, 0)}


def _algorithms() -> dict[str, Make]:
    def make(algorithm: Any) -> Make:
        return lambda forge: forge.with_header(alg=algorithm)
    # Signed as HS256 all the same: whoever trusts the header would take our secret for a public key.
    return {f"alg {algorithm!r}": make(algorithm) for algorithm in (
        "RS256", "PS256", "ES256", "EdDSA", "none", "hs256", "HS256 ", "HS2\u00b256", ["HS256"], 1, {})}


def _claims() -> dict[str, Make]:
    def make(name: str, value: Any) -> Make:
        return lambda forge: forge.with_claims(**{name: value})
    now = int(time.time())
    wrong: dict[str, tuple[Any, ...]] = {
        "sub": (1, "", "0", "1 ", "-1", "+1", "01x", "\u0661", "2", "1" * 17, "1\n", "1\x00", [], ["1"],
                {"id": "1"}, True, "ada", "1 OR 1=1"),
        "sid": (1, "", "0", "99", "x", "1' --", {"a": 1}, True),
        "exp": (now - 1, 0, -1, str(now + 900), "9999999999", 1e12, now + 900.5, True, [now + 900], 2**40, 2**53,
                2**63, FAR, float("inf"), float("nan"), "never"),
        "iat": (now + 3600, "now", 1.5, True, FAR, float("-inf"), [1]),
        "kind": ("refresh", "ACCESS", "", 1, ["access"]),
        "jti": (1, ["a"]),
        "nbf": (now + 3600, "soon"),
        "aud": ("elsewhere", ["elsewhere"]),
    }
    missing = {f"without {name}": make(name, None) for name in ("sub", "iat", "exp", "jti", "sid", "kind")}
    return missing | {f"{name} is {str(value)[:40]!r}, a {type(value).__name__}": make(name, value)
                      for name, values in wrong.items() for value in values}


OF_HEADERS: dict[str, Make] = {
    "no alg": lambda forge: forge.raw('{"typ":"JWT"}', json.dumps(forge.claims)),
    "alg twice, first none": lambda forge: forge.raw('{"alg":"none","alg":"HS256"}', json.dumps(forge.claims)),
    "alg twice, last none": lambda forge: forge.raw('{"alg":"HS256","alg":"none"}', json.dumps(forge.claims)),
    "crit": lambda forge: forge.with_header(crit=["exp"]),
    "crit that breaks lines": lambda forge: forge.with_header(crit=["x\r\nSet-Cookie: a=b"]),
    "crit is a text": lambda forge: forge.with_header(crit="exp"),
    "b64 false": lambda forge: forge.with_header(b64=False, crit=["b64"]),
    "kid is a number": lambda forge: forge.with_header(kid=1),
    "kid is a path": lambda forge: forge.by("", kid="../../../../dev/null"),
    "kid is SQL": lambda forge: forge.by("x", kid="' UNION SELECT 'x' --"),
    "kid breaks lines": lambda forge: forge.by("x", kid="x\r\nX-Evil: 1"),
    "jwk": lambda forge: forge.by("x", jwk={"kty": "oct", "k": "eA"}),
    "jku": lambda forge: forge.by("x", jku="http://127.0.0.1:9/keys.json"),
    "x5u": lambda forge: forge.by("x", x5u="http://127.0.0.1:9/certificate"),
    "x5c": lambda forge: forge.by("x", x5c=["MIIB"]),
    "header is no json": lambda forge: forge.raw("HS256", json.dumps(forge.claims)),
    "header is a list": lambda forge: forge.raw("[]", json.dumps(forge.claims)),
    "header is null": lambda forge: forge.raw("null", json.dumps(forge.claims)),
    "header is deep": lambda forge: forge.raw("[" * 2000, json.dumps(forge.claims)),
    "encrypted (JWE)": lambda forge: ".".join([b64(b'{"alg":"dir","enc":"A128GCM"}'), "", *[b64(b"x" * 12)] * 3]),
    "encrypted, three parts": lambda forge: forge.with_part(0, b64(b'{"alg":"dir","enc":"A128GCM"}')),
}
OF_KEYS: dict[str, Make] = {
    "another key": lambda forge: forge.by("another secret of many characters"),
    "empty key": lambda forge: forge.by(""),
    "key is null": lambda forge: forge.by("null"),
    "key with a line end": lambda forge: forge.by(forge.secret + "\n"),
    "half the key": lambda forge: forge.by(forge.secret[:len(forge.secret) // 2]),
    "key is the token's own payload": lambda forge: forge.by(forge.part(1)),
    "HS384": lambda forge: forge.raw('{"alg":"HS384"}', json.dumps(forge.claims), digest=hashlib.sha384),
    "HS512": lambda forge: forge.raw('{"alg":"HS512"}', json.dumps(forge.claims), digest=hashlib.sha512),
    "HS1": lambda forge: forge.raw('{"alg":"HS1"}', json.dumps(forge.claims), digest=hashlib.sha1),
    "SHA-512 called HS256": lambda forge: forge.raw(PLAIN, json.dumps(forge.claims), digest=hashlib.sha512),
    "refresh token": lambda forge: forge.refresh_token,
    "refresh token signed as a payload": lambda forge: forge.raw(PLAIN, json.dumps(forge.refresh_token)),
}
OF_PAYLOADS: dict[str, Make] = {
    "exp twice, last expired": lambda forge: forge.twice("exp", str(forge.claims["exp"]), "1"),
    "exp twice, first expired": lambda forge: forge.twice("exp", "1", str(forge.claims["exp"])),
    "sub twice, last another": lambda forge: forge.twice("sub", f'"{forge.claims["sub"]}"', '"77"'),
    "sub twice, first another": lambda forge: forge.twice("sub", '"77"', f'"{forge.claims["sub"]}"'),
    "payload is a list": lambda forge: forge.raw(PLAIN, "[]"),
    "payload is a number": lambda forge: forge.raw(PLAIN, "1"),
    "payload is null": lambda forge: forge.raw(PLAIN, "null"),
    "payload is empty": lambda forge: forge.raw(PLAIN, ""),
    "payload is no json": lambda forge: forge.raw(PLAIN, "{"),
    "payload is deep": lambda forge: forge.raw(PLAIN, "[" * 2000),
    "payload is no text": lambda forge: forge.raw(PLAIN, "\udcff".encode("utf-8", "surrogatepass").decode("latin-1")),
    "claims one level down": lambda forge: forge.raw(PLAIN, json.dumps({"payload": forge.claims})),
    "a token in a token": lambda forge: forge.raw('{"alg":"HS256","cty":"JWT"}', json.dumps(forge.token)),
    "huge": lambda forge: forge.with_claims(padding="x" * 4500),
    "another payload": lambda forge: forge.with_part(1, b64(b'{"sub":"1"}')),
    "two letters of the payload changed places": lambda forge: forge.with_part(
        1, forge.part(1)[:9] + forge.part(1)[10] + forge.part(1)[9] + forge.part(1)[11:]),
}
OF_LETTERS: dict[str, Make] = {
    "padding": lambda forge: forge.token + "=",
    "padding inside": lambda forge: forge.token.replace(".", "=.", 1),
    "spare bits": lambda forge: forge.token[:-1] + chr(ord(forge.token[-1]) + 1),
    "one letter of the signature": lambda forge: forge.with_part(
        2, ("B" if forge.part(2)[0] == "A" else "A") + forge.part(2)[1:]),
    "garbage behind": lambda forge: forge.token + "!",
    "letters behind": lambda forge: forge.token + "AAAA",
    "a line end behind": lambda forge: forge.token + "%0a",
    "a dot behind": lambda forge: forge.token + ".",
    "a dot before": lambda forge: "." + forge.token,
    "a fourth part": lambda forge: forge.token + ".x",
    "no signature": lambda forge: forge.token.rpartition(".")[0] + ".",
    "two parts": lambda forge: forge.token.rpartition(".")[0],
    "one part": lambda forge: forge.part(1),
    "no payload": lambda forge: forge.with_part(1, ""),
    "no header": lambda forge: forge.with_part(0, ""),
    "half a signature": lambda forge: forge.token[:-20],
    "the parts in another order": lambda forge: ".".join(reversed(forge.token.split("."))),
    "other letters' case": lambda forge: forge.token.swapcase(),
    "standard base64": lambda forge: forge.token[:-2] + "+/",
    "not ascii": lambda forge: forge.token + "\u00e9",
    "a letter that looks the same": lambda forge: forge.token.replace("e", "\u0435", 1),
    "wide dots": lambda forge: forge.token.replace(".", "\uff0e"),
    "a space of no width": lambda forge: forge.token.replace(".", ".\u200b", 1),
    "a space inside": lambda forge: forge.token.replace(".", ". ", 1),
    "in quotes": lambda forge: f'"{forge.token}"',
    "two tokens": lambda forge: f"{forge.token} {forge.token}",
    "two tokens with a comma": lambda forge: f"{forge.token},{forge.token}",
    "a space before": lambda forge: f" {forge.token}",
    "dots": lambda forge: "..",
    "a dot": lambda forge: ".",
    "a word": lambda forge: "null",
    "long garbage": lambda forge: "x" * 4097,
    "long and good from the front": lambda forge: forge.token + "x" * 4096,
}
FORGERIES: dict[str, Make] = {**_unsigned(), **_algorithms(), **_claims(), **OF_HEADERS, **OF_KEYS, **OF_PAYLOADS,
                              **OF_LETTERS}

# What a header cannot carry, but a frame can.
IN_FRAMES: dict[str, Make] = {
    "empty": lambda forge: "",
    "NUL behind": lambda forge: forge.token + "\0",
    "CR LF behind": lambda forge: forge.token + "\r\n",
    "a line of its own inside": lambda forge: forge.token.replace(".", ".\r\nX-Evil: 1\r\n", 1),
    "tab before": lambda forge: "\t" + forge.token,
    "with its scheme": lambda forge: f"Bearer {forge.token}",
    "thirty thousand letters": lambda forge: "x" * 30_000,
}

# Authorization headers that are not a bearer's at all.
SCHEMES = ("", "Bearer", "Bearer ", "Bearer  {}", "Bearer\t{}", "BearerX {}", "Bearer: {}", "Bearer={}", "Bearer,{}",
           "Bearer\u00a0{}", "Basic YTpi", "Digest {}", "Token {}", "JWT {}", "DPoP {}", "{}", "{} Bearer",
           "Basic YTpi, Bearer {}", "null")
