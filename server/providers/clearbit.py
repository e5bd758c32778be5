"""Clearbit (combined API v2): knows people and companies by an e-mail address."""
from __future__ import annotations

from server.providers import judging
from server.providers.http import Answer, Endpoint, ProviderHttp
from server.providers.outcome import Outcome, broken
from server.providers.pacing import Clocks, Pace
from server.providers.provider import Line

# The stream host, which is the default, holds the connection up to 60 s instead of answering 202.
TIMEOUT = 65.0


class Clearbit:
    """The client; `paced` False is for our own stand-in, which has no rate to keep."""

    name = "clearbit"

    def __init__(self, http: ProviderHttp, url: str, api_secret: str, *, paced: bool,
                 clocks: Clocks = Clocks()) -> None:
        endpoint = Endpoint(http, url, {"Authorization": f"Bearer {api_secret}"})
        # Only the 600 a minute are published; 10 a second spread them evenly.
        self._line = Line("clearbit", endpoint, Pace(10, 600, clocks) if paced else None, clocks)

    async def find(self, email: str, timeout: float = TIMEOUT) -> Outcome:
        """Asks who is behind the address: `found` with cleaned fields, `not_found`, or why neither."""
        return await self._line.ask("/v2/combined/find", {"email": email}, judge_combined, timeout)

    def describe(self) -> dict[str, object]:
        """`state`, `reason` and `until`."""
        return {**self._line.describe()}


def judge_combined(answer: Answer, now: float) -> Outcome:
    """What an answer means."""
    early = judging.no_answer_yet(answer, now)
    if early is not None:
        return early
    if answer.status < 300:
        document = judging.json_object(answer)
        return broken("not a JSON object") if document is None else judging.combined(document)
    if answer.status == 404:
        return _unknown(answer)
    return judging.refusal(answer, now)


def _unknown(answer: Answer) -> Outcome:
    """404: nobody is known, unless it is the path that nobody knows, which is a wrong `clearbit.url`."""
    if not answer.body.strip():
        return judging.nobody(answer)
    document = judging.json_object(answer)
    if document is None or _error_type(document) == "unknown_route":
        return broken("status 404, no such route")
    return judging.nobody(answer)


def _error_type(document: dict[str, object]) -> object:
    error = document.get("error")
    return error.get("type") if isinstance(error, dict) else None
