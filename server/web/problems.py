"""Every error as `application/problem+json` (RFC 9457), whatever raised it."""
from __future__ import annotations

import msgspec
from aiohttp import web

from server.core.errors import CODES, FieldError, Problem

CONTENT_TYPE = "application/problem+json"

# What aiohttp raises by itself, and what we call it.
_BY_STATUS = {
    401: "not_signed_in", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 408: "request_timeout",
    413: "too_large", 415: "unsupported_media_type", 426: "upgrade_required", 431: "header_too_large",
    500: "internal", 503: "unavailable",
}


class ProblemBody(msgspec.Struct, rename={"field_errors": "errors"}):
    """The body of every error."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    field_errors: list[FieldError]


def body(problem: Problem, request_id: str) -> bytes:
    """The problem as JSON."""
    return msgspec.json.encode(ProblemBody(
        type=f"/docs#error-{problem.code}", title=problem.title, status=problem.status, code=problem.code,
        detail=problem.detail, request_id=request_id, field_errors=list(problem.errors)))


def headers(problem: Problem) -> dict[str, str]:
    """The headers that belong to the problem."""
    found = dict(problem.headers)
    if problem.status == 401:
        found["WWW-Authenticate"] = "Bearer"
    if problem.status == 503:
        found.setdefault("Retry-After", "5")
    return found


def from_status(status: int, detail: str | None = None) -> Problem:
    """The problem for an HTTP status that something other than a feature chose."""
    code = _BY_STATUS.get(status, "malformed" if 400 <= status < 500 else "internal")
    return Problem(code, detail or CODES[code][1] + ".")


def from_http(error: web.HTTPException) -> Problem:
    """The problem for an error that aiohttp raised."""
    problem = from_status(error.status)
    for name in ("Allow", "Retry-After"):
        if name in error.headers:
            problem.headers[name] = error.headers[name]
    return problem
