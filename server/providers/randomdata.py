"""random-data-api: gives invented users, addresses and cards, without a key."""
from __future__ import annotations

import json

from server.providers import judging
from server.providers.http import Answer, Endpoint, ProviderHttp
from server.providers.outcome import Kind, Outcome, broken
from server.providers.pacing import Clocks
from server.providers.provider import Line
from server.providers.waits import wait_of_a_fault

TIMEOUT = 25.0
LONGEST_PAUSE = 3600.0
PATHS = {"users": "/api/v2/users", "addresses": "/api/v2/addresses", "cards": "/api/v2/credit_cards"}
_ERRORS = ("error", "errors")  # what an object is called that says why there are no records
_LONGEST_NUMBER = 4000  # digits; Python refuses to read a little more than that as one number


class RandomData:
    """The client. It has no pace, because no rate is published and the schedules ask seldom."""

    name = "randomdata"

    def __init__(self, http: ProviderHttp, url: str, *, clocks: Clocks = Clocks()) -> None:
        self._line = Line("randomdata", Endpoint(http, url, {}), None, clocks, longest_pause=LONGEST_PAUSE)

    async def ask(self, what: str, size: int, timeout: float = TIMEOUT) -> Outcome:
        """Asks for `size` records of `users`, `addresses` or `cards`: `found` with the `records` exactly as they
        came, at times more than were asked for, or `limited` or `broken`."""
        params = {"size": str(size), "response_type": "json"}
        return await self._line.ask(PATHS[what], params, judge_records, timeout)

    def describe(self) -> dict[str, object]:
        """`state`, `reason` and `until`, and the last error."""
        return {**self._line.describe()}


def judge_records(answer: Answer, now: float) -> Outcome:
    """What an answer means."""
    if answer.status == 429:
        return judging.limited(answer, now, longest=LONGEST_PAUSE)
    if answer.status == 200:
        return _records(answer)
    # Nothing is ever worked on over there: an answer that holds nothing yet is a fault like any other.
    early = judging.no_answer_yet(answer, now)
    reason = early.reason if early is not None and early.kind is Kind.BROKEN else f"status {answer.status}"
    wait = wait_of_a_fault(answer, now, LONGEST_PAUSE) if answer.status >= 500 else None
    return broken(f"{reason}, a page" if _is_page(answer) else reason, wait)


def _records(answer: Answer) -> Outcome:
    """One object for one, an array for more. What is in it is judged by whoever knows what it should be."""
    try:
        document: object = json.loads(answer.body, parse_int=_whole)
    except (ValueError, RecursionError):
        return broken("a page instead of JSON" if _is_page(answer) else "not JSON")
    if isinstance(document, dict):
        if "uid" not in document and not document.keys().isdisjoint(_ERRORS):
            return broken("an error object")
        document = [document]
    if not isinstance(document, list):
        return broken("answer of another shape")
    return Outcome(Kind.FOUND, records=tuple(document))


def _whole(digits: str) -> int | float:
    # One endless number must not cost the other records: it becomes infinite, and its own record alone is refused.
    return int(digits) if len(digits) <= _LONGEST_NUMBER else float(digits)


def _is_page(answer: Answer) -> bool:
    return "html" in answer.headers.get("Content-Type", "").lower()
