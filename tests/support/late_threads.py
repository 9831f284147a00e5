"""A plugin that lets threads go on late, at random, where they hand over to one another.

`make delays` runs the tests with it. What fails then has a race in it, the package or the test.
"""

from __future__ import annotations

import random
import threading
import time
from asyncio import base_events
from collections.abc import Callable
from concurrent.futures import Future
from functools import wraps
from http.server import BaseHTTPRequestHandler
from typing import ParamSpec, TypeVar

from mediahound_auth._core.renewal import Renewal
from mediahound_auth._core.runtime import DaemonThread, Event
from mediahound_auth._core.shared_state import SharedTokenState

P = ParamSpec("P")
T = TypeVar("T")

OFTEN = 0.3
LONGEST = 0.08  # seconds

# One of its own: hypothesis minds if other threads draw from `random` meanwhile.
chance = random.Random()


def pause() -> None:
    """Let others go first, now and then."""
    if chance.random() < OFTEN:
        time.sleep(chance.uniform(0.0, LONGEST))


def late(function: Callable[P, T]) -> Callable[P, T]:
    """The same function, which begins late and returns late."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        pause()
        try:
            return function(*args, **kwargs)
        finally:
            pause()

    return call


# What begins late and returns late.
DELAYED: dict[type, list[str]] = {
    threading.Thread: ["run"],
    Future: ["set_result", "set_exception"],
    base_events.BaseEventLoop: ["call_soon_threadsafe"],
    BaseHTTPRequestHandler: ["send_response", "end_headers"],
    Renewal: ["expire", "_fail", "_decide", "_run"],
    Event: ["wake"],
    DaemonThread: ["start", "take_over"],
    SharedTokenState: ["end", "record_late"],
}


def pytest_configure() -> None:
    """Delay them: pytest calls it where this is a plugin."""
    for owner, names in DELAYED.items():
        for name in names:
            setattr(owner, name, late(getattr(owner, name)))
