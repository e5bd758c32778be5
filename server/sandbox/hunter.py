"""Hunter's stand-in: verifier, enrichment and account."""
from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from server.sandbox import bodies, hostile
from server.sandbox.people import FREE_MAIL, Person, person_of
from server.sandbox.replies import COMMON, Call, Document, Make, Reply, changed, empty, fixed, good, json_response
from server.sandbox.stage import Stage
from server.sandbox.stand_in import asked_address, perform

TEST_KEY = "test-api-key"
_NOTICE = "Use status: result is deprecated."
_PLAN_TEXT = "You have reached the limit for the billing period, please upgrade your plan."


def error(status: int, slug: str, details: str) -> Document:
    """An error in Hunter's shape."""
    return {"errors": [{"id": slug, "code": status, "details": details}]}


def _plain_error(status: int) -> Document:
    return error(status, "internal_error", "Something went wrong on our side.")


_WRONG = error(400, "wrong_params", "You are missing the email parameter, or it is not an address.")
_NO_KEY = error(401, "authentication_failed", "No user found for the API key supplied")
_FAST = error(403, "too_many_requests", "You are asking too fast.")
_NOT_FOUND = error(404, "not_found", "There is nothing here.")
_CLAIMED = error(451, "claimed_email", "The person behind this address asked us not to process it.")

_REFUSALS: dict[str, Reply] = {
    "202-data": fixed(202, {"data": {}}),
    "222-json": fixed(222, {"data": {"email": None}, "meta": {}}),
    "222-empty": empty(222),
    "400": fixed(400, _WRONG),
    "400-no-code": fixed(400, {"errors": [{"id": "wrong_params", "details": "You are missing the parameter"}]}),
    "400-email": fixed(400, error(400, "invalid_email", "This is not an address.")),
    "400-empty-errors": fixed(400, {"errors": []}),
    "401": fixed(401, _NO_KEY),
    "402": fixed(402, error(402, "quota_exceeded", "Please upgrade.")),
    "403-limit": fixed(403, _FAST),
    "403-bare": fixed(403, {}),
    "403-forbidden": fixed(403, error(403, "forbidden", "Not allowed.")),
    "403-retry-after": fixed(403, _FAST, {"Retry-After": "9"}),
    "403-plan": fixed(403, error(403, "forbidden", _PLAN_TEXT)),
    "404": fixed(404, _NOT_FOUND),
    "422": fixed(422, error(422, "validation_failed", "It was not accepted.")),
    "429-quota": fixed(429, error(429, "too_many_requests", _PLAN_TEXT)),
    "429-bare": fixed(429, {"errors": []}),
    "429-restricted": fixed(429, error(429, "restricted_account", "The account has no subscription.")),
    "429-retry-after": fixed(429, error(429, "too_many_requests", "Slow down."), {"Retry-After": "500"}),
    "451": fixed(451, _CLAIMED),
}

_RESULTS = {"valid": "deliverable", "invalid": "undeliverable"}
_SCORES = {"valid": 100, "accept_all": 71, "webmail": 60, "unknown": 40, "invalid": 5, "disposable": 0}


def _verdict(status: str, /, **flags: object) -> Reply:
    def change(document: Document) -> None:
        reached = status in ("valid", "accept_all", "webmail")
        document["data"].update({
            "status": status, "result": _RESULTS.get(status, "risky"), "score": _SCORES.get(status, 50),
            "disposable": status == "disposable", "accept_all": status == "accept_all", "smtp_server": reached,
            "smtp_check": reached, "mx_records": status not in ("invalid", "disposable")})
        if status == "webmail":
            document["data"]["webmail"] = True
        document["data"].update(flags)
    return changed(change)


def _source(number: int) -> Document:
    return {"domain": "blog.example.test", "uri": f"http://blog.example.test/team/{number}",
            "extracted_on": "2024-03-02", "last_seen_on": "2026-06-11", "still_on_page": number % 2 == 0}


def _verifier_document(email: str) -> Document:
    return {
        "data": {
            "status": "valid", "result": "deliverable", "_deprecation_notice": _NOTICE, "score": 100, "email": email,
            "regexp": True, "gibberish": False, "disposable": False,
            "webmail": email.rpartition("@")[2] in FREE_MAIL, "mx_records": True, "smtp_server": True,
            "smtp_check": True, "accept_all": False, "block": False, "sources": [_source(0)]},
        "meta": {"params": {"email": email}}}


_VERIFIER: dict[str, Reply] = {
    **{status: _verdict(status) for status in _SCORES},
    "webmail+accept_all": _verdict("accept_all", webmail=True),
    "block+unknown": _verdict("unknown", block=True),
    "sources-20": _verdict("valid", sources=[_source(number) for number in range(20)]),
    "unknown-status": _verdict("greylisted"),
    "no-status": changed(lambda document: document["data"].pop("status") and None),
    "status-number": _verdict("valid", status=1),
    "data-list": fixed(200, {"data": [{"status": "valid"}]}),
    "data-null": fixed(200, {"data": None}),
    **_REFUSALS, **COMMON,
}


def _enveloped(change: Callable[[Document], None]) -> Reply:
    return changed(lambda document: change(document["data"]))


