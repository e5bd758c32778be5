"""Bodies, ids and tokens that a stranger may send, and what every answer must look like."""
from __future__ import annotations

import json
from typing import Any

from server.core.errors import CODES
from tests.support import Answer, Api

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FILE = {"Content-Type": "multipart/form-data; boundary=between"}

# Nothing of these is a request, whatever the route takes.
BROKEN_BODIES: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "blank": (b"   ", 400),
    "not json": (b"ada", 400),
    "half": (b'{"username": "ada"', 400),
    "two": (b"{} {}", 400),
    "nan": (b'{"seq": NaN}', 400),
    "infinity": (b'{"title": Infinity}', 400),
    "latin-1": (b"{\"title\": \"caf\xe9\"}", 400),
    "deep": (b"[" * 100_000, 400),
    "deep and closed": (b"[" * 100_000 + b"]" * 100_000, 400),
    "deep objects": (b'{"a":' * 100_000, 400),
    "endless number": (b'{"seq": 1' + b"0" * 6000 + b"}", 400),
    "array": (b"[]", 422),
    "null": (b"null", 422),
    "text": (b'"text"', 422),
    "number": (b"7", 422),
    "huge number": (b"1" + b"0" * 400, 422),
    "yes": (b"true", 422),
}

# What may stand in a field, and never makes it good.
BAD_VALUES: tuple[str, ...] = (
    '"a\\u0000b"', '"\\ud800"', '"\\udfff\\ud800"', "9223372036854775808", "-9223372036854775809", "1" + "0" * 400,
    "1e400", "1.5", "true", "[]", "{}", '[["a"]]', '{"a": {"b": "c"}}', "[" * 500 + "]" * 500,
    '"' + "x" * 100_000 + '"',
)
BAD_IDS = ("0", "-1", "9007199254740992", "9223372036854775807", "9223372036854775808", "1" * 400, "abc", "1.0", "1e3",
           "%D9%A1", "%00", "%20", "1%0A", "+1", "0x1", "%ff", "..", "%2e%2e", "1%2f2", "null")
# A code that comes with another status than its own, and why it may.
ELSEWHERE = {("token_invalid", 422): "the token of a mail's link is a field of the body, and no credential"}
SECURITY = ("Cache-Control", "Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options", "X-Request-ID")


def problem(answer: Answer, status: int | None = None) -> str:
    """Checks everything that must hold of an error, whichever it is; its code."""
    assert answer.status >= 400 and answer.status != 500, (answer.status, answer.raw[:300])
    if status is not None:
        assert answer.status == status, (answer.status, answer.raw[:300])
    body = answer.body
    assert list(body) == ["type", "title", "status", "code", "detail", "request_id", "errors"], body
    assert CODES[answer.code][0] == answer.status or (answer.code, answer.status) in ELSEWHERE, body
    assert body["title"] == CODES[answer.code][1]
    assert answer.headers["X-Request-ID"] == body["request_id"]
    assert all(set(error) == {"field", "code", "message"} for error in body["errors"])
    assert b"Traceback" not in answer.raw and b"<html" not in answer.raw.lower()
    assert (answer.status == 401) == ("WWW-Authenticate" in answer.headers)
    assert answer.status not in (429, 503) or int(answer.headers["Retry-After"]) > 0
    guarded(answer)
    return answer.code


def guarded(answer: Answer) -> None:
    """Checks the headers that every answer carries."""
    missing = [name for name in SECURITY if name not in answer.headers]
    assert not missing, (answer.status, missing)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "aiohttp" not in answer.headers.get("Server", "").lower()


def filled(path: str, id_: int | str = 1) -> str:
    """The path of a route with something in each of its places."""
    return path.replace("{id}", str(id_)).replace("{username}", "ada").replace("{code}", "abc123").replace(
        "{name}", "users")


def file_body(content: bytes = b"import os\n", name: str = "engine.py", field: str = "file") -> bytes:
    """A body with one file, which goes with the headers `FILE`."""
    head = f'Content-Disposition: form-data; name="{field}"; filename="{name}"'.encode()
    return b"--between\r\n" + head + b"\r\n\r\n" + content + b"\r\n--between--\r\n"


async def upload(api: Api, token: str, content: bytes = b"import os\n") -> Any:
    """Uploads a file; what stands there now."""
    return (await api.call("POST", "/api/files", token=token, data=file_body(content), headers=FILE)).data


def body_with(good: dict[str, Any], field: str, value: str) -> bytes:
    """The good body with one field's value replaced by this JSON text."""
    rest = [f"{json.dumps(name)}: {json.dumps(kept)}" for name, kept in good.items() if name != field]
    return ("{" + ", ".join([*rest, f"{json.dumps(field)}: {value}"]) + "}").encode()
