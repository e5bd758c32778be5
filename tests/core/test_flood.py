"""A fault that happens again and again does not fill the log."""
from __future__ import annotations

import logging

from server.core import log as logs
from server.core.flood import MOST, SECONDS, FloodFilter


def record(message: str, at: float, *args: object, name: str = "foyer.web") -> logging.LogRecord:
    """A record that was made then."""
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, message, args, None)
    made.created = at
    return made


def test_the_first_of_a_kind_pass_and_the_rest_is_counted() -> None:
    flood = FloodFilter()
    passed = [flood.filter(record("%s -> %s", 100 + number / 1000, number, 503)) for number in range(1000)]
    assert passed == [True] * MOST + [False] * (1000 - MOST)
    late = record("%s -> %s", 100 + SECONDS, "again", 503)
    assert flood.filter(late) and late.left_out == 1000 - MOST  # type: ignore[attr-defined]
    later = record("%s -> %s", 100 + 2 * SECONDS, "again", 503)
    assert flood.filter(later) and later.left_out == 0  # type: ignore[attr-defined]


def test_another_kind_is_not_held_back() -> None:
    flood = FloodFilter()
    for number in range(100):
        flood.filter(record("one kind", 100))
    assert flood.filter(record("another", 100)) and flood.filter(record("one kind", 100, name="foyer.jobs"))


def test_a_clock_that_goes_back_silences_nothing() -> None:
    flood = FloodFilter()
    for number in range(100):
        flood.filter(record("one kind", 10_000))
    assert flood.filter(record("one kind", 100))


def test_kinds_without_number_are_forgotten() -> None:
    flood = FloodFilter()
    assert all(flood.filter(record(f"kind {number}", 100)) for number in range(10_000))
    assert len(flood._kinds) <= 1000


def test_the_line_says_how_many_were_left_out() -> None:
    shown = record("the disk is full", 100)
    shown.left_out = 7
    for formatter in (logs._TextFormatter(), logs._JsonFormatter()):
        assert "the disk is full (7 more like this were left out before)" in formatter.format(shown)