_FIND: dict[str, Reply] = {
    "found": good(),
    "found-bare": changed(lambda document: document["data"]),
    "data-null": fixed(200, {"data": None}),
    "data-list": fixed(200, {"data": []}),
    **{name: _enveloped(change) for name, change in {
        "person-null": hostile.null_person, "company-null": hostile.null_company, "both-null": hostile.null_both,
        "null-leaves": hostile.null_leaves, "other-domain": hostile.other_domain, "wobbles": hostile.wobbles,
        "person-list": hostile.list_person, "wrong-types": hostile.wrong_types, "hostile": hostile.malicious,
    }.items()},
    **_REFUSALS, **COMMON,
}
_SINGLE: dict[str, Reply] = {"found": good(), "data-null": fixed(200, {"data": None}), **_REFUSALS, **COMMON}
_REPLIES = {"verifier": _VERIFIER, "find": _FIND, "people": _SINGLE, "companies": _SINGLE, "account": _SINGLE}
_USUAL = {"verifier": "valid", "find": "found", "people": "found", "companies": "found", "account": "found"}
_NOBODY = {"nobody": ["404"], "claimed": ["451"]}
_TAGS = {
    "verifier": {"later": ["202-empty", "202-empty", "valid"], "claimed": ["451"],
                 **{status: [status] for status in _SCORES}},
    "find": _NOBODY, "people": _NOBODY,
}


class Hunter:
    """The stand-in under `/hunter`."""

    name = "hunter"

    def __init__(self) -> None:
        self.stage = Stage(_REPLIES, _USUAL, _TAGS, {"rate": "403-limit", "quota": "429-quota"}, {"account"})
        self._closing = asyncio.Event()

    def app(self, closing: asyncio.Event) -> web.Application:
        """The routes, below the service's own path."""
        self._closing = closing
        app = web.Application()
        app.router.add_get("/v2/email-verifier", self._verify)
        app.router.add_get("/v2/combined/find", self._combined)
        app.router.add_get("/v2/people/find", self._people)
        app.router.add_get("/v2/companies/find", self._companies)
        app.router.add_get("/v2/account", self._account)
        app.router.add_route("*", "/{rest:.*}", self._nowhere)
        return app

    async def _verify(self, request: web.Request) -> web.StreamResponse:
        async def document() -> Document:
            return _verifier_document(asked_address(request) or "")
        if _key(request) == TEST_KEY and asked_address(request):
            self.stage.note("verifier", TEST_KEY, asked_address(request) or "")
            return json_response(_verifier_document("dummy@example.test"))
        return await self._answer(request, "verifier", asked_address(request), document, test_key=True)

    async def _combined(self, request: web.Request) -> web.StreamResponse:
        email = asked_address(request)
        return await self._enrich(request, "find", email, bodies.hunter_combined)

    async def _people(self, request: web.Request) -> web.StreamResponse:
        email = request.query.get("linkedin_handle") or asked_address(request)
        return await self._enrich(request, "people", email, bodies.hunter_person)

    async def _companies(self, request: web.Request) -> web.StreamResponse:
        domain = request.query.get("domain") or None
        return await self._enrich(request, "companies", domain, bodies.hunter_company)

    async def _account(self, request: web.Request) -> web.StreamResponse:
        async def document() -> Document:
            return _account_document(self.stage.used, self.stage.quota or 2000)
        return await self._answer(request, "account", "account", document)

    async def _nowhere(self, _: web.Request) -> web.Response:
        return json_response(_NOT_FOUND, 404)

    async def _enrich(self, request: web.Request, endpoint: str, subject: str | None,
                      shape: Callable[[Person], Document]) -> web.StreamResponse:
        async def document() -> Document:
            return {"data": shape(await person_of(subject or "")), "meta": {"params": dict(request.query)}}
        return await self._answer(request, endpoint, subject, document)

    async def _answer(self, request: web.Request, endpoint: str, subject: str | None, document: Make, *,
                      test_key: bool = False) -> web.StreamResponse:
        key = _key(request)
        if not key or key.startswith("bad") or (key == TEST_KEY and not test_key):
            self.stage.note(endpoint, "unauthorized", subject or "")
            return json_response(_NO_KEY, 401)
        if subject is None:
            self.stage.note(endpoint, "malformed", "")
            return json_response(_WRONG, 400)
        call = Call(request, subject, document, _plain_error, self._closing)
        return await perform(self.stage, endpoint, _REPLIES[endpoint], call)


def _key(request: web.Request) -> str:
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    told = request.headers.get("X-API-KEY") or (bearer.strip() if scheme.lower() == "bearer" else "")
    return told or request.query.get("api_key", "")


def _account_document(used: int, available: int) -> Document:
    bucket = {"used": used, "available": available}
    return {"data": {
        "first_name": "Mira", "last_name": "Holt", "email": "ops@example.test", "plan_name": "Starter",
        "plan_level": 1, "reset_date": "2026-12-09", "team_id": 41,
        "calls": {"_deprecation_notice": "Use requests: calls is deprecated."} | bucket,
        "requests": {"searches": {"used": 0, "available": 500}, "verifications": bucket, "credits": bucket}}}
