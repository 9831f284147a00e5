"""StoreSession: one renewal's use of a store, which can cost it a little time at most.

Whatever a store does wrong (raise, hang, hand out garbage) costs one log line per outage and at
most STORE_TIMEOUT seconds, never a request: the rest of the visit is skipped, the renewal goes on
from memory, and the next visit tries again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self, TypeVar

from mediahound_auth import _events as events
from mediahound_auth._core.grant import Grant
from mediahound_auth._core.renewal import THREAD_START_TIMEOUT
from mediahound_auth.stores import MemoryStore, Store
from mediahound_auth.token import Token

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["STORE_TIMEOUT", "StoreHealth", "StoreSession"]

T = TypeVar("T")

# Seconds that one operation may take; a lock may take as long as it is waited for besides.
STORE_TIMEOUT = 2.0
# Of the time budget, likewise: the rest is for the endpoint.
STORE_SHARE = 0.25


class StoreHealth:
    """Whether a store worked when it was last used: an outage is logged when it begins and ends."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant
        self.failing: bool = False
        self.failures: int = 0

    def failed(self, operation: str, error: BaseException) -> None:
        """Tell that an operation failed."""
        events.store_failed(self._grant, operation, error, again=self.failing)
        self.failing = True
        self.failures += 1

    def worked(self, failures: int) -> None:
        """Tell that a whole visit went well, at whose beginning there were so many failures."""
        if failures != self.failures:
            return  # another visit knows better: it failed while this one was ending
        if self.failing:
            events.store_recovered(self._grant)
        self.failing = False


class StoreSession:
    """A context manager: the store under one key, for the time of one renewal.

    `budget` is that renewal's time budget in seconds, of which a store may take a share.

    All operations run in one thread, since locks may be bound to the one that took them: a thread
    of the visit's own, which can be left behind should the store hang. A store in memory does
    neither, and is used directly; so is any, where threads never run (see flight.py).
    """

    def __init__(self, store: Store, key: str, health: StoreHealth, budget: float) -> None:
        self._longest = min(STORE_TIMEOUT, STORE_SHARE * budget)
        self._store = store
        self._key = key
        self._health = health
        self._failures = health.failures
        self._held = ExitStack()
        self._direct = type(store) is MemoryStore
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._claimed = threading.Lock()
        self._begun = threading.Event()
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock, if it is held."""
        self._do("unlock", self._held.close)
        if self._over:
            # Should an operation that hangs be granted the lock yet, it goes back at once.
            self._tasks.put(self._release)
        else:
            self._health.worked(self._failures)
        self._tasks.put(None)

    def load(self) -> Token | None:
        """What the store holds, or None; None also for what it holds and nobody can read."""

        def load() -> Token | None:
            try:
                return self._store.load(self._key)
            except ValueError as error:
                self._health.failed("load", error)  # but it can be overwritten
                return None

        return self._do("load", load)

    def save(self, token: Token, *, instead_of: str | None) -> None:
        """Put `token` into the store.

        The access token `instead_of` is known to be dead: it does not stand against it, even if it
        claims to have been requested later, by a clock that is fast.
        """
        if instead_of is not None and token.access_token != instead_of:
            kept = self.load()
            if kept and kept.access_token == instead_of:
                self.discard()
        self._do("save", lambda: self._store.save(self._key, token))

    def discard(self) -> None:
        """Drop what the store holds."""
        self._do("discard", lambda: self._store.discard(self._key))

    def lock(self, wait: float) -> bool:
        """Hold the store's lock from here to the end of the visit, if it is free in `wait` seconds.

        It keeps renewals from happening twice; a lock that cannot be had must not keep them from
        happening at all. False: somebody else holds it.
        """

        def enter() -> bool:
            try:
                self._held.enter_context(self._store.lock(self._key, wait))
            except TimeoutError:
                return False
            return True

        return self._do("lock", enter, patience=wait) is not False

    def _release(self) -> None:
        with suppress(Exception):
            self._held.close()

    def _do(self, operation: str, task: Callable[[], T], patience: float = 0.0) -> T | None:
        if self._over:
            return None
        try:
            return task() if self._direct else self._in_thread(task, patience + self._longest)
        except Exception as error:
            self._over = True
            self._health.failed(operation, error)
            return None

    def _in_thread(self, task: Callable[[], T], timeout: float) -> T:
        from concurrent.futures import Future

        if self._thread is None and not self._launched():
            self._direct = True
            return task()
        future: Future[T] = Future()
        self._tasks.put(lambda: _run(task, future))
        return future.result(timeout)

    def _launched(self) -> bool:
        """Start the thread; False if there is none to be had, or it does not begin."""
        self._thread = threading.Thread(
            target=self._work, name="mediahound-auth store", daemon=True
        )
        with suppress(RuntimeError):
            self._thread.start()
            self._begun.wait(min(THREAD_START_TIMEOUT, self._longest))
        return not self._claimed.acquire(blocking=False)

    def _work(self) -> None:
        if not self._claimed.acquire(blocking=False):
            return
        self._begun.set()
        while task := self._tasks.get():
            task()


def _run(task: Callable[[], T], future: Future[T]) -> None:
    try:
        future.set_result(task())
    except Exception as error:
        future.set_exception(error)
