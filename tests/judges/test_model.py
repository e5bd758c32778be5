"""A stateful model of accounts, posts, likes and events, played against a real server by hypothesis."""
from __future__ import annotations

import os
import random

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.judges.model.machine import Machine

STEPS = int(os.environ.get("FOYER_TEST_STEPS") or 2000)  # the nightly run takes 50 000
STEPS_EACH = 50  # on one database


def test_the_model_and_the_server_agree() -> None:
    number = int(os.environ.get("FOYER_TEST_SEED") or random.SystemRandom().randrange(10**9))
    print(f"seed {number} (FOYER_TEST_SEED)")
    Machine.steps, before = 0, Machine.requests.copy()
    run_state_machine_as_test(seed(number)(Machine), settings=settings(
        max_examples=STEPS // STEPS_EACH, stateful_step_count=STEPS_EACH, deadline=None, database=None,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck)))
    print(f"{Machine.steps} steps: {Machine.requests - before}")
    assert Machine.steps >= STEPS
