"""Time in tests: a clock that stands still until it is advanced, and waiting for the background."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

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
    """Make a Clock what `time.time` is for the package, except for its fake server."""
    clock = Clock()
    module_time = SimpleNamespace(**{**vars(time), "time": clock})
    for name, module in list(sys.modules.items()):
        if name.startswith("mediahound_auth.") and "testing" not in name:
            if vars(module).get("time") is time:
                monkeypatch.setattr(module, "time", module_time)
            elif vars(module).get("time") is time.time:
                monkeypatch.setattr(module, "time", clock)
    return clock


@contextmanager
def server_of_new_tokens(client_id: str, clock: Clock) -> Iterator[MediaHoundServer]:
    """A server on this clock; each token request gets another token, valid for LIFETIME."""
    options: Any = {"client_id": client_id, "lifetime": LIFETIME, "clock": clock}
    with MediaHoundServer(**options, return_same_token=False) as server:
        yield server


def eventually(condition: Callable[[], object]) -> None:
    """Return once `condition()` is true, which something in the background brings about."""
    give_up_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at, "nothing has happened in the background"
        threading.Event().wait(0.002)


def wait_for_its_thread(auth: Any) -> None:
    """Wait for the end of the thread of the renewal in progress, which may have woken all."""
    renewal = auth._cell.flight
    assert renewal is not None
    assert renewal._thread is not None
    renewal._thread.join(20)
