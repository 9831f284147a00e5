"""How much of everything is measured: for results, for a look, for a test of the benchmarks."""

from __future__ import annotations

from typing import NamedTuple


class Scale(NamedTuple):
    """How much of everything. All times are in seconds.

    Attributes:
        threads, tasks: how many call at once.
        calls: how many calls follow one another.
        batches: how many batches of a hundred requests each arm attaches a token to.
        rounds: how often each arm makes `calls` real calls, and how often a herd runs.
        imports: how many fresh interpreters import each module.
        objects: how many auth objects are made.
        renewals: how many renewals follow one another.
        token_delay: what a token request takes.
        held: what the token request takes during which the event loop is watched.
        budget: the time budget of callers whose endpoint is down.
        life, load: after what time a token is due for renewal, and how long calls go on at most.
        last: what is left of the life of a token that is handed out again.
    """

    threads: int
    tasks: int
    calls: int
    batches: int
    rounds: int
    imports: int
    objects: int
    renewals: int
    token_delay: float
    held: float
    budget: float
    life: float
    load: float
    last: float


FULL = Scale(
    threads=64,
    tasks=1000,
    calls=100,
    batches=400,
    rounds=3,
    imports=9,
    objects=50,
    renewals=10_000,
    token_delay=0.2,
    held=0.5,
    budget=1.0,
    life=4.0,
    load=5.0,
    last=12.0,
)

QUICK = Scale(
    threads=64,
    tasks=200,
    calls=30,
    batches=40,
    rounds=1,
    imports=2,
    objects=20,
    renewals=500,
    token_delay=0.03,
    held=0.2,
    budget=0.5,
    life=2.0,
    load=3.0,
    last=3.0,
)

SMALLEST = Scale(
    threads=8,
    tasks=20,
    calls=20,
    batches=2,
    rounds=1,
    imports=1,
    objects=10,
    renewals=20,
    token_delay=0.05,
    held=0.1,
    budget=2.0,
    life=2.0,
    load=3.0,
    last=2.0,
)
