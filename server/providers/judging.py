"""What an answer means, as far as all services agree."""
from __future__ import annotations

from server.providers.http import Answer, NotJson
from server.providers.outcome import Kind, Outcome, broken
from server.providers.profile import fields_of
from server.providers.waits import LONGEST, quota_wait, told_wait, wait_of_a_fault

KEY_REFUSED = Outcome(Kind.OFF, reason="key")


def no_answer_yet(answer: Answer, now: float) -> Outcome | None:
    """The statuses that carry no result, decided without a look at the body; None for all others.

    202 and 222 belong to the success class and hold no verdict; sources disagree about the body of a 202.
    """
    status = answer.status
    if status in (202, 222) or (200 <= status < 300 and not answer.body.strip()):
        return Outcome(Kind.LATER, reason=f"status {status}, no result yet")
    if 300 <= status < 400:
        return broken(f"status {status}, a redirect")
    if status >= 500:
        return broken(f"status {status}", wait=wait_of_a_fault(answer, now))
    return None


def quota_gone(answer: Answer, now: float) -> Outcome:
    """Switched off until the quota is back, as far as the answer says when."""
    return Outcome(Kind.OFF, reason="quota", wait=quota_wait(answer, now))


def limited(answer: Answer, now: float, longest: float = LONGEST) -> Outcome:
    """Too fast; `wait` only if the answer names one."""
    return Outcome(Kind.LIMITED, wait=told_wait(answer, now, longest), reason=f"status {answer.status}, rate limit")


def refusal(answer: Answer, now: float, longest: float = LONGEST) -> Outcome:
    """What a refusal means where a status means what HTTP says; `longest` is the longest wait that is believed."""
    # 403 is in no source: a key that is known but not allowed is the one thing it can mean.
    if answer.status in (401, 403):
        return KEY_REFUSED
    if answer.status == 402:
        return quota_gone(answer, now)
    if answer.status in (400, 422):
        # The address is refused (role address, dead domain): asking again gives the same answer.
        return nobody(answer)
    if answer.status == 429:
        return limited(answer, now, longest)
    if answer.status == 451:
        return Outcome(Kind.CLAIMED, reason="status 451")
    return broken(f"status {answer.status}")


def nobody(answer: Answer) -> Outcome:
    """The service does not know the address or does not take it."""
    return Outcome(Kind.NOT_FOUND, reason=f"status {answer.status}")


def json_object(answer: Answer) -> dict[str, object] | None:
    """The body, if it is a JSON object."""
    try:
        document = answer.document()
    except NotJson:
        return None
    return document if isinstance(document, dict) else None


def combined(document: object) -> Outcome:
    """The outcome of a document with `person` and `company`, either of which may be null.

    Something else in their place is `broken`, since it is not this contract; what is wrong further inside costs
    only the field it stands in.
    """
    if not isinstance(document, dict):
        return broken("answer of another shape")
    person, company = document.get("person"), document.get("company")
    if not all(part is None or isinstance(part, dict) for part in (person, company)):
        return broken("answer of another shape")
    fields = fields_of(person, company)
    return Outcome(Kind.FOUND, fields=fields) if fields else Outcome(Kind.NOT_FOUND, reason="no usable field")
