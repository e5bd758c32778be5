"""The pages of the documentation that are made: docs/rest.md from the OpenAPI document, docs/settings.md from the
declarations of the settings. `python -m tests.docs.make` writes them, and a test holds them to what is declared."""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from textwrap import fill
from typing import Any

from server.core.errors import CODES
from server.settings import SECTIONS

Schema = dict[str, Any]
REST = """\
# REST

This page is made from the OpenAPI document (`python -m tests.docs.make`), which a running server gives at
`/api/openapi.json`, readable at `/docs`, and `python run.py openapi` prints. The socket has
[a page of its own](socket.md).

- JSON in, JSON out; form bodies (`application/x-www-form-urlencoded`) are read too, for the same fields. Success is
  `{"data": ...}`, a list `{"data": [...], "next": "<cursor>"}`: give `next` back as `cursor` for the page behind it,
  until it is null. Times are ISO 8601 in UTC with milliseconds, ids are integers below 2^53.
- Send `Authorization: Bearer <access token>` where a token is needed. `POST /api/token/refresh` gives a new pair; the
  same old refresh token gives the same pair for 30 seconds, and ends the session when it comes later.
- With an `Idempotency-Key` every POST can be repeated without fear: the same key and body give the stored answer again
  for 24 hours.
- `X-Request-ID` is taken or made, and stands in the answer, in the log and in the jobs that the request caused.
- Every error is `application/problem+json` (RFC 9457) with a `code` of [the list below](#errors); 422 names all fields
  at once in `errors`. With the routes stand only the problems of their own, not those that follow from what a route
  is and does:
{standing}
"""
SETTINGS = """\
# Settings

This page is made from the declarations in `server/settings.py` (`python -m tests.docs.make`), like
`config/server.cfg`, which is read when no `--config FILE` is given. `FOYER_<SECTION>_<KEY>` in the environment wins
over the file, the command line over both: `FOYER_HUNTER_TIMEOUT="5 s"`. An unknown key or an ill-typed value stops the
start with exit code 2 and a line that names it.

Durations are written `500 ms`, `2 s`, `5 min`, `1 h`, `30 d`, sizes `64 KiB`, `2 MiB`, rates `10/hour`,
`5/15 minutes`; yes and no also as true and false, on and off; lists with commas. A secret stands in no log, no error
and no metric.
"""
# Problems that follow from what a route is: one that needs a token, takes a body, is a POST, is limited.
STANDING = ("malformed", "bad_idempotency_key", "not_signed_in", "request_timeout", "too_large",
            "unsupported_media_type", "invalid_fields", "unknown_field", "idempotency_mismatch", "rate_limited",
            "internal", "unavailable")
_BESIDE = {"X-Request-ID", "Idempotency-Key"}  # told once for all routes


def rest(document: Schema) -> str:
    """docs/rest.md."""
    schemas = document["components"]["schemas"]
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            told = _operation(f"{method.upper()} {path}", operation, document)
            groups.setdefault(operation["tags"][0], []).append(told)
    standing = fill(", ".join(f"`{code}`" for code in STANDING) + ".", 118, initial_indent="  ", subsequent_indent="  ")
    parts = [REST.replace("{standing}", standing),
             *(f"## Routes: {tag}\n\n" + "\n".join(routes) for tag, routes in groups.items()),
             "## Types\n", *(_type(name, schemas[name]) for name in sorted(_answered(document))), _errors()]
    return "\n".join(parts)


def _operation(key: str, operation: Schema, document: Schema) -> str:
    lines = [f"### `{key}`", "", f"{operation['summary']}. {operation['description']}", ""]
    takes = list(_taken(operation, document))
    if takes:
        lines += ["| takes | | |", "| --- | --- | --- |", *takes, ""]
    lines += [*_example(operation), *_answers(operation, document)]
    return "\n".join(lines)


def _taken(operation: Schema, document: Schema) -> Iterator[str]:
    for given in operation.get("parameters", ()):
        parameter = _followed(given, document)
        if parameter["name"] not in _BESIDE:
            said = parameter.get("description", parameter["schema"].get("description"))
            yield _row(f"`{parameter['name']}` ({parameter['in']})", _kind(parameter["schema"]), said)
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        schema = _followed(next(iter(content.values()))["schema"], document)
        for name, kind in schema["properties"].items():
            needed = "" if name in schema.get("required", ()) else " (optional)"
            yield _row(f"`{name}`{needed}", _kind(kind), kind.get("description"))


