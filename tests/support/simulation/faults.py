"""Faults of the past, and some that are likely: each is put into the core, to be found.

Each function takes what sets an attribute for the time being, and changes the real code with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from mediahound_auth._core import lifecycle, runtime, source
from mediahound_auth._core.lifecycle import Action, Conditions, State
from mediahound_auth._core.renewal import Outcome, Renewal, Steps
from mediahound_auth._core.runtime import DaemonThread, Event, Worker
from mediahound_auth._core.shared_state import SharedTokenState
from mediahound_auth._core.source import TokenSource
from mediahound_auth._core.store_session import StoreSession
from mediahound_auth.errors import MediaHoundAuthError, TokenEndpointUnavailable
from mediahound_auth.token import Token

__all__ = ["FAULTS", "FIRST", "fault"]

Patch = Callable[[object, str, Any], None]
Fault = Callable[[Patch], None]

FAULTS: dict[str, Fault] = {}
# The first seed whose schedule shows the fault.
FIRST: dict[str, int] = {}


def named(name: str, first: int) -> Callable[[Fault], Fault]:
    """Add a fault to FAULTS."""

    def add(fault: Fault) -> Fault:
        FAULTS[name] = fault
        FIRST[name] = first
        return fault

    return add


@contextmanager
def fault(name: str) -> Iterator[None]:
    """The core has this fault meanwhile."""
    real: list[tuple[object, str, Any]] = []

    def patch(owner: object, attribute: str, value: object) -> None:
        real.append((owner, attribute, vars(owner)[attribute]))
        setattr(owner, attribute, value)

    FAULTS[name](patch)
    try:
        yield
    finally:
        for owner, attribute, value in reversed(real):
            setattr(owner, attribute, value)


class AnyTransport:
    """A transport that is equal to each."""

    __hash__ = object.__hash__

    def __eq__(self, _: object) -> bool:
        return True


def _fails_alike(patch: Patch, **ignored: Any) -> None:
    real = lifecycle.fails_alike

    def fails_alike(
        failure: MediaHoundAuthError, under: Conditions | None, conditions: Conditions | None
    ) -> bool:
        return real(failure, under, conditions and conditions._replace(**ignored))

    for module in (lifecycle, source):
        patch(module, "fails_alike", fails_alike)


@named(
    "accepted calls, or an accepted retry, end the wait for the next renewal,"
    " so that renewals become frequent",
    first=159,
)
def storm(patch: Patch) -> None:
    def renewed_lately(state: State, now: float) -> bool:
        wait = min(2.0 ** (state.unconfirmed - 1), 60.0)
        in_doubt = state.unconfirmed and state.unconfirmed_at <= now < state.unconfirmed_at + wait
        return bool(in_doubt) and state.accepted_calls < wait

    patch(State, "_renewed_lately", renewed_lately)


@named("a failure is shared with an object whose transport works", first=6)
def other_transport(patch: Patch) -> None:
    _fails_alike(patch, transport=AnyTransport())


@named("a failure is shared with an object whose `timeout` is longer", first=259)
def longer_timeout(patch: Patch) -> None:
    _fails_alike(patch, timeout=0.0)


@named("a store operation hangs, gets the lock later, and keeps it", first=167)
def stuck_lock(patch: Patch) -> None:
    real = Worker.close
    patch(Worker, "close", lambda worker, _: real(worker, lambda: None))


@named("a 401 during another renewal waits for two time limits", first=36)
def two_limits(patch: Patch) -> None:
    real = TokenSource._wait_for

    def wait_for(
        source: TokenSource, renewal: Renewal, _: float, **options: Any
    ) -> Steps[Outcome | None]:
        return real(source, renewal, runtime.monotonic() + source.settings.timeout, **options)

    patch(TokenSource, "_wait_for", wait_for)


@named("`forget()` during a save brings the token back", first=3681)
def forget_during_save(patch: Patch) -> None:
    def save(renewal: Renewal, store: StoreSession, token: Token) -> None:
        store.save(token, replaces=renewal.rejected)

    patch(Renewal, "_save", save)


@named("code that runs during a renewal needs a token, and waits for this renewal", first=1)
def waits_for_itself(patch: Patch) -> None:
    patch(Renewal, "waits_for_caller", False)


@named("a caller misses that a renewal has ended", first=17)
def lost_wake_up(patch: Patch) -> None:
    def wait(event: Any, until: float) -> bool:
        happened: bool = event._happened
        remaining = until - runtime.monotonic()
        if not happened and remaining > 0:
            with event._condition:
                event._condition.wait(remaining)
        return bool(event._happened)

    patch(Event, "wait", wait)


@named("a task misses that a renewal has ended", first=0)
def lost_task(patch: Patch) -> None:
    def wake(event: Any) -> None:
        with event._condition:
            event._happened = True
            event._condition.notify_all()

    patch(Event, "wake", wake)


@named("the thread of a renewal ends without an outcome", first=0)
def vanishes(patch: Patch) -> None:
    real = DaemonThread._run

    def run(thread: DaemonThread) -> None:
        if runtime.jitter() < 0.7:
            real(thread)
        else:
            thread.take_over()

    patch(DaemonThread, "_run", run)


@named("the child of a fork waits for a renewal of its parent", first=232)
def joins_parent(patch: Patch) -> None:
    def joinable(renewal: Renewal) -> bool:
        return not renewal.recorded and runtime.monotonic() < renewal.deadline

    patch(Renewal, "joinable", property(joinable))


@named("each caller starts a renewal", first=0)
def nobody_joins(patch: Patch) -> None:
    patch(Renewal, "joinable", False)


@named("no thread can be started, and no caller does the renewal's work", first=31)
def no_take_over(patch: Patch) -> None:
    real = DaemonThread.start

    def start(thread: DaemonThread) -> bool:
        thread.begins_by = float("inf")
        real(thread)
        return True

    patch(DaemonThread, "start", start)


@named("an interrupted caller ends the renewal for all callers", first=323)
def interrupts_all(patch: Patch) -> None:
    real = Renewal.wait

    @wraps(real)
    def wait(renewal: Renewal, timeout: float) -> None:
        try:
            real(renewal, timeout)
        except TimeoutError:
            renewal._fail(TokenEndpointUnavailable("interrupted"), renewal.timeout)
            raise

    patch(Renewal, "wait", wait)


@named("a task waits like a thread, and blocks its event loop", first=0)
def blocks_loop(patch: Patch) -> None:
    async def wait_async(renewal: Renewal, timeout: float) -> None:
        renewal.wait(timeout)

    patch(Renewal, "wait_async", wait_async)


@named("a caller waits until the renewal ends, even beyond its own `timeout`", first=36)
def waits_too_long(patch: Patch) -> None:
    real = Renewal.wait
    patch(Renewal, "wait", lambda renewal, _: real(renewal, renewal.remaining))


@named("the store's lock is not acquired", first=96)
def no_lock(patch: Patch) -> None:
    patch(StoreSession, "lock", lambda *_: True)


@named("a renewal waits for a store that hangs", first=52)
def store_hangs(patch: Patch) -> None:
    real = Worker.call
    patch(Worker, "call", lambda worker, function, _: real(worker, function, 1000.0))


@named("a renewal that has ended is not dropped", first=0)
def renewal_kept(patch: Patch) -> None:
    patch(SharedTokenState, "end", lambda *_: None)


@named("a failure in the background is shared while a token is at hand", first=122)
def background_failure(patch: Patch) -> None:
    real, real_action = State.on_failure, State.next_action

    def on_failure(state: State, *arguments: Any, **options: Any) -> State:
        return real(state, *arguments, **options | {"waited_for": True})

    def next_action(state: State, now: float, conditions: Conditions | None = None) -> Action:
        failed = state._failed_lately(now, conditions)
        return Action.GIVE_UP if failed else real_action(state, now, conditions)

    patch(State, "on_failure", on_failure)
    patch(State, "next_action", next_action)
