"""The OpenAPI 3.1 document, made from the declared routes."""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import msgspec

from server.core.errors import CODES
from server.web import limits, schemas, uploads
from server.web.bodies import FORM, JSON
from server.web.problems import CONTENT_TYPE
from server.web.route import Route
from server.web.schemas import ID, Schemas

WHO = {
    "open": "Open to everybody.",
    "anyone": "Open to everybody; with a token the answer is the member's own.",
    "member": "Needs a member's access token.",
    "admin": "Needs an administrator's access token.",
}
ABOUT = ("A self-hosted members' community. Success is {\"data\": ...}, every error application/problem+json (RFC "
         "9457) with a code of a published list. A path that is not listed here is 404, a method that is not listed "
         "405; what cannot be read as HTTP is 400, 408, 413 or 431 before any route is looked for.")


HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {"required": True, "schema": {"type": "string"},
                     "description": "The request's id, as it stands in the log and in the jobs that it caused."},
    "Location": {"required": True, "schema": {"type": "string", "format": "uri-reference"},
                 "description": "Where what was made can be read."},
    "WWW-Authenticate": {"required": True, "schema": {"type": "string"}, "description": "Bearer (RFC 6750)."},
    "Retry-After": {"required": True, "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"},
                    "description": "In how many seconds to come again."},
    "RateLimit-Policy": {"schema": {"type": "string"}, "description": "The limit's name, its number and its seconds."},
    "RateLimit-Limit": {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "description": "How many are let in."},
    "RateLimit-Remaining": {"schema": {"type": "string", "pattern": "^[0-9]+$"}, "description": "How many are left."},
    "RateLimit-Reset": {"schema": {"type": "string", "pattern": "^[0-9]+$"},
                        "description": "In how many seconds one more is let in."},
}
_BELONG = {  # which headers come with which status, besides the request's id
    401: ("WWW-Authenticate",),
    429: ("Retry-After", *limits.HEADERS),
    503: ("Retry-After",),
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "RequestId": {
        "name": "X-Request-ID", "in": "header", "schema": {"type": "string", "examples": ["checkout-7f3a"]},
        "description": "An id of one's own for the request: up to 64 of A-Z a-z 0-9 _ . : -, else one is made."},
    "IdempotencyKey": {
        "name": "Idempotency-Key", "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$",
                   "examples": ["4f9c1d0e-post"]},
        "description": "The same key and body give the stored answer again for 24 h; with another body it is 422."},
}

