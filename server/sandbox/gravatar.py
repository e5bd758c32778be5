"""Gravatar's stand-in: profiles by the hash of an address, with more in them for those who bring a key.

It never learns an address, so a tag in one (`ada+nobody@...`) means nothing here; the person is the same one that the
other stand-ins invent for the address.
"""
from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from server.sandbox.people import Person, hashed, person_behind
from server.sandbox.replies import COMMON, Call, Document, Reply, changed, empty, fixed, good, json_response
from server.sandbox.stage import Stage
from server.sandbox.stand_in import Budget, perform

LIMIT, LIMIT_WITH_KEY, HOUR = 100, 1000, 3600
_HASH = re.compile(r"[0-9a-f]{64}")
_ACCOUNTS_WITHOUT_KEY = 4


def error(message: str, code: str | None = None) -> Document:
    """An error in Gravatar's shape; a code is not always there."""
    return {"error": message} | ({"code": code} if code else {})


def _plain_error(_: int) -> Document:
    return error("Something went wrong on our side.")


_NOT_FOUND = error("Profile not found")
_BAD_KEY = error("The API key is not valid.", "invalid_api_key")
_FAST = error("Too many requests.", "rate_limit_exceeded")
_NO_ROUTE = {"code": "rest_no_route", "message": "No route was found.", "data": {"status": 404}}


def _reset_in(seconds: int) -> Reply:
    async def reply(_: Call) -> web.Response:
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + seconds)}
        return json_response(_FAST, 429, headers)
    return reply


def _set(**fields: object) -> Reply:
    return changed(lambda profile: profile.update(fields))


def _emptied(value: object) -> Reply:
    """The hash and the page are there, all else is `value`."""
    def change(profile: Document) -> None:
        profile.update({name: value for name in profile if name not in ("hash", "profile_url")})
    return changed(change)


def _hide_accounts(profile: Document) -> None:
    for account in profile["verified_accounts"]:
        account["is_hidden"] = True


def _wrong_types(profile: Document) -> None:
    """Right names, wrong types; the title alone is right."""
    profile.update(display_name=17, location=["Leeds"], description={"text": "x"}, avatar_url=True, timezone=3.5,
                   first_name=[], last_name={}, company=False, job_title="Clerk", links={"url": "https://x.example"},
                   verified_accounts=[None, 5, [], {"url": 9}, {"url": ["https://github.com/ada"]}, "github"])


def _malicious(profile: Document) -> None:
    """Control characters, scripts, pages that only look like an account's, and 100 kB where a word should be."""
    pages = ("javascript:alert(1)//github.com/x", "https://github.com.evil.example.test/ada", "https://x.com/i/user/1",
             "https://evil.example.test/?https://github.com/ada", "https://linkedin.com/in/..", "https://x.com/@ada",
             "https://github.com/" + "a" * 100_000)
    profile.update(
        display_name="A\u0000d\u202ea\ud800 \n\t Love\u200blace\u0007", description="b" * 100_000, job_title=" \u0000 ",
        location="\u2066Leeds\u2069\u0000", company="<script>x</script>", timezone="../../etc/passwd",
        avatar_url="https://key@evil.example.test/a.png", links=[{"label": "x", "url": "javascript:alert(1)"}],
        verified_accounts=[{"service_type": "github", "url": page, "is_hidden": False} for page in pages])


_PROFILE: dict[str, Reply] = {
    "found": good(),
    "other-hash": _set(hash="0" * 64),
    "accounts-hidden": changed(_hide_accounts),
    "accounts-null": _set(verified_accounts=None),
    "empty-strings": _emptied(""),
    "null-leaves": _emptied(None),
    "no-hash": changed(lambda profile: profile.pop("hash") and None),
    "wrong-types": changed(_wrong_types),
    "hostile": changed(_malicious),
    "400": fixed(400, error("Invalid request.")),
    "401": fixed(401, _BAD_KEY),
    "402": fixed(402, error("Payment required.")),
    "403": fixed(403, {}),
    "404": fixed(404, _NOT_FOUND),
    "404-disabled": fixed(404, error("Profile is disabled", "disabled")),
    "404-empty": empty(404),
    "404-no-route": fixed(404, _NO_ROUTE),
    "422": fixed(422, error("Invalid identifier.")),
    "429": _reset_in(2400),
    "429-soon": _reset_in(40),
    "429-bare": fixed(429, _FAST),
    "429-retry-after": fixed(429, _FAST, {"Retry-After": "11"}),
    "429-skewed": fixed(429, _FAST, {"X-RateLimit-Reset": "99999999999"}),
    "451": fixed(451, error("Not to be processed.")),
    **COMMON,
}


