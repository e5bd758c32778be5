"""The breaker, with time under the test's hand."""
from __future__ import annotations

import logging
from typing import Any

import pytest

from server.core.clock import iso
from server.providers.breaker import Breaker
from server.providers.outcome import Kind, Outcome, broken

FINE = Outcome(Kind.NOT_FOUND)
BROKEN = broken("status 500")


def call(breaker: Breaker, outcome: Outcome) -> Outcome:
    held = breaker.admit()
    return held if held is not None else breaker.record(outcome)


def opened(time: Any) -> Breaker:
    breaker = Breaker("it", time.clocks)
    for _ in range(5):
        call(breaker, BROKEN)
    return breaker


def test_only_failures_in_a_row_count(time: Any) -> None:
    breaker = Breaker("it", time.clocks)
    for outcome in [BROKEN] * 4 + [FINE] + [BROKEN] * 4 + [Outcome(Kind.LATER)] + [BROKEN] * 4:
        assert call(breaker, outcome).asked
    assert breaker.describe()["state"] == "ready"
    call(breaker, BROKEN)
    assert breaker.describe()["state"] == "open"


def test_open_it_tells_how_long(time: Any) -> None:
    breaker = opened(time)
    time.at += 10
    held = call(breaker, FINE)
    assert (held.kind, held.wait, held.reason, held.asked) == ("limited", 20.0, "breaker open", False)
    described = breaker.describe()
    assert described["reason"] == "broken"
    assert described["until"] is not None and described["until"].endswith("Z")


def test_half_open_lets_one_through(time: Any) -> None:
    breaker = opened(time)
    time.at += 30.5
    assert breaker.admit() is None
    second = breaker.admit()
    assert second is not None and not second.asked and second.wait
    breaker.record(FINE)
    assert breaker.admit() is None and breaker.describe()["state"] == "ready"


def test_a_failed_probe_opens_it_again(time: Any) -> None:
    breaker = opened(time)
    time.at += 30.5
    assert call(breaker, BROKEN).asked
    assert not call(breaker, FINE).asked
    time.at += 30.5
    assert call(breaker, FINE).asked
    assert breaker.describe()["state"] == "ready"


def test_a_probe_that_did_not_take_place_frees_its_turn(time: Any) -> None:
    breaker = opened(time)
    time.at += 30.5
    assert breaker.admit() is None
    breaker.release()
    assert breaker.admit() is None


def test_late_failures_of_calls_from_before_do_not_prolong_it(time: Any) -> None:
    breaker = opened(time)
    time.at += 20
    breaker.record(BROKEN)
    time.at += 10.5
    assert breaker.admit() is None


def test_a_late_success_does_not_bring_back_a_refused_key(time: Any) -> None:
    breaker = Breaker("it", time.clocks)
    call(breaker, Outcome(Kind.OFF, reason="key"))
    breaker.record(FINE)
    held = call(breaker, FINE)
    assert (held.kind, held.reason, held.wait, held.asked) == ("off", "key", 900.0, False)


@pytest.mark.parametrize("outcome, lasts", [
    (Outcome(Kind.OFF, reason="key"), 900.0), (Outcome(Kind.OFF, reason="quota"), 3600.0),
    (Outcome(Kind.OFF, reason="quota", wait=7000.0), 7000.0)])
def test_how_long_it_is_off(outcome: Outcome, lasts: float, time: Any) -> None:
    breaker = Breaker("it", time.clocks)
    assert call(breaker, outcome).wait == lasts
    time.at += lasts - 1
    assert not call(breaker, FINE).asked
    time.at += 1.5
    assert call(breaker, FINE).asked


def test_the_last_error_stays_known_when_it_is_over(time: Any) -> None:
    breaker = Breaker("it", time.clocks)
    call(breaker, Outcome(Kind.LATER, reason="status 202, no result yet"))
    call(breaker, Outcome(Kind.NOT_FOUND, reason="status 404"))
    assert (breaker.describe()["last_error"], breaker.describe()["last_error_at"]) == (None, None)
    for kind, reason in ((Kind.BROKEN, "status 500"), (Kind.LIMITED, "status 429, rate limit"), (Kind.OFF, "key")):
        time.at += 10_000
        at = iso(int(time.clocks.wall() * 1000))
        call(breaker, Outcome(kind, reason=reason))
        assert (breaker.describe()["last_error"], breaker.describe()["last_error_at"]) == (reason, at)
    time.at += 10_000
    held = call(breaker, FINE)
    assert held.asked and (breaker.describe()["last_error"], breaker.describe()["last_error_at"]) == ("key", at)


def test_an_answer_of_its_own_is_no_error_of_the_service(time: Any) -> None:
    breaker = opened(time)
    at = breaker.describe()["last_error_at"]
    time.at += 10
    assert not call(breaker, FINE).asked
    assert (breaker.describe()["last_error"], breaker.describe()["last_error_at"]) == ("status 500", at)


def test_a_rate_limit_is_a_pause_for_everybody(time: Any) -> None:
    breaker = Breaker("it", time.clocks)
    assert call(breaker, Outcome(Kind.LIMITED, wait=9.0)).asked
    held = call(breaker, FINE)
    assert (held.kind, held.wait, held.asked) == ("limited", 9.0, False)
    assert breaker.describe()["state"] == "ready" and breaker.describe()["reason"] == "limited"
    time.at += 9.5
    assert call(breaker, FINE).asked


def test_without_a_word_the_pauses_grow_and_begin_anew_after_an_answer(time: Any) -> None:
    breaker = Breaker("it", time.clocks)
    waits = []
    for _ in range(7):
        outcome = call(breaker, Outcome(Kind.LIMITED))
        assert outcome.asked and outcome.wait
        waits.append(outcome.wait)
        time.at += outcome.wait + 0.01
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    call(breaker, FINE)
    assert call(breaker, Outcome(Kind.LIMITED)).wait == 2.0


def test_many_at_once_that_are_limited_count_as_one(time: Any) -> None:
    breaker = Breaker("it", time.clocks)
    for _ in range(16):
        assert breaker.admit() is None
    assert {breaker.record(Outcome(Kind.LIMITED)).wait for _ in range(16)} == {2.0}


def test_the_log_says_it_once(time: Any, caplog: pytest.LogCaptureFixture) -> None:
    breaker = opened(time)
    for _ in range(3):
        call(breaker, BROKEN)
        time.at += 30.5
        call(breaker, BROKEN)
    time.at += 30.5
    call(breaker, FINE)
    call(breaker, FINE)
    assert [record.getMessage() for record in caplog.records] == ["it is open (broken) for 30 s", "it is back"]
    assert {record.name for record in caplog.records} == {"foyer.providers"}
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
