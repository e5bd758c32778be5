"""Rate limits: how many in how long, per member or address.

Each subject has one number, the time at which its allowance is whole again (GCRA): exactly `count` pass at once, then
one more every `seconds / count`. They live in this process's memory, and processes on one database tell each other what
they let pass; a restart forgives. What must be exact in all of them stands in the database (see `allowances`).
"""
from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Iterable
from functools import lru_cache

from server.core.errors import Problem
from server.core.units import Network, Rate

HEADERS = ("RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")  # of a refusal
MOST = 200_000  # subjects remembered; those with a whole allowance are forgotten first


class Limiter:
    """Counts and refuses."""

    def __init__(self, enabled: bool, exempt: Iterable[Network], clock: Callable[[], float]) -> None:
        self.enabled = enabled
        self._clock = clock
        networks = tuple(exempt)

        @lru_cache(maxsize=10_000)
        def is_exempt(address: str) -> bool:
            found = _parsed(address)
            return found is not None and any(found in network for network in networks)

        self.is_exempt: Callable[[str], bool] = is_exempt
        self._whole_at: dict[tuple[str, str], float] = {}
        self.elsewhere: Callable[[str, str, float], None] | None = None  # tells the other processes of each one

    def take(self, name: str, rate: Rate, subject: str) -> None:
        """Counts one; raises Problem 429 when there is no allowance left."""
        self.check(name, rate, subject)
        self.count(name, rate, subject)

    def check(self, name: str, rate: Rate, subject: str) -> None:
        """Like `take`, but counts nothing."""
        wait = self._wait(name, rate, subject)
        if wait > 0:
            raise refusal(name, rate, wait)

    def count(self, name: str, rate: Rate, subject: str) -> None:
        """Counts one that has happened."""
        if self.enabled:
            step = rate.seconds / rate.count
            self.count_elsewhere(name, subject, step)
            if self.elsewhere is not None:
                self.elsewhere(name, subject, step)

    def count_elsewhere(self, name: str, subject: str, seconds: float) -> None:
        """Counts what another process has let pass; `seconds`: how much later the allowance is whole by that."""
        now = self._clock()
        self._whole_at[name, subject] = max(self._whole_at.get((name, subject), now), now) + seconds
        if len(self._whole_at) > MOST:
            self._whole_at = {key: at for key, at in self._whole_at.items() if at > now}

    def _wait(self, name: str, rate: Rate, subject: str) -> float:
        if not self.enabled:
            return 0.0
        step = rate.seconds / rate.count
        now = self._clock()
        return self._whole_at.get((name, subject), now) + step - rate.seconds - now - 1e-9


def refusal(name: str, rate: Rate, wait: float) -> Problem:
    """The 429 that says which limit, and when to come again."""
    seconds = str(max(1, math.ceil(wait)))
    return Problem("rate_limited", f"The limit '{name}' is {rate.count} in {rate.seconds:g} s; "
                   f"try again in {seconds} s.", headers={
                       "Retry-After": seconds, "RateLimit-Policy": f'"{name}";q={rate.count};w={rate.seconds:g}',
                       "RateLimit-Limit": str(rate.count), "RateLimit-Remaining": "0", "RateLimit-Reset": seconds})


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found


@lru_cache(maxsize=10_000)
def subject_of(address: str) -> str:
    """Whom an address stands for: itself, or the /64 of an IPv6 one, which one customer can fill alone."""
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found or address)


def client_address(peer: str | None, forwarded: str | None, trusted: tuple[Network, ...]) -> str:
    """The client's address: the peer, or behind trusted proxies the last address that they did not add themselves."""
    address = peer or "unknown"
    if not trusted or not forwarded:
        return address
    for hop in [address, *reversed([part.strip() for part in forwarded.split(",")])]:
        found = _parsed(hop)
        if found is None:
            break
        address = hop
        if not any(found in network for network in trusted):
            break
    return address
