"""StoreSession: the use of a store by one renewal.

If a store raises, hangs or returns garbage, this costs one log record per outage and at most two
seconds per renewal. The rest of the session is skipped, the renewal continues without the store,
and the next session tries the store again. No call fails.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Self, TypeVar

from mediahound_auth import _events as events
from mediahound_auth._core import runtime
from mediahound_auth._core.grant import Grant
from mediahound_auth._core.lifecycle import store_timeout, thread_start_timeout
from mediahound_auth.stores import MemoryStore, Store
from mediahound_auth.token import Token

__all__ = ["StoreHealth", "StoreSession"]

T = TypeVar("T")


class StoreHealth:
    """Whether a store is failing. The beginning and the end of an outage are logged."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant
        self.failing: bool = False
        self.failures: int = 0

    def on_failure(self, store: Store, operation: str, error: Exception) -> None:
        """Record that an operation failed."""
        events.store_failed(self._grant, store, operation, error, again=self.failing)
        self.failing = True
        self.failures += 1

    def on_success(self, store: Store, failures: int) -> None:
        """Record that a session succeeded; `failures` is the number at its beginning."""
        if failures != self.failures:
            return  # another session failed in the meantime
        if self.failing:
            events.store_recovered(self._grant, store)
        self.failing = False


class StoreSession:
    """A context manager for one key of a store, during one renewal.

    `timeout` is the renewal's time limit in seconds; a store may take a share of it.

    All operations run in one thread, because a lock may be bound to the thread that acquired it. If
    the store hangs, this thread is abandoned. A store in memory does not hang, and is used without
    a thread. So is any store where threads do not run (`runtime.Worker`).
    """

    def __init__(self, store: Store, key: str, health: StoreHealth, timeout: float) -> None:
        self._longest = store_timeout(timeout)
        self._store = store
        self._key = key
        self._health = health
        self._failures = health.failures
        self._locks = ExitStack()
        self._signal_handlers = runtime.SignalHandlers()
        self._failed = False
        start_timeout = thread_start_timeout(self._longest)
        in_memory = type(store) is MemoryStore
        self._worker = None if in_memory else runtime.Worker("mediahound-auth store", start_timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock, if it is held."""
        try:
            self._do("unlock", self._locks.close)
            if not self._failed:
                self._health.on_success(self._store, self._failures)
        finally:
            if self._worker:
                # If an operation that hangs acquires the lock later, it is released at once.
                self._worker.close(self._locks.close)
            else:
                self._locks.close()

    def load(self) -> Token | None:
        """Return the stored token; None if there is none or it cannot be read."""
        return self._do("load", self._store.load, self._key)

    def save(self, token: Token, *, replaces: str | None) -> None:
        """Save `token`.

        If `replaces`, a rejected token, is stored, it is discarded first: the store would keep it
        if a fast clock had dated it later.
        """
        if replaces is not None and token.access_token != replaces:
            kept = self.load()
            if kept and kept.access_token == replaces:
                self.discard()
        self._do("save", self._store.save, self._key, token)

    def discard(self) -> None:
        """Delete the stored token."""
        self._do("discard", self._store.discard, self._key)

    def lock(self, wait: float) -> bool:
        """Wait for the store's lock, for `wait` seconds, and hold it until the session ends.

        Return False if another process or thread holds it. If the store fails, return True: the
        renewal continues without the lock.
        """

        def enter() -> bool:
            try:
                self._locks.enter_context(self._store.lock(self._key, wait))
            except TimeoutError as error:
                if self._signal_handlers.raised(error):
                    raise
                return False
            return True

        return self._do("lock", enter, wait=wait) is not False

    def _do(
        self, operation: str, function: Callable[..., T], *args: object, wait: float = 0.0
    ) -> T | None:
        if self._failed:
            return None
        try:
            if self._worker is None:
                return function(*args)
            return self._worker.call(partial(function, *args), wait + self._longest)
        except runtime.WorkFailed as failed:
            error = failed.error
        except BaseException as raised:
            interrupted = self._worker is not None or self._signal_handlers.raised(raised)
            if interrupted or not isinstance(raised, Exception):
                self._failed = True  # the caller does not wait until the lock is released
                raise
            error = raised
        # After a ValueError of `load`, the session continues: the record is overwritten.
        self._failed = operation != "load" or not isinstance(error, ValueError)
        self._health.on_failure(self._store, operation, error)
        return None
