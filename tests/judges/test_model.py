"""A stateful model of accounts, posts, likes and events, played against a real server by hypothesis."""
from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import run_state_machine_as_test

from tests.judges.model.machine import Machine
from tests.judges.model.stage import Stage

STEPS = int(os.environ.get("FOYER_TEST_STEPS") or 2000)  # the nightly run takes 50 000
STEPS_EACH = 50  # on one database
SHRINKING = 60  # seconds at most to make a failing play shorter; hypothesis has no setting for its five minutes


@pytest.fixture
def cleared() -> Iterator[None]:
    """The place that was prepared for another play goes, too."""
    yield
    Stage.places.close()


@pytest.mark.long
def test_the_model_and_the_server_agree(cleared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", SHRINKING)
    number = int(os.environ.get("FOYER_TEST_SEED") or random.SystemRandom().randrange(10**9))
    print(f"seed {number} (FOYER_TEST_SEED)")
    Stage.steps, before = 0, Stage.requests.copy()
    while Stage.steps < STEPS:  # hypothesis ends many a play early
        played = Stage.steps
        _play(number, 1 + (STEPS - played) // STEPS_EACH)
        assert Stage.steps > played
        number += 1
    print(f"{Stage.steps} steps: {Stage.requests - before}")


def _play(number: int, plays: int) -> None:
    run_state_machine_as_test(seed(number)(Machine), settings=settings(
        max_examples=plays, stateful_step_count=STEPS_EACH, deadline=None, database=None,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck)))
