"""How long a service told us to wait, read from its headers."""
from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from server.providers.http import Answer

SHORTEST, LONGEST = 1.0, 120.0
# A window of requests ends within the minute; what ends later may be the end of the paid period.
_QUOTA_SHORTEST, _QUOTA_LONGEST = 60.0, 32 * 86400.0


def told_wait(answer: Answer, now: float, longest: float = LONGEST) -> float | None:
    """Seconds from `Retry-After` or `X-RateLimit-Reset`, kept within 1 and `longest`; None when neither can be read.

    `now` is the wall clock in Unix seconds. The bounds also stand against a clock of theirs that goes wrong.
    """
    wait = _retry_after(answer, now)
    return _bounded(_until_reset(answer, now) if wait is None else wait, longest)


def wait_of_a_fault(answer: Answer, now: float, longest: float = LONGEST) -> float | None:
    """Seconds from `Retry-After` alone: the end of a budget, which some tell with every answer, is not the end of a
    fault."""
    return _bounded(_retry_after(answer, now), longest)


def quota_wait(answer: Answer, now: float) -> float | None:
    """Seconds until the quota comes back, if `X-RateLimit-Reset` names a time that can be the end of a quota."""
    wait = _until_reset(answer, now)
    return wait if wait is not None and _QUOTA_SHORTEST < wait <= _QUOTA_LONGEST else None


def _bounded(wait: float | None, longest: float) -> float | None:
    return None if wait is None else min(longest, max(SHORTEST, wait))


def _until_reset(answer: Answer, now: float) -> float | None:
    value = answer.headers.get("X-RateLimit-Reset", "").strip()
    return float(value) - now if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", value) else None


def _retry_after(answer: Answer, now: float) -> float | None:
    value = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,12}", value):
        return float(value)
    try:
        return parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
