"""What must never stand in a log is taken out of it, and one record is one line."""
from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from server.core import log as logs
from server.core.redaction import redact

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9mLTQzLWNoYXJhY3RlcnM"
REFRESH = "12.3." + "aB_-" * 10 + "xyz"
SECRETS = {
    JWT: JWT, f"token {JWT}, and more": JWT, f"Authorization: Bearer {JWT}": JWT,
    "Authorization: Bearer abc.def": "abc.def",
    "authorization: basic dXNlcjpwYXNz": "dXNlcjpwYXNz", REFRESH: REFRESH, f"refresh_token={REFRESH}": REFRESH,
    f"Cookie: foyer_refresh={REFRESH}; x=1": REFRESH, "Cookie: foyer_refresh=abc": "abc",
    "GET /v2?email=a&api_key=s3cr3t&x=1": "s3cr3t", "X-API-KEY: s3cr3t": "s3cr3t", "api_secret = s3cr3t": "s3cr3t",
    '{"password": "pass word with spaces"}': "spaces", "{'password': 's3cr3t'}": "s3cr3t", "password=s3cr3t": "s3cr3t",
    "FOYER_CLEARBIT_API_SECRET=s3cr3t": "s3cr3t", "new_password: s3cr3t": "s3cr3t",
    "password_hash='$2b$12$abc'": "$2b$",
    '{"access_token":"s3cr3t","refresh_token":"s3cr3t"}': "s3cr3t", "the secret: s3cr3t": "s3cr3t",
    "mail to ada@example.org failed": "ada", "ada.l+tag@sub.example.org": "ada.l",
    "?email=ada%40example.org&x": "ada%40",
    "<ada@example.org>": "ada@", "ada@b\u00fccher.example": "ada", "ada@example.org.": "ada@",
    "card 4111111111111111": "4111", "card 4111111111111111.": "4111", "4111 1111 1111 1111": "1111",
    "4111-1111-1111-1111, thanks": "1111", "378282246310005": "3782", "(5555555555554444)": "5555",
    "n=6011000990139424;": "6011",
    "1. 4111111111111111": "4111", "4222222222222": "4222", "6304000000000000000": "6304",
}
HARMLESS = ("GET /api/posts/{id} -> 200 in 0.003 s", "member 4711 has 12 sockets", "1987-02-28T12:00:00.000Z",
            "0.1234567890123456",
            "request 5c8714ed3e-1", "port 8080", "version 1.2.3", "took 12345.678 s", "a@b", "@example", "12 345 678")


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_taken_out(text: str) -> None:
    assert SECRETS[text] not in redact(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_the_rest_is_left(text: str) -> None:
    assert redact(text) == text


def test_twice_is_the_same_as_once() -> None:
    for text in SECRETS:
        assert redact(redact(text)) == redact(text)


def test_long_texts_do_not_take_long() -> None:
    for text in ("a" * 100_000, "1 " * 50_000, "a." * 50_000, "@" * 100_000, "eyJ" * 30_000, "password=" * 10_000,
                 "'" * 100_000):
        redact(text)


def _written(form: str, message: str, *args: object, broken: bool = False) -> str:
    stream = io.StringIO()
    before = logging.getLogger().handlers[:], logging.getLogger().level
    kept, sys.stderr = sys.stderr, stream
    try:
        logs.set_up(form)
        try:
            raise ValueError(f"{message}\nfor {JWT}")
        except ValueError:
            logging.getLogger("foyer.test").warning(message, *args, exc_info=broken)
    finally:
        sys.stderr = kept
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    return stream.getvalue()


def test_a_line_break_starts_no_line_of_its_own() -> None:
    written = _written("text", "a %s b", "x\r\n2026-01-01T00:00:00.000Z error foyer: forged")
    assert written.count("\n") == 1 and "\r" not in written and "\\r\\n" in written


def test_the_lines_of_a_traceback_cannot_be_taken_for_records() -> None:
    written = _written("text", "broken", broken=True)
    first, *rest = written.rstrip("\n").split("\n")
    assert " warning foyer.test: broken" in first
    assert len(rest) > 3 and all(line.startswith("    ") for line in rest)
    assert JWT not in written and "<token>" in written


def test_json_is_one_object_a_line() -> None:
    written = _written("json", "to %s with %s", "ada@example.org", "x\ny", broken=True)
    assert written.count("\n") == 1
    record = json.loads(written)
    assert set(record) == {"at", "level", "logger", "message"} and record["level"] == "warning"
    assert record["message"].startswith("to <e-mail> with x\ny") and JWT not in written