class _ByHash(Stage):
    """Counts by hash, and is asked about addresses."""

    def calls(self, subject: str | None = None) -> dict[str, Any]:
        """Counts by position, in all or for one address."""
        return super().calls(None if subject is None else hashed(subject))


class Gravatar:
    """The stand-in under `/gravatar`."""

    name = "gravatar"

    def __init__(self) -> None:
        self.stage: Stage = _ByHash({"profile": _PROFILE}, {"profile": "found"}, {}, {"rate": "429", "quota": "429"})
        self._closing = asyncio.Event()
        self._budget, self._budget_with_key = Budget(LIMIT, HOUR), Budget(LIMIT_WITH_KEY, HOUR)

    def app(self, closing: asyncio.Event) -> web.Application:
        """The routes, below the service's own path."""
        self._closing = closing
        app = web.Application()
        app.router.add_get("/v3/profiles/{identifier}", self._profile)
        app.router.add_route("*", "/{rest:.*}", self._nowhere)
        app.on_response_prepare.append(self._headers)
        return app

    async def _profile(self, request: web.Request) -> web.StreamResponse:
        identifier, key = request.match_info["identifier"], _key(request)

        async def document() -> Document:
            return profile_of(await person_behind(identifier), with_key=bool(key))
        if key.startswith("bad"):
            self.stage.note("profile", "unauthorized", identifier)
            return json_response(_BAD_KEY, 401)
        if not _HASH.fullmatch(identifier):
            # Theirs knows people by the name of their page as well; a client that forgot to hash is found out.
            self.stage.note("profile", "malformed", "")
            return json_response(_NOT_FOUND, 404)
        return await perform(self.stage, "profile", _PROFILE,
                             Call(request, identifier, document, _plain_error, self._closing))

    async def _nowhere(self, _: web.Request) -> web.Response:
        return json_response(_NO_ROUTE, 404)

    async def _headers(self, request: web.Request, response: web.StreamResponse) -> None:
        (self._budget_with_key if _key(request) else self._budget).tell(response)


def _key(request: web.Request) -> str:
    scheme, _, told = request.headers.get("Authorization", "").partition(" ")
    return told.strip() if scheme.lower() == "bearer" else ""


def profile_of(person: Person, with_key: bool) -> Document:
    """A profile as Gravatar sends it: what is not set is an empty string."""
    place, accounts = person.place, _accounts(person)
    profile = {
        "hash": person.seed, "display_name": person.full_name,
        "profile_url": f"https://profiles.example.test/{person.seed[:12]}",
        "avatar_url": f"https://avatars.example.test/avatar/{person.seed}",
        "avatar_alt_text": f"{person.given} smiles.", "location": f"{place.city}, {place.country}",
        "description": person.bio or "", "job_title": person.title, "company": person.company,
        "verified_accounts": accounts if with_key else accounts[:_ACCOUNTS_WITHOUT_KEY],
        "pronunciation": "", "pronouns": "", "section_visibility": {},
    }
    return profile | (_only_with_key(person) if with_key else {})


def _only_with_key(person: Person) -> Document:
    links = [{"label": "Home", "url": person.site}] if person.site else []
    empty_lists: Mapping[str, Any] = {"languages": [], "interests": [], "gallery": []}
    return {
        "timezone": person.place.zone, "first_name": person.given, "last_name": person.family,
        "is_organization": False, "links": links, **empty_lists, "payments": {"links": [], "crypto_wallets": []},
        "contact_info": {}, "number_verified_accounts": len(_accounts(person)),
        "last_profile_edit": "2026-04-02T00:00:00Z", "registration_date": "2019-05-01T08:00:00Z",
    }


def _accounts(person: Person) -> list[Document]:
    slug = person.seed[:8]
    pages = (("tumblr", "Tumblr", "tumblr.example.test/", slug), ("github", "GitHub", "github.com/", person.github),
             ("twitter", "X", "x.com/", person.twitter), ("mastodon", "Mastodon", "masto.example.test/@", slug),
             ("linkedin", "LinkedIn", "www.linkedin.com/", person.linkedin))
    return [{"service_type": kind, "service_label": label, "service_icon": f"https://icons.example.test/{kind}.svg",
             "url": f"https://{page}{handle}", "is_hidden": False} for kind, label, page, handle in pages if handle]
