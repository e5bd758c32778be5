"""Hunter (API v2): verifies addresses, and knows people in Clearbit's shape.

Three of its habits are unlike anybody else's: 403 means too fast, 429 means the paid period is used up, and the
success codes 202 and 222 come without a verdict.
"""
from __future__ import annotations

import re

from server.providers import judging
from server.providers.http import Answer, Endpoint, ProviderHttp
from server.providers.outcome import Kind, Outcome, broken
from server.providers.pacing import Clocks, Pace
from server.providers.provider import Line

STATUSES = frozenset({"valid", "accept_all", "webmail", "disposable", "unknown", "invalid"})
# Hunter itself works up to 20 s on a request before it answers 202.
BACKGROUND_TIMEOUT = 25.0

_QUOTA_TEXT = re.compile(r"limit.*billing period|\bplans?\b|upgrad", re.IGNORECASE | re.DOTALL)
_BAD_ADDRESS = ("invalid_email", "email_invalid")


class Hunter:
    """The client; `paced` False is for our own stand-in, which has no rate to keep.

    Verifier and enrichment each have their own rate and their own breaker: a plan may hold one and not the other.
    """

    name = "hunter"

    def __init__(self, http: ProviderHttp, url: str, api_key: str, *, paced: bool,
                 clocks: Clocks = Clocks()) -> None:
        # Never in the query, although Hunter takes it there: it would stand in every log on the way.
        endpoint = Endpoint(http, url, {"X-API-KEY": api_key})
        self._verifier = Line("hunter verifier", endpoint, Pace(10, 300, clocks) if paced else None, clocks)
        self._finder = Line("hunter enrichment", endpoint, Pace(15, 500, clocks) if paced else None, clocks)

    async def verify(self, email: str, timeout: float = BACKGROUND_TIMEOUT) -> Outcome:
        """Asks whether mail to the address can arrive: `verdict`, or a reason why there is none yet."""
        return await self._verifier.ask("/v2/email-verifier", {"email": email}, judge_verifier, timeout)

    async def find(self, email: str, timeout: float = BACKGROUND_TIMEOUT) -> Outcome:
        """Asks who is behind the address: `found` with cleaned fields, `not_found`, or why neither."""
        return await self._finder.ask("/v2/combined/find", {"email": email}, judge_combined, timeout)

    def describe(self) -> dict[str, object]:
        """The verifier's state, and the enrichment's under `enrichment`."""
        return {**self._verifier.describe(), "enrichment": self._finder.describe()}


def judge_verifier(answer: Answer, now: float) -> Outcome:
    """What an answer of the verifier means."""
    early = judging.no_answer_yet(answer, now)
    if early is not None:
        return early
    if answer.status < 300:
        return _verdict(answer)
    if answer.status in (400, 422):
        return _cannot_judge(answer)
    return _refusal(answer, now)


def judge_combined(answer: Answer, now: float) -> Outcome:
    """What an answer of the enrichment means."""
    early = judging.no_answer_yet(answer, now)
    if early is not None:
        return early
    if answer.status < 300:
        return _person(answer)
    if answer.status in (400, 422):
        return judging.nobody(answer)
    if answer.status == 404 and judging.json_object(answer) is not None:
        return judging.nobody(answer)
    return _refusal(answer, now)


def _verdict(answer: Answer) -> Outcome:
    document = judging.json_object(answer)
    data = document.get("data") if document else None
    status = data.get("status") if isinstance(data, dict) else None
    if not isinstance(status, str):
        return broken("answer of another shape")
    return Outcome(Kind.VERDICT, status=status if status in STATUSES else "unknown")


def _cannot_judge(answer: Answer) -> Outcome:
    """400 and 422: Hunter does not take the address as one.

    `invalid` only if Hunter says that the address is what is wrong, because that turns a person away, and the fault
    may be ours. Otherwise `unknown`: final, because the same question gets the same answer, and not `broken`,
    because then five odd addresses would open the breaker for everybody.
    """
    slug, _ = _first_error(answer)
    status = "invalid" if slug in _BAD_ADDRESS else "unknown"
    return Outcome(Kind.VERDICT, status=status, reason=f"status {answer.status}")


def _person(answer: Answer) -> Outcome:
    document = judging.json_object(answer)
    if document is None:
        return broken("not a JSON object")
    if "data" not in document:
        return judging.combined(document)
    return judging.combined({} if document["data"] is None else document["data"])


def _refusal(answer: Answer, now: float) -> Outcome:
    if answer.status == 401:
        return judging.KEY_REFUSED
    if answer.status == 402:
        return judging.quota_gone(answer, now)
    if answer.status == 451:
        return Outcome(Kind.CLAIMED, reason="status 451")
    if answer.status in (403, 429):
        return _rate_or_quota(answer, now)
    return broken(f"status {answer.status}")


def _rate_or_quota(answer: Answer, now: float) -> Outcome:
    # The documentation and Hunter's own client contradict each other on both: the text decides, then Retry-After,
    # then the documentation.
    slug, details = _first_error(answer)
    if slug == "restricted_account" or _QUOTA_TEXT.search(f"{slug} {details}"):
        return judging.quota_gone(answer, now)
    if answer.status == 403 or "Retry-After" in answer.headers:
        return judging.limited(answer, now)
    return judging.quota_gone(answer, now)


def _first_error(answer: Answer) -> tuple[str, str]:
    errors = (judging.json_object(answer) or {}).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return "", ""
    slug, details = first.get("id"), first.get("details")
    return slug if isinstance(slug, str) else "", details[:2000] if isinstance(details, str) else ""
