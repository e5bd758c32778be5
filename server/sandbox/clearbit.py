"""Clearbit's stand-in: combined, person and company."""
from __future__ import annotations

import asyncio
import binascii
import time
from base64 import b64decode
from collections.abc import Callable

from aiohttp import web

from server.sandbox import bodies, hostile
from server.sandbox.people import Person, person_of
from server.sandbox.replies import COMMON, Call, Document, Reply, changed, fixed, good, json_response
from server.sandbox.stage import Stage
from server.sandbox.stand_in import Budget, asked_address, perform

API_VERSION = "2019-12-19"
_ROLES = frozenset({"info", "noreply", "no-reply", "postmaster", "abuse"})


def error(kind: str, message: str) -> Document:
    """An error in Clearbit's shape."""
    return {"error": {"type": kind, "message": message}}


def _plain_error(_: int) -> Document:
    return error("api_error", "Something went wrong on our side.")


_AUTH_REQUIRED = error("auth_required", "You must provide your API key.")
_INVALID_KEY = error("invalid_api_key", "This API key is not known.")
_UNKNOWN = error("unknown_record", "Nobody is known by this address.")
_NO_ROUTE = error("unknown_route", "There is no such URL.")
_BAD_EMAIL = error("email_invalid", "The address is not valid.")
_FAST = error("rate_limit", "Over the limit of 600 a minute, 40 seconds to reset.")


async def _told_reset(_: Call) -> web.Response:
    headers = {"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0",
               "X-RateLimit-Reset": str(int(time.time()) + 40)}
    return json_response(_FAST, 429, headers)


async def _quota(_: Call) -> web.Response:
    headers = {"X-RateLimit-Reset": str(int(time.time()) + 7200)}
    return json_response(error("over_quota", "Over quota."), 402, headers)


_REFUSALS: dict[str, Reply] = {
    "202-data": fixed(202, {"person": None, "company": None}),
    "202-queued": fixed(202, {"error": {"type": "queued"}}),
    "400": fixed(400, error("params_invalid", "Bad request.")),
    "401-auth-required": fixed(401, _AUTH_REQUIRED),
    "401-invalid-key": fixed(401, _INVALID_KEY),
    "402": fixed(402, {"error": {"message": "Over quota."}}),
    "402-reset": _quota,
    "403": fixed(403, {}),
    "404-unknown-record": fixed(404, _UNKNOWN),
    "404-unknown-route": fixed(404, _NO_ROUTE),
    "404-no-message": fixed(404, {"error": {"type": "unknown_record"}}),
    "422-email": fixed(422, _BAD_EMAIL),
    "422-params": fixed(422, error("params_invalid", "The location is not valid.")),
    "429": _told_reset,
    "429-bare": fixed(429, _FAST),
    "429-retry-after": fixed(429, _FAST, {"Retry-After": "11"}),
    "429-skewed": fixed(429, _FAST, {"X-RateLimit-Reset": "99999999999"}),
    "451": fixed(451, error("claimed", "Not to be processed.")),
}
_FIND: dict[str, Reply] = {
    "found": good(),
    **{name: changed(change) for name, change in {
        "person-null": hostile.null_person, "company-null": hostile.null_company, "both-null": hostile.null_both,
        "null-leaves": hostile.null_leaves, "other-domain": hostile.other_domain, "wobbles": hostile.wobbles,
        "person-list": hostile.list_person, "wrong-types": hostile.wrong_types, "hostile": hostile.malicious,
    }.items()},
    **_REFUSALS, **COMMON,
}
_SINGLE: dict[str, Reply] = {"found": good(), **_REFUSALS, **COMMON}
_REPLIES = {"find": _FIND, "people": _SINGLE, "companies": _SINGLE}
_PERSON_TAGS = {"nobody": ["404-unknown-record"], "down": ["503-json"],
                "later": ["202-empty", "202-empty", "found"]}


class Clearbit:
    """The stand-in under `/clearbit`; below `/clearbit/stream` it behaves as the stream host: no 202, no budget."""

    name = "clearbit"

    def __init__(self) -> None:
        self.stage = Stage(_REPLIES, dict.fromkeys(_REPLIES, "found"),
                           {"find": _PERSON_TAGS, "people": _PERSON_TAGS}, {"rate": "429", "quota": "402"})
        self._closing = asyncio.Event()
        self._budget = Budget(600, 60)

    def app(self, closing: asyncio.Event) -> web.Application:
        """The routes, below the service's own path."""
        self._closing = closing
        app = web.Application()
        for host in ("", "/stream"):
            app.router.add_get(host + "/v2/combined/find", self._combined)
            app.router.add_get(host + "/v2/people/find", self._people)
            app.router.add_get(host + "/v2/companies/find", self._companies)
        app.router.add_route("*", "/{rest:.*}", self._nowhere)
        app.on_response_prepare.append(self._headers)
        return app

    async def _combined(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "find", _valid_address(request), bodies.clearbit_combined)

    async def _people(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "people", _valid_address(request), bodies.clearbit_person)

    async def _companies(self, request: web.Request) -> web.StreamResponse:
        domain = request.query.get("domain") or None
        return await self._answer(request, "companies", domain, bodies.clearbit_company)

    async def _nowhere(self, _: web.Request) -> web.Response:
        return json_response(_NO_ROUTE, 404)  # before authentication, as theirs

    async def _answer(self, request: web.Request, endpoint: str, subject: str | None,
                      shape: Callable[[Person], Document]) -> web.StreamResponse:
        async def document() -> Document:
            return shape(await person_of(subject or ""))
        refusal = _key_refusal(request)
        if refusal is not None:
            self.stage.note(endpoint, "unauthorized", subject or "")
            return json_response(refusal, 401)
        if subject is None:
            self.stage.note(endpoint, "malformed", "")
            return json_response(_BAD_EMAIL, 422)
        call = Call(request, subject, document, _plain_error, self._closing)
        at_once = _is_stream(request) or request.query.get("cached") == "true"
        return await perform(self.stage, endpoint, _REPLIES[endpoint], call, skip_waiting=at_once)

    async def _headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-API-Version"] = API_VERSION
        if request.headers.get("API-Version", API_VERSION) < API_VERSION:
            response.headers["X-API-Warn"] = "This version is deprecated."
        # Every answer but the stream host's tells the budget, a 401 as well, and uses it up.
        if not _is_stream(request):
            self._budget.tell(response)


def _is_stream(request: web.Request) -> bool:
    return "/stream/v2/" in request.path


def _valid_address(request: web.Request) -> str | None:
    """Clearbit refuses an address without a top-level domain, and role addresses."""
    email = asked_address(request)
    if email is None or "." not in email.rpartition("@")[2] or email.partition("@")[0] in _ROLES:
        return None
    return email


def _key_refusal(request: web.Request) -> Document | None:
    scheme, _, told = request.headers.get("Authorization", "").partition(" ")
    key = told.strip() if scheme.lower() == "bearer" else _basic(told) if scheme.lower() == "basic" else ""
    if not key:
        return _AUTH_REQUIRED
    return _INVALID_KEY if key.startswith("bad") else None


def _basic(told: str) -> str:
    try:
        return b64decode(told.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
