"""The core in any order of events: see tests/support/simulation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from simulation.choices import Choices
from simulation.machine import simulated_machine
from simulation.scenario import run
from simulation.scheduler import scheduler


@pytest.fixture(autouse=True)
def _machine() -> Iterator[None]:
    with simulated_machine():
        yield


@pytest.mark.parametrize("policy", ["walk", "pct"])
def test_a_schedule_is_the_same_again(policy: str) -> None:
    for seed in range(20):
        first = Choices(seed)
        run(first, policy)
        steps, time = scheduler.steps, scheduler.time
        again = Choices(given=first.made)
        run(again)
        assert (again.made, scheduler.steps, scheduler.time) == (first.made, steps, time)
