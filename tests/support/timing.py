"""Time in tests: a clock that stands still until it is advanced, and waiting for the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mediahound_auth._core import runtime
from mediahound_auth._core.renewal import Renewal
from mediahound_auth.testing import MediaHoundServer

# Seconds. With the default margin of 300 s, and its jitter, a token is AGEING from some moment in
# the 150 s after FRESH on.
LIFETIME = 10_000
FRESH = LIFETIME - 301
AGEING = LIFETIME - 100


class Clock:
    """A clock that stands still.

    Attributes:
        now: the time it shows, in seconds since the epoch.
    """

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def patch_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Make a Clock the clock of the package, except for its fake server."""
    clock = Clock()
    monkeypatch.setattr(runtime, "now", clock)
    return clock


@contextmanager
def server_of_new_tokens(client_id: str, clock: Clock) -> Iterator[MediaHoundServer]:
    """A server on this clock; each token request gets another token, valid for LIFETIME."""
    options: Any = {"client_id": client_id, "lifetime": LIFETIME, "clock": clock}
    with MediaHoundServer(**options, return_same_token=False) as server:
        yield server
        # Without its server, a renewal in the background would retry until its time limit.
        wait_for_renewals()


def eventually(condition: Callable[[], object]) -> None:
    """Return once `condition()` is true, which something in the background brings about."""
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at, "nothing has happened in the background"
        threading.Event().wait(0.002)


def wait_until_blocked(pid: int) -> None:
    """Return once the main thread of a process waits in a system call, which a signal interrupts.

    Python handles signals between two steps of a program. So one that comes just before such a call
    is handled only when the call has ended: once in some thousand times, unless a test waits here.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():  # on Linux
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S")


def let_time_run_out(renewal: Renewal, begun: threading.Event) -> None:
    """Start a renewal, wait until it has `begun`, and end its time limit then."""
    renewal.start()
    assert begun.wait(20)
    renewal.deadline = renewal.started


def wait_for_renewals() -> None:
    """Wait for the end of the threads of renewals, which may have woken all who waited."""
    for thread in threading.enumerate():
        if thread.name == "mediahound-auth renewal":
            thread.join(20)
