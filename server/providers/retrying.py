"""How a job goes on after a provider gave no answer."""
from __future__ import annotations

from server.core.clock import DAY
from server.jobs import Failed, Job, Retry, RetryPolicy
from server.providers.outcome import Outcome


def retry(policy: RetryPolicy, job: Job, outcome: Outcome, age: int) -> Retry | Failed:
    """Again, and when, or never. `age` is how long the answer has been waited for, in milliseconds.

    A breaker that is open postpones without burning an attempt, but not for longer than all attempts would have taken:
    the member is told in the end, whatever happens outside.
    """
    if not outcome.asked and age < policy.horizon:
        return Retry(policy.wait(job.attempts, outcome.wait), outcome.reason, burn=False)
    if policy.exhausted(job.attempts) or age > DAY:
        return Failed(f"{outcome.kind}: {outcome.reason}")
    return Retry(policy.wait(job.attempts, outcome.wait if outcome.asked else None), outcome.reason)
