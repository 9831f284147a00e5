"""The core in many orders of events: see tests/support/simulation."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import pytest
from simulation.choices import Choices
from simulation.faults import FAULTS, FIRST, fault
from simulation.machine import simulated_machine
from simulation.scenario import run, run_seed
from simulation.scheduler import scheduler
from simulation.shrinker import shrunk, story

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]

SCHEDULES = 1000  # `make schedules` runs a hundred times as many
MOST_SEEDS = 10_000  # in which each fault is found
# Seeds that found a fault in the package, in the world of their time; the world has changed since.
FOUND = (17, 113, 460, 808, 937, 1077, 1634, 2422, 2812, 3152, 4319, 5508, 6066, 6453)
FOUND_LATER = (60780, 98551, 187827, 190220)


@pytest.fixture(autouse=True)
def _machine() -> Iterator[None]:
    with simulated_machine():
        yield


@pytest.fixture(autouse=True)
def _one_processor() -> Iterator[None]:
    """Threads of which one runs at a time hand over to one another faster on one processor."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(processors)[os.getpid() % len(processors)]})
    yield
    os.sched_setaffinity(0, processors)


def failures(seeds: range | tuple[int, ...]) -> dict[int, str]:
    found = {seed: run_seed(seed) for seed in seeds}
    return {seed: failure.promise for seed, failure in found.items() if failure}


def test_no_promise_is_broken_in_any_order_of_events() -> None:
    assert not failures(range(SCHEDULES))


def test_no_promise_is_broken_in_the_orders_that_once_broke_one() -> None:
    assert not failures(FOUND + FOUND_LATER)


@pytest.mark.tools
@pytest.mark.parametrize("policy", ["walk", "pct"])
def test_a_seed_always_gives_the_same_schedule(policy: str) -> None:
    for seed in range(20):
        first = Choices(seed)
        run(first, policy)
        steps, time = scheduler.steps, scheduler.time
        again = Choices(given=first.made)
        run(again)
        assert (again.made, scheduler.steps, scheduler.time) == (first.made, steps, time)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    with fault(name):
        # Where the rest of the simulation has changed, other seeds show it.
        seeds = chain(range(FIRST[name], MOST_SEEDS), range(FIRST[name]))
        found = next(filter(None, map(run_seed, seeds)), None)
    assert found
    # A promise is broken, and not the fault itself.
    assert not re.search(r"ended with \w+Error|no end", found.promise), found.promise


@pytest.mark.fuzz
@pytest.mark.parametrize("name", FAULTS)
def test_no_earlier_schedule_shows_a_fault(name: str) -> None:
    with fault(name):
        assert not failures(range(FIRST[name]))
        assert failures((FIRST[name],))


@pytest.mark.documentation
def test_the_documentation_says_how_many_schedules_it_took_to_find_a_fault() -> None:
    page = (ROOT / "docs/how-it-works/how-it-is-tested.md").read_text("utf-8")
    table = page.partition("| fault | schedules until it was found |\n| --- | --- |\n")[2]
    rows = [f"| {name} | {first + 1:,} |" for name, first in FIRST.items()]
    assert table.partition("\n\n")[0].splitlines() == rows


@pytest.mark.tools
def test_a_fault_is_reduced_to_a_short_schedule() -> None:
    with fault("the store's lock is not acquired"):
        found = next(filter(None, map(run_seed, count())))
        shortest = shrunk(found)
        assert shortest.promise == found.promise
        assert len(shortest.choices) < len(found.choices)
        assert story(shortest).count("token request by") == 2
        assert run(Choices(given=shortest.choices))
    assert not run(Choices(given=shortest.choices))