_WITHOUT_ENVELOPE: dict[str, dict[str, Any]] = {
    JSON: {"type": "object"},
    "text/event-stream": {  # each event of it
        "type": "object", "required": ["event", "data"],
        "properties": {"event": {"type": "string"}, "data": {"type": "string", "contentMediaType": JSON},
                       "id": {"type": "string", "pattern": "^[0-9]+$"}, "retry": {"type": "integer"}}},
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document."""
    made = Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, routes, made)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Foyer", "version": version, "description": ABOUT,
                 "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(_tag(route) for route in routes)],
        "paths": paths,
        "components": {
            "schemas": made.components,
            "responses": {_problem_name(status): _problem(status) for status in _statuses(routes)},
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                                           "description": "The access token of a sign-up, a login or a refresh."}},
        },
    }


def _operation(route: Route, routes: Sequence[Route], made: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "description": WHO[route.who],
        "operationId": _operation_id(route),
        "tags": [_tag(route)],
        "parameters": list(_parameters(route)),
        "responses": _responses(route, routes, made),
    }
    if route.who != "open":
        operation["security"] = [{"bearer": []}] + ([{}] if route.who == "anyone" else [])
    if route.takes is not None:
        example = made.example_of(route.takes)
        operation["requestBody"] = {"required": not route.body_optional, "content": {
            JSON: {"schema": made.of(route.takes), "example": example},
            FORM: {"schema": made.form_of(route.takes), "example": example}}}
    if route.uploads is not None:
        operation["requestBody"] = uploads.described(route.uploads)
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"[a-z]+", route.path.removeprefix("/api"))
    return "_".join([route.method.lower(), *words]) or route.method.lower()


def _tag(route: Route) -> str:
    words = re.findall(r"[a-z]+", route.path.removeprefix("/api"))
    return words[0] if route.path.startswith("/api/") and words else "operation"


# -- what comes


def _parameters(route: Route) -> Iterator[dict[str, Any]]:
    for place, name in re.findall(r"(\w+)/{(\w+)}", route.path):
        word = schemas.WORDS.get(f"{place}.{name}") or schemas.WORDS[name]
        kind = ID if name == "id" else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "description": word.says,
               "schema": {**kind, "examples": [word.example]}}
    if route.query is not None:
        for name, schema in schemas.parameters(route.query).items():
            yield {"name": name, "in": "query", "description": schema.pop("description", ""), "schema": schema}
    for name, described in route.headers.items():
        yield {"name": name, "in": "header", **described}
    if route.cookie is not None:
        yield {"name": route.cookie, "in": "cookie", "description": "Stands in for the body.",
               "schema": {"type": "string"}}
    if route.method == "POST" and route.path.startswith("/api/"):
        yield {"$ref": "#/components/parameters/IdempotencyKey"}
    yield {"$ref": "#/components/parameters/RequestId"}


# -- what is given


def _responses(route: Route, routes: Sequence[Route], made: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {str(route.status): _success(route, routes, made)}
    for status, codes in sorted(_codes(route).items()):
        told = _told(codes)
        responses[str(status)] = {"$ref": f"#/components/responses/{_problem_name(status)}", "description": told}
        if status in route.given_with:
            content = _success(route, routes, made)["content"] | _problem(status)["content"]
            responses[str(status)] = {**_problem(status), "description": f"The answer; {told}", "content": content}
    return responses


def _told(codes: Iterable[str]) -> str:
    return "; ".join(f"`{code}`: {CODES[code][1]}" for code in codes)


def _codes(route: Route) -> dict[int, list[str]]:
    """The codes of a route's problems, by status."""
    by_status: dict[int, list[str]] = {}
    for code in sorted(set(route.problems) | _standing(route)):
        by_status.setdefault(CODES[code][0], []).append(code)
    for status, code in route.also:
        by_status.setdefault(status, []).append(code)
    return by_status


def _standing(route: Route) -> set[str]:
    """The problems that follow from the declaration itself."""
    codes = {"internal", "unavailable"}
    if route.rate != "none":
        codes.add("rate_limited")
    if route.who != "open":
        codes.add("not_signed_in")
    if route.who == "admin":
        codes.add("forbidden")
    if "{" in route.path:
        codes.add("not_found")
    if route.store is not None:  # a body is read before anybody knows whether it is wanted
        codes |= {"malformed", "too_large", "request_timeout"}
    if route.takes is not None or route.uploads is not None:
        codes |= {"unsupported_media_type", "invalid_fields", "unknown_field"}
    if route.query is not None:
        codes |= {"invalid_fields", "unknown_field"}
    if route.method == "POST":
        codes |= {"bad_idempotency_key", "idempotency_mismatch"}
    return codes


def _statuses(routes: Sequence[Route]) -> list[int]:
    return sorted({status for route in routes for status in _codes(route)})


def _problem_name(status: int) -> str:
    return f"Problem{status}"


def _problem(status: int) -> dict[str, Any]:
    """What every problem of this status looks like."""
    codes = sorted(code for code, (usual, _) in CODES.items() if usual == status)
    told = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        "description": _told(codes),
        "headers": _headers(*_BELONG.get(status, ())),
        "content": {CONTENT_TYPE: {"schema": {"allOf": [told, {"properties": {"status": {"const": status}}}]}}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *names)}


def _success(route: Route, routes: Sequence[Route], made: Schemas) -> dict[str, Any]:
    if route.status == 204:
        return {"description": "Done.", "headers": _headers()}
    answer: dict[str, Any] = {
        "description": "The answer.",
        "headers": _headers("Location") if route.status == 201 else _headers(),
        "content": {route.media: {"schema": _given(route, made)}},
    }
    links = {_operation_id(other): {"operationId": _operation_id(other), **handed}
             for other in routes for handed in _handed(route, other)}
    return {**answer, "links": links} if links else answer


def _given(route: Route, made: Schemas) -> dict[str, Any]:
    if route.gives is None:
        return _WITHOUT_ENVELOPE.get(route.media, {"type": "string"})
    properties: dict[str, Any] = {"data": made.of(route.gives)}
    if route.listing:
        properties = {"data": {"type": "array", "items": made.of(route.gives)}, "next": {"type": ["string", "null"]}}
    properties |= route.beside
    return {"type": "object", "properties": properties, "required": list(properties)}


# -- what leads from one to the other


def _handed(route: Route, other: Route) -> Iterator[dict[str, Any]]:
    """What of the answer of `route` goes into a request to `other`: an item's name in the path, or a token."""
    given = _fields(route.gives)
    for name in re.findall(rf"^{re.escape(route.path)}/{{(\w+)}}", other.path):
        if name in given:
            at = f"data/0/{name}" if route.listing else f"data/{name}"
            yield {"parameters": {name: f"$response.body#/{at}"}}
    for name in sorted(given & _fields(other.takes)):
        if name.endswith("_token"):
            yield {"requestBody": {name: f"$response.body#/data/{name}"}}


@cache  # asked for each pair of routes
def _fields(kind: Any) -> set[str]:
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return {item.encode_name for item in msgspec.structs.fields(kind)} if is_struct else set()