def _example(operation: Schema) -> list[str]:
    example = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    if example is None:
        return []
    line = json.dumps(example, ensure_ascii=False)
    return ["```json", line if len(line) < 110 else json.dumps(example, ensure_ascii=False, indent=2), "```", ""]


def _answers(operation: Schema, document: Schema) -> list[str]:
    gives, problems = [], []
    for status, given in operation["responses"].items():
        codes = [code for code in given.get("description", "").split("`")[1::2] if code not in STANDING]
        if codes:
            problems.append(f"{status} " + " ".join(f"`{code}`" for code in codes))
        what = _given(_followed(given, document), document)
        if int(status) < 400 or what:
            gives.append(f"{status} {what}".strip())
    lines = [f"Gives {', '.join(gives)}."]
    if problems:
        lines.append(f"Problems: {', '.join(problems)}.")
    return [" ".join(lines), ""]


def _given(answer: Schema, document: Schema) -> str:
    found = []
    for kind, content in answer.get("content", {}).items():
        schema = _followed(content["schema"], document)
        data = schema.get("properties", {}).get("data")
        beside = [f"`{name}`" for name in schema.get("properties", {}) if name not in ("data", "next")]
        if kind == "application/json" and data is not None:
            found.append(_kind(data) + "".join(f", beside it {name}" for name in beside))
        elif kind != "application/problem+json":
            found.append(f"`{kind}`")
    return " or ".join(found)


def _answered(document: Schema) -> set[str]:
    """The types that answers are made of; what is taken stands with the routes."""
    found: set[str] = set()
    waiting: list[Any] = [operation["responses"] for operations in document["paths"].values()
                          for operation in operations.values()]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            name = str(each.get("$ref", "")).rpartition("/schemas/")[2]
            if name in document["components"]["schemas"] and name not in found:
                found.add(name)
                waiting.append(document["components"]["schemas"][name])
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return found


def _type(name: str, schema: Schema) -> str:
    rows = [_row(f"`{field}`", _kind(kind), kind.get("description")) for field, kind in schema["properties"].items()]
    head = [f"### Type `{name}`", "", schema.get("description", ""), "", "| field | | |", "| --- | --- | --- |"]
    return "\n".join([*head, *rows, ""])


def _errors() -> str:
    rows = [f"| `{code}` | {status} | {title} |" for code, (status, title) in CODES.items()]
    return "\n".join(["## Errors", "", "`type` of a problem is `/docs#error-<code>`.", "", "| code | status | means |",
                      "| --- | --- | --- |", *rows, ""])


def _followed(given: Schema, document: Schema) -> Schema:
    """What a reference leads to."""
    found: Schema = given
    if "$ref" in given:
        found = document
        for part in given["$ref"].removeprefix("#/").split("/"):
            found = found[part]
    return found


def _kind(schema: Schema) -> str:
    """A type in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#type-{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_kind, schema["anyOf"])))
    if "enum" in schema:
        return ", ".join([" ".join(f"`{value}`" for value in schema["enum"]), *_bounds(schema)])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    kind = schema.get("type", "anything")
    words = " or ".join(kind) if isinstance(kind, list) else str(schema.get("format", kind))
    return ", ".join([words, *_bounds(schema)])


def _bounds(schema: Schema) -> Iterable[str]:
    for low, high, unit in (("minLength", "maxLength", " characters"), ("minimum", "maximum", ""),
                            ("minItems", "maxItems", " items")):
        if low in schema or high in schema:
            yield f"{schema.get(low, '')}..{schema.get(high, '')}{unit}"
    if schema.get("default") is not None:
        default = schema["default"]
        yield f"default `{default if isinstance(default, str) else json.dumps(default)}`"


def _row(name: str, kind: str, said: str | None) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in (name, kind, said or "")) + " |"


def settings() -> str:
    """docs/settings.md."""
    parts = [SETTINGS]
    for section, made in SECTIONS.items():
        rows = [_setting(section, item) for item in fields(made)]  # type: ignore[arg-type]
        parts.append("\n".join([f"## {section}", "", "| setting | default | |", "| --- | --- | --- |", *rows, ""]))
    return "\n".join(parts)


def _setting(section: str, item: Any) -> str:
    # What the default is on this machine says nothing about another one.
    default = "" if (section, item.name) == ("checks", "concurrency") else item.metadata["default"]
    secret = " Secret." if item.metadata["secret"] else ""
    return _row(f"`{section}.{item.name}`", f"`{default}`" if default else "", item.metadata["sentence"] + secret)
