"""The OpenAPI 3.1 document, made from the declared routes."""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from server.core.errors import CODES
from server.web.problems import CONTENT_TYPE, ProblemBody
from server.web.route import Route

TEMPLATE = "#/components/schemas/{name}"
WHO = {
    "open": "Open to everybody.",
    "anyone": "Open to everybody; with a token the answer is the member's own.",
    "member": "Needs a member's access token.",
    "admin": "Needs an administrator's access token.",
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document."""
    schemas, components = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Foyer", "version": version, "license": {"name": "MIT", "identifier": "MIT"},
                 "description": "A self-hosted members' community. Success is {\"data\": ...}, every error "
                                "application/problem+json (RFC 9457) with a code of a published list."},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _types(route: Route) -> Iterable[Any]:
    for kind in (route.takes, route.query, route.gives):
        if kind is not None:
            yield kind


def _schemas(routes: Sequence[Route]) -> tuple[dict[Any, Any], dict[str, Any]]:
    types = list(dict.fromkeys([kind for route in routes for kind in _types(route)] + [ProblemBody]))
    made, components = msgspec.json.schema_components(types, ref_template=TEMPLATE)
    return dict(zip(types, made)), components


def _operation(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "summary": route.summary,
        "description": WHO[route.who],
        "operationId": _operation_id(route),
        "tags": [_tag(route)],
        "responses": _responses(route, schemas),
    }
    parameters = _parameters(route)
    if parameters:
        made["parameters"] = parameters
    if route.who != "open":
        made["security"] = [{"bearer": []}] + ([{}] if route.who == "anyone" else [])
    if route.takes is not None:
        content = {kind: {"schema": schemas[route.takes]} for kind in
                   ("application/json", "application/x-www-form-urlencoded")}
        made["requestBody"] = {"required": not route.body_optional, "content": content}
    return made


def _operation_id(route: Route) -> str:
    words = re.findall(r"[a-z]+", route.path.removeprefix("/api"))
    return "_".join([route.method.lower(), *words]) or route.method.lower()


def _tag(route: Route) -> str:
    words = re.findall(r"[a-z]+", route.path.removeprefix("/api"))
    return words[0] if route.path.startswith("/api/") and words else "operation"


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in re.findall(r"{(\w+)}", route.path):
        kind = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1} if name == "id" else {"type": "string"}
        found.append({"name": name, "in": "path", "required": True, "schema": kind})
    if route.query is not None:
        schema, components = msgspec.json.schema_components([route.query])
        properties = components[route.query.__name__]["properties"]
        found += [{"name": name, "in": "query", "schema": kind} for name, kind in properties.items()]
    if route.method == "POST" and route.path.startswith("/api/"):
        found.append({"name": "Idempotency-Key", "in": "header", "schema": {
            "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}})
    return found


def _responses(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {str(route.status): _success(route, schemas)}
    by_status: dict[int, list[str]] = {}
    for code in sorted(set(route.problems) | _standing(route)):
        by_status.setdefault(CODES[code][0], []).append(code)
    for status, code in route.also:
        by_status.setdefault(status, []).append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = {
            "description": "; ".join(f"`{code}`: {CODES[code][1]}" for code in codes),
            "content": {CONTENT_TYPE: {"schema": schemas[ProblemBody]}},
        }
    return responses


def _standing(route: Route) -> set[str]:
    """The problems that follow from the declaration itself."""
    codes = {"internal", "unavailable"}
    if route.rate != "none":
        codes.add("rate_limited")
    if route.who != "open":
        codes.add("not_signed_in")
    if route.who == "admin":
        codes.add("forbidden")
    if route.takes is not None:
        codes |= {"malformed", "too_large", "unsupported_media_type", "invalid_fields", "unknown_field",
                  "request_timeout"}
    if route.query is not None:
        codes |= {"invalid_fields", "unknown_field"}
    if route.method == "POST":
        codes |= {"bad_idempotency_key", "idempotency_mismatch"}
    return codes


def _success(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    if route.status == 204 or route.gives is None:
        return {"description": "Done." if route.status == 204 else "The answer."}
    properties: dict[str, Any] = {"data": schemas[route.gives]}
    if route.listing:
        properties = {"data": {"type": "array", "items": schemas[route.gives]}, "next": {"type": ["string", "null"]}}
    properties |= route.beside
    made: dict[str, Any] = {"description": "The answer.", "content": {"application/json": {"schema": {
        "type": "object", "properties": properties, "required": list(properties)}}}}
    if route.status == 201:
        made["headers"] = {"Location": {"schema": {"type": "string"}}}
    return made
