"""Run many schedules, and tell the story of what failed.

One process per processor, which keeps to that: threads of which one runs at a time hand over to one
another faster there.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue

from simulation.machine import simulated_machine
from simulation.scenario import Failure, run_seed
from simulation.shrinker import shrunk, story

__all__ = ["main"]

AT_ONCE = 500  # seeds that a process gets
MOST_STORIES = 5


def main(seeds: int = 100_000, first: int = 0) -> int:
    """Run the schedules of these seeds; how many have failed."""
    started = time.monotonic()
    context = get_context("spawn")
    cpus: SimpleQueue[int] = context.SimpleQueue()
    for cpu in (all_cpus := sorted(os.sched_getaffinity(0))):
        cpus.put(cpu)
    last = first + seeds
    parts = [range(start, min(start + AT_ONCE, last)) for start in range(first, last, AT_ONCE)]
    with ProcessPoolExecutor(len(all_cpus), context, keep_to_one, (cpus,)) as pool:
        failed = list(chain.from_iterable(pool.map(failures, parts)))
    speed = seeds / (time.monotonic() - started)
    for seed, failure in failed[:MOST_STORIES]:
        print(f"\nseed {seed}: {failure.promise}\n{tell(failure)}")
    print(f"{seeds} schedules, {speed:.0f} per second: {len(failed)} have failed")
    return len(failed)


def keep_to_one(cpus: SimpleQueue[int]) -> None:
    """Keep this process to a processor of its own."""
    os.sched_setaffinity(0, {cpus.get()})


def failures(seeds: range) -> list[tuple[int, Failure]]:
    """Those of these seeds that fail."""
    with simulated_machine():
        found = ((seed, run_seed(seed)) for seed in seeds)
        return [(seed, failure) for seed, failure in found if failure]


def tell(failure: Failure) -> str:
    """The story of the shortest schedule found that fails so, and its choices."""
    with simulated_machine():
        shortest = shrunk(failure)
        return f"{story(shortest)}\n{shortest.choices}"
