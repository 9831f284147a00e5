"""Renewal: one renewal under way, and everybody who waits for it.

A flight runs in a thread of its own. So nobody who waits for it can take it down (Ctrl-C, a
cancelled task, a test's time-out), nobody waits longer than the time budget, however slowly the
endpoint drips, and no event loop is ever blocked: threads and tasks wait for the same flight, each
in the way of its own kind.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mediahound_auth.errors import MediaHoundAuthError
from mediahound_auth.token import Token

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["THREAD_START_TIMEOUT", "Renewal", "Steps", "run_steps", "run_steps_async"]

T = TypeVar("T")

# What a caller does, up to each point where it has to wait for a flight, and for how many seconds
# at most: written once for threads and tasks.
Steps = Generator[tuple["Renewal", float], None, T]

# Seconds a caller waits for a flight's thread to begin before it does the work itself, half of its
# budget at most: there are places where threads never run, such as uWSGI without `enable-threads`.
THREAD_START_TIMEOUT = 1.0


class Renewal:
    """One renewal under way. It lands once, with a token or with a failure.

    Attributes:
        rejected: the access token that an API has rejected, if that is why it was started.
        ask: the endpoint is to be asked, whatever a store may hold.
        waited_for: somebody needs its outcome.
        attempts: how often the endpoint has been asked.
        trouble: what went wrong last, while it is being tried again.
    """

    def __init__(
        self,
        work: Callable[[Renewal], None],
        budget: float,
        *,
        rejected: str | None = None,
        ask: bool = False,
    ) -> None:
        self.rejected = rejected
        self.ask = ask
        self.waited_for = False
        self.attempts = 0
        self.trouble: MediaHoundAuthError | None = None
        self._work: Callable[[Renewal], None] | None = work
        self._started = time.monotonic()
        self._deadline = self._started + budget
        self._begin_by = self._started + min(THREAD_START_TIMEOUT, budget / 2)
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._claimed = threading.Lock()
        self._settled = threading.Lock()
        from concurrent.futures import Future

        self._outcome: Future[Token] = Future()

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started

    @property
    def budget(self) -> float:
        """Seconds that it may take in all."""
        return self._deadline - self._started

    @property
    def remaining(self) -> float:
        """Seconds of the time budget that are left, 0.0 if none are."""
        return max(0.0, self._deadline - time.monotonic())

    @property
    def landed(self) -> bool:
        """Whether the outcome is there."""
        return self._outcome.done()

    @property
    def under_way(self) -> bool:
        """Whether waiting for it makes sense: after fork() its thread has stayed in the parent."""
        return self._pid == os.getpid() and not self.landed and self.remaining > 0

    def launch(self) -> None:
        """Start the work in its thread, unless that has been done."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self.run, name="mediahound-auth renewal", daemon=True
            )
            try:
                self._thread.start()
            except RuntimeError:
                # None is to be had, at interpreter shutdown for one: whoever waits does the work.
                self._begin_by = time.monotonic()

    def extend(self, budget: float) -> None:
        """Let it take `budget` seconds in all, if that is more than it has."""
        self._deadline = max(self._deadline, self._started + budget)

    def run(self) -> None:
        """Do the work here, unless somebody has begun it."""
        work = self._work
        if work and self._claimed.acquire(blocking=False):
            # Let go of: it may hold a session, or a store, and the last flight is remembered.
            self._work = None
            work(self)

    @property
    def settled(self) -> bool:
        """Whether its outcome is known, and taken note of: it lands with it presently."""
        return self._settled.locked()

    def settle(self) -> bool:
        """Claim the right to land it; True for the first who does, who must do so."""
        return self._settled.acquire(blocking=False)

    def land(self, outcome: Token | MediaHoundAuthError) -> None:
        """Give everybody who waits the outcome, unless they have it."""
        if self.landed:
            return
        if isinstance(outcome, Token):
            self._outcome.set_result(outcome)
        else:
            self._outcome.set_exception(outcome)

    def outcome(self) -> Token | MediaHoundAuthError:
        """What it has landed with."""
        error = self._outcome.exception(0)
        if error is None:
            return self._outcome.result(0)
        assert isinstance(error, MediaHoundAuthError)
        return error

    def wait(self, most: float) -> None:
        """Block this thread until it has landed or its time is up, for `most` seconds at most."""
        self.launch()
        until = time.monotonic() + min(most, self.remaining)
        if not self._landed_by(min(self._begin_by, until)) and time.monotonic() < until:
            self.run()
            self._landed_by(until)

    async def wait_async(self, most: float) -> None:
        """The same for a task, on asyncio or trio."""
        import anyio
        from anyio.lowlevel import current_token

        landed = anyio.Event()
        loop = _native(current_token())
        soon: Callable[[Callable[[], object]], object]
        soon = getattr(loop, "run_sync_soon", None) or loop.call_soon_threadsafe
        # Emptied below, since a future keeps its callbacks, and those would keep the loop.
        wakers = [partial(soon, landed.set)]

        def wake(_: object) -> None:
            for call in wakers:
                with suppress(RuntimeError):  # the loop has closed: nobody waits there any more
                    call()

        self._outcome.add_done_callback(wake)
        self.launch()
        try:
            with anyio.move_on_after(min(most, self.remaining)):
                await landed.wait()
        finally:
            wakers.clear()

    def _landed_by(self, moment: float) -> bool:
        with suppress(TimeoutError):
            self._outcome.exception(max(0.0, moment - time.monotonic()))
        return self.landed


def _native(token: Any) -> Any:
    # trio's TrioToken or asyncio's event loop; anyio before 4.11 hands it out bare.
    return getattr(token, "native_token", token)


def run_steps(plan: Steps[T]) -> T:
    """Follow `plan` in this thread."""
    try:
        while True:
            flight, seconds = next(plan)
            flight.wait(seconds)
    except StopIteration as end:
        value: T = end.value
        return value


async def run_steps_async(plan: Steps[T]) -> T:
    """Follow `plan` in this task."""
    try:
        while True:
            flight, seconds = next(plan)
            await flight.wait_async(seconds)
    except StopIteration as end:
        value: T = end.value
        return value
