"""What one stand-in plays next, for whom, and how often it was asked."""
from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_REMEMBERED = 50_000
_NUMBERS = {"delay": 120.0, "per_second": 1000.0, "per_minute": 1000.0, "quota": 1e9}


class UnknownSwitch(Exception):
    """The switch names something that does not exist; `known` lists what does."""

    def __init__(self, message: str, known: Collection[str]) -> None:
        super().__init__(message)
        self.known = list(known)


@dataclass
class Tape:
    """The calls about one address: how far each endpoint's list was played, and what was answered."""

    played: Counter[str] = field(default_factory=Counter)
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)


class Stage:
    """The switch of one stand-in.

    `positions` names, by endpoint, what can be played; `usual` is played without a switch; `tags` gives the list
    for a tag in an address (`ada+later@...`); `over` is played above the rate and the quota, if those are set;
    `free` endpoints count for neither.
    """

    def __init__(self, positions: Mapping[str, Collection[str]], usual: Mapping[str, str],
                 tags: Mapping[str, Mapping[str, Sequence[str]]], over: Mapping[str, str],
                 free: Collection[str] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.positions = positions
        self._usual, self._tags, self._over, self._free, self._clock = usual, tags, over, free, clock
        self.reset()

    def reset(self) -> None:
        """Back to the usual answers, all counts at zero."""
        self._switch: dict[str, list[str]] = {}
        self._numbers: dict[str, float] = {}
        self._tapes: OrderedDict[str, Tape] = OrderedDict()
        self._total: Counter[tuple[str, str]] = Counter()
        self._recent: deque[float] = deque(maxlen=1000)
        self.used = 0

    def set(self, body: object) -> None:
        """Takes a switch body, in place of the one before; raises UnknownSwitch and then changes nothing."""
        if not isinstance(body, dict):
            raise UnknownSwitch("the switch is a JSON object", [*self.positions, *_NUMBERS])
        lists = {name: self._list(name, value) for name, value in body.items() if name not in _NUMBERS}
        numbers = {name: _number(name, value) for name, value in body.items() if name in _NUMBERS}
        self.reset()
        self._switch, self._numbers = lists, numbers

    def show(self) -> dict[str, Any]:
        """The switch as it stands, and all that it could be."""
        return {"switch": {**self._switch, **self._numbers},
                "positions": {endpoint: list(names) for endpoint, names in self.positions.items()},
                "numbers": list(_NUMBERS)}

    @property
    def delay(self) -> float:
        """Seconds by which every answer is held back."""
        return self._numbers.get("delay", 0.0)

    @property
    def quota(self) -> int | None:
        """How many answers are paid for, if that is limited."""
        return int(self._numbers["quota"]) if "quota" in self._numbers else None

    def play(self, endpoint: str, subject: str, *, skip_waiting: bool = False) -> str:
        """The position to play for this address now; counts the call. `skip_waiting` passes over every 202."""
        tape = self._tape(subject)
        free = endpoint in self._free
        name = (None if free else self._too_much()) or self._next(endpoint, subject, tape, skip_waiting)
        self._count(endpoint, name, tape)
        if not free and not name.startswith(("202", "222", "4", "5")):
            self.used += 1  # the repeated calls of one unfinished check are one paid call
        return name

    def note(self, endpoint: str, what: str, subject: str) -> None:
        """Counts a call that was refused before anything was played."""
        self._count(endpoint, what, self._tape(subject))

    def calls(self, subject: str | None = None) -> dict[str, Any]:
        """Counts by endpoint and position, in all or for one address; never a list of addresses."""
        counted = self._total
        if subject is not None:
            counted = self._tapes[subject].answered if subject in self._tapes else Counter()
        endpoints: dict[str, dict[str, Any]] = {}
        for (endpoint, position), count in counted.items():
            entry = endpoints.setdefault(endpoint, {"total": 0, "positions": {}})
            entry["total"] += count
            entry["positions"][position] = count
        return {"total": counted.total(), "endpoints": endpoints}

    def _list(self, endpoint: str, value: object) -> list[str]:
        if endpoint not in self.positions:
            raise UnknownSwitch(f"no endpoint or number {endpoint!r}", [*self.positions, *_NUMBERS])
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names:
            raise UnknownSwitch(f"{endpoint} takes a list of positions", self.positions[endpoint])
        for name in names:
            if not isinstance(name, str) or name not in self.positions[endpoint]:
                raise UnknownSwitch(f"no position {name!r} for {endpoint}", self.positions[endpoint])
        return names

    def _next(self, endpoint: str, subject: str, tape: Tape, skip_waiting: bool) -> str:
        names = self._switch.get(endpoint) or self._tagged(endpoint, subject) or [self._usual[endpoint]]
        if skip_waiting:
            names = [name for name in names if not name.startswith("202")] or [self._usual[endpoint]]
        name = names[min(tape.played[endpoint], len(names) - 1)]
        tape.played[endpoint] += 1
        return name

    def _tagged(self, endpoint: str, subject: str) -> Sequence[str] | None:
        tag = subject.rpartition("@")[0].rpartition("+")[2] if "+" in subject else ""
        return self._tags.get(endpoint, {}).get(tag)

    def _tape(self, subject: str) -> Tape:
        tape = self._tapes.setdefault(subject, Tape())
        self._tapes.move_to_end(subject)
        if len(self._tapes) > _REMEMBERED:
            self._tapes.popitem(last=False)
        return tape

    def _count(self, endpoint: str, what: str, tape: Tape) -> None:
        tape.answered[endpoint, what] += 1
        self._total[endpoint, what] += 1

    def _too_much(self) -> str | None:
        now = self._clock()
        for name, window in (("per_second", 1.0), ("per_minute", 60.0)):
            if name in self._numbers and sum(at > now - window for at in self._recent) >= self._numbers[name]:
                return self._over["rate"]
        self._recent.append(now)
        return self._over["quota"] if self.quota is not None and self.used >= self.quota else None


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _NUMBERS[name]:
        raise UnknownSwitch(f"{name} is a number from 0 to {_NUMBERS[name]:.0f}", list(_NUMBERS))
    return value
