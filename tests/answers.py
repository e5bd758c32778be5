"""The judge of answers: what a server answers to a test is what the OpenAPI document allows, or the test fails.

It hears every answer that aiohttp's client gets from Foyer, whichever client of the tests (or of the bot) asked, and a
fixture for all tests fails the one in which a wrong answer came, even if nobody saw the complaint. Outside stay the
tests that speak by bare sockets (`web/test_raw_http.py`, `web/hostile.py`), for which there is no request to look up,
and those that ask by `urllib` from outside of the loop (`test_cli.py`).
"""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import aiohttp
import jsonschema_rs

from server import settings
from server.app import document as made_of
from server.core.errors import CODES
from server.ops.static_files import FILES, NAMES
from server.web.problems import CONTENT_TYPE

wrong: list[str] = []  # what was complained of in this test

NOT_OF_THE_API = {
    **dict.fromkeys(("/", "/docs", *(f"/{name}" for name in NAMES)), "a page for people"),
    **{f"/static/{name}": "belongs to the pages" for name in FILES},
    "/ws": "an upgrade: what comes behind it is described by the AsyncAPI document",
}
UNREADABLE = {400, 408, 413, 431}  # the request was no HTTP, before any route was looked for
_HEARD = "_foyer_heard"


class WrongAnswer(AssertionError):
    """The document does not allow this."""


@cache
def document() -> Any:
    """The document, a little stricter: a field that it does not list is wrong, too."""
    made = json.loads(json.dumps(made_of(settings.load(environ={}, overrides={}))))
    for schema in made["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return made


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    part = "(?:[^/%{}]|%(?!7[BbDd]))+"  # a part that varies has no braces, as the router has it
    told = [(re.sub(r"\\{\w+\\}", lambda _: part, re.escape(path)), path) for path in document()["paths"]]
    # As the router does: a word that stands there wins over a part that varies.
    return [(re.compile(pattern), path) for pattern, path in sorted(told, key=lambda each: each[1].count("{"))]


def _template(path: str) -> str | None:
    return next((template for pattern, template in _paths() if pattern.fullmatch(path)), None)


def _resolved(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference leads to; what stands beside it wins."""
    if "$ref" not in told:
        return told
    found: Any = document()
    for part in told["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{key: value for key, value in told.items() if key != "$ref"}}


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    """The validator of a schema, which is written as JSON so that it can be remembered."""
    whole = {"allOf": [json.loads(schema)], "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def _validate(value: Any, schema: Any, what: str) -> None:
    try:
        _validator(json.dumps(schema)).validate(value)
    except ValueError as error:  # jsonschema_rs raises one of these
        raise WrongAnswer(f"{what}: {error}") from None


def declared(method: str, path: str, status: int) -> Mapping[str, Any]:
    """What the document says of this answer; raises `WrongAnswer` when it allows none of this kind."""
    template = _template(path)
    if template is None:
        return _problem({404} | UNREADABLE, status, "an unknown path")
    operation = document()["paths"][template].get("get" if method == "HEAD" else method.lower())
    if operation is None:
        return _problem({405} | UNREADABLE, status, "an unknown method")
    if str(status) in operation["responses"]:
        return _resolved(operation["responses"][str(status)])
    return _problem(UNREADABLE, status, "a declared operation")


def _problem(allowed: set[int], status: int, what: str) -> Mapping[str, Any]:
    if status not in allowed:
        raise WrongAnswer(f"{status} is not declared for {what}")
    headers = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
    if status == 405:
        headers["Allow"] = {"required": True, "schema": {"type": "string", "pattern": "^[A-Z]+(, ?[A-Z]+)*$"}}
    codes = "; ".join(f"`{code}`:" for code, (usual, _) in CODES.items() if usual == status)
    return {"description": codes, "headers": headers,
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}}


def judge_head(told: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """Raises `WrongAnswer` for a content type or a header that the document does not allow."""
    content, kind = told.get("content", {}), headers.get("Content-Type")
    if (kind not in content) if content else kind is not None:
        raise WrongAnswer(f"the content type {kind} is not one of {list(content)}")
    for name, header in told["headers"].items():
        header = _resolved(header)
        if name in headers:
            _validate(headers[name], header["schema"], name)
        elif header.get("required"):
            raise WrongAnswer(f"the header {name} is missing")


def judge_body(told: Mapping[str, Any], kind: str | None, raw: bytes) -> None:
    """Raises `WrongAnswer` for a body that the document does not allow."""
    if kind is None:
        if raw:
            raise WrongAnswer(f"a body where none is declared: {raw[:200]!r}")
        return
    # The bytes of a member's file are what they are, whatever they should be read as.
    body = json.loads(raw) if "json" in kind else raw.decode(errors="replace")
    _validate(body, told["content"][kind]["schema"], "the body")
    if kind == CONTENT_TYPE and body["code"] not in re.findall(r"`(\w+)`:", told["description"]):
        raise WrongAnswer(f"the code {body['code']} is not declared here")


def hear_answers() -> None:
    """From now on every answer that a client of aiohttp gets from Foyer is judged: its head when it comes, its body
    when it is read."""
    request, read = aiohttp.ClientSession._request, aiohttp.ClientResponse.read

    async def judged_request(session: aiohttp.ClientSession, *args: Any, **options: Any) -> aiohttp.ClientResponse:
        response = await request(session, *args, **options)
        if response.headers.get("Server") == "Foyer" and not _is_outside(response):
            try:
                told = declared(response.method, response.url.raw_path, response.status)
                judge_head(told, response.headers)
            except WrongAnswer as error:
                response.close()
                raise _complaint(response, error) from None
            if response.method != "HEAD":
                setattr(response, _HEARD, told)
        return response

    async def judged_read(response: aiohttp.ClientResponse) -> bytes:
        raw = await read(response)
        told = response.__dict__.pop(_HEARD, None)
        if told is not None:
            try:
                judge_body(told, response.headers.get("Content-Type"), raw)
            except WrongAnswer as error:
                raise _complaint(response, error) from None
        return raw
    aiohttp.ClientSession._request = judged_request  # type: ignore[method-assign]
    aiohttp.ClientResponse.read = judged_read  # type: ignore[method-assign]


def _is_outside(response: aiohttp.ClientResponse) -> bool:
    is_preflight = response.method == "OPTIONS" and "Access-Control-Request-Method" in response.request_info.headers
    return response.url.raw_path in NOT_OF_THE_API or is_preflight


def _complaint(response: aiohttp.ClientResponse, error: WrongAnswer) -> WrongAnswer:
    complaint = f"{response.method} {response.url.raw_path} -> {response.status}: {error}"
    wrong.append(complaint)
    return WrongAnswer(complaint)
