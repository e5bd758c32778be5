"""A job, the decision that ends one run of it, and what a feature gives so that it can be run."""
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from server.storage import Tx


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a job. `attempts` counts this run too."""

    id: int
    kind: str
    key: str
    attempts: int
    request_id: str | None
    created_at: int


@dataclass(frozen=True, slots=True)
class Done:
    """The job has had its effect (or there is nothing left to do)."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Run it again after `wait` milliseconds. `burn` is False when this run was no real attempt."""

    wait: int
    error: str
    burn: bool = True


@dataclass(frozen=True, slots=True)
class Failed:
    """It will not be run again unless an administrator says so."""

    error: str


Decision = Done | Retry | Failed


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential waits with jitter. Times in seconds."""

    attempts: int
    first: float
    longest: float

    def wait(self, attempt: int, told: float | None = None) -> int:
        """Milliseconds to wait after so many attempts; `told` is what the other side asked for, at the least."""
        seconds = min(self.first * 2 ** min(attempt - 1, 30), self.longest) * random.uniform(0.75, 1.25)
        return int(1000 * max(seconds, told or 0.0))

    def exhausted(self, attempt: int) -> bool:
        """Whether that was the last attempt."""
        return attempt >= self.attempts

    @property
    def horizon(self) -> int:
        """Milliseconds that all attempts take together when none is postponed."""
        return int(1000 * sum(min(self.first * 2 ** min(step, 30), self.longest) for step in range(self.attempts - 1)))


class Handler(Protocol):
    """How the jobs of one kind are done.

    `load` and `store` run inside transactions, `call` outside: nothing slow ever holds the writer. A job may run twice
    (a crash between `call` and `store`), so `store` must be harmless the second time; it is only run while the job
    still belongs to this run.
    """

    kind: str
    concurrency: int
    policy: RetryPolicy

    async def load(self, tx: Tx, job: Job) -> Any:
        """What `call` needs; None when there is nothing left to do."""

    async def call(self, job: Job, loaded: Any) -> Any:
        """The slow part."""

    async def store(self, tx: Tx, job: Job, loaded: Any, result: Any) -> Decision:
        """Writes the effect and says how it goes on."""

    async def give_up(self, tx: Tx, job: Job, error: str) -> None:
        """Writes what must stand when the last attempt ended in an unexpected error."""


@runtime_checkable
class Reopens(Protocol):
    """A handler whose `load` finds nothing left to do once a job has failed, unless what it is about is open again."""

    async def reopen(self, tx: Tx, key: str) -> None:
        """An administrator has a failed job with this key tried again, in this transaction."""
