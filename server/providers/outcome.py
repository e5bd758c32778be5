"""What came of asking an outside service: one type for every service and every odd answer."""
from __future__ import annotations

from enum import StrEnum

import msgspec

Fields = dict[str, str | dict[str, str]]


class Kind(StrEnum):
    """What the caller has to do next."""

    VERDICT = "verdict"      # the verifier decided; `status` says what
    FOUND = "found"          # somebody is known; `fields` are cleaned; or `records` came, as they came
    NOT_FOUND = "not_found"  # nobody is known, or the service cannot take this address: final
    LATER = "later"          # the service is still working on it: ask again
    LIMITED = "limited"      # too fast; ask again after `wait` seconds
    OFF = "off"              # key refused or quota gone; `reason` is `key` or `quota`
    CLAIMED = "claimed"      # the person objected: never ask anybody about the address again
    BROKEN = "broken"        # the service or the way to it is at fault: retry


class Outcome(msgspec.Struct, frozen=True):
    """The answer of a provider, whatever happened.

    `wait` is in seconds and only there when something told or implied one. `reason` is fit for a log and for an
    administrator: it never holds the address, the key or a part of the body. `asked` is False when the network was
    not touched (breaker, pacing, switched off), so that the caller does not count it as an attempt.
    """

    kind: Kind
    wait: float | None = None
    reason: str = ""
    status: str | None = None
    fields: Fields | None = None
    asked: bool = True
    records: tuple[object, ...] | None = None

    def __repr__(self) -> str:
        # `fields` and `records` are personal data: an Outcome that ends up in a log must not carry them there.
        return f"Outcome({self.kind}, wait={self.wait}, reason={self.reason!r}, asked={self.asked})"


def broken(reason: str, wait: float | None = None) -> Outcome:
    """The service is at fault; retry."""
    return Outcome(Kind.BROKEN, wait=wait, reason=reason)


def not_asked(kind: Kind, reason: str, wait: float) -> Outcome:
    """An answer given without touching the network."""
    return Outcome(kind, wait=wait, reason=reason, asked=False)
