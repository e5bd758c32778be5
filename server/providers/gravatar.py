"""Gravatar (REST API v3): knows people by the hash of an address. It answers without a key too, but less and fewer.

Of the address only the hash leaves the house; it stands in the path, so nothing here may ever log a URL.
"""
from __future__ import annotations

import hashlib
import re

from server.providers import judging, text
from server.providers.http import Answer, Endpoint, ProviderHttp
from server.providers.outcome import Outcome, broken
from server.providers.pacing import HOUR, Clocks, Pace
from server.providers.profile import URL
from server.providers.provider import Line

TIMEOUT = 10.0
PER_HOUR, PER_HOUR_WITH_KEY = 100, 1000

# A handle is read from the page, because the page is what Gravatar verified.
_REST = r"/?(?:[?#].*)?"
_PAGES = {
    "github": re.compile(r"https?://(?:www\.)?github\.com/([\w.-]+)" + _REST, re.ASCII | re.IGNORECASE),
    "twitter": re.compile(r"https?://(?:www\.|mobile\.)?(?:twitter|x)\.com/@?(\w+)" + _REST, re.ASCII | re.IGNORECASE),
    "linkedin": re.compile(r"https?://(?:\w+\.)?linkedin\.com/((?:in|company)/[^/?#]+)" + _REST, re.IGNORECASE),
}


class Gravatar:
    """The client, with or without a key; `paced` False is for our own stand-in, which has no rate to keep."""

    name = "gravatar"

    def __init__(self, http: ProviderHttp, url: str, api_key: str, *, paced: bool,
                 clocks: Clocks = Clocks()) -> None:
        endpoint = Endpoint(http, url, {"Authorization": f"Bearer {api_key}"} if api_key else {})
        # Only the calls an hour are published; 10 a second are a burst that nobody minds.
        pace = Pace(10, PER_HOUR_WITH_KEY if api_key else PER_HOUR, clocks, HOUR) if paced else None
        self._line = Line("gravatar", endpoint, pace, clocks, longest_pause=HOUR)

    async def find(self, email: str, timeout: float = TIMEOUT) -> Outcome:
        """Asks who is behind the address: `found` with cleaned fields, `not_found`, or why neither."""
        return await self._line.ask(f"/v3/profiles/{hashed(email)}", {}, judge_profile, timeout)

    def describe(self) -> dict[str, object]:
        """`state`, `reason` and `until`."""
        return {**self._line.describe()}


def hashed(email: str) -> str:
    """The name that Gravatar has for an address."""
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()


def judge_profile(answer: Answer, now: float) -> Outcome:
    """What an answer means."""
    early = judging.no_answer_yet(answer, now)
    if early is not None:
        return early
    if answer.status < 300:
        return _profile(answer)
    if answer.status == 404:
        return _unknown(answer)
    return judging.refusal(answer, now, longest=HOUR)


def _profile(answer: Answer) -> Outcome:
    document = judging.json_object(answer)
    # Every profile has a hash: of the person's first address, which need not be the one that was asked about.
    if document is None or not isinstance(document.get("hash"), str):
        return broken("answer of another shape")
    return judging.combined({"person": _person(document), "company": None})


def _unknown(answer: Answer) -> Outcome:
    """404: no profile, or a disabled one; a page, or a route that is not there, comes from a wrong `gravatar.url`."""
    if not answer.body.strip():
        return judging.nobody(answer)
    document = judging.json_object(answer)
    if document is None or document.get("code") == "rest_no_route":
        return broken("status 404, no such route")
    return judging.nobody(answer)


def _person(profile: dict[str, object]) -> dict[str, object]:
    """The profile in Clearbit's shape; whatever is wrong inside is left to its cleaning."""
    told = profile.get
    return {
        "name": {"fullName": told("display_name"), "givenName": told("first_name"), "familyName": told("last_name")},
        "employment": {"title": told("job_title"), "name": told("company")},
        "location": told("location"), "bio": told("description"), "site": _site(told("links")),
        "avatar": told("avatar_url"), "timeZone": told("timezone"), **_handles(told("verified_accounts")),
    }


def _site(links: object) -> str | None:
    """The first link that is one."""
    urls = (text.web_url(url, URL) for url in _urls(links))
    return next((url for url in urls if url), None)


def _handles(accounts: object) -> dict[str, object]:
    found: dict[str, object] = {}
    for url in _urls(accounts):
        for service, page in _PAGES.items():
            match = page.fullmatch(url)
            if match:
                found.setdefault(service, {"handle": match[1]})
    return found


def _urls(entries: object) -> list[str]:
    """The `url` of each entry that its owner does not hide."""
    if not isinstance(entries, list):
        return []
    shown = (entry.get("url") for entry in entries if isinstance(entry, dict) and not entry.get("is_hidden"))
    return [url for url in shown if isinstance(url, str)]
