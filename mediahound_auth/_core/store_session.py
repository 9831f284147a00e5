"""StoreSession: one renewal's use of a store, which can cost it a little time at most.

Whatever a store does wrong (raise, hang, return garbage) costs one log record per outage and at
most two seconds, never a request. The rest of the session is skipped, the renewal goes on
without the store, and the next session tries again.
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
    """Whether a store worked when it was last used: an outage is logged when it begins and ends."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant
        self.failing: bool = False
        self.failures: int = 0

    def on_failure(self, store: Store, operation: str, error: Exception) -> None:
        """An operation failed."""
        events.store_failed(self._grant, store, operation, error, again=self.failing)
        self.failing = True
        self.failures += 1

    def on_success(self, store: Store, failures: int) -> None:
        """A whole session went well, at whose beginning there were so many failures."""
        if failures != self.failures:
            return  # another session failed while this one was ending
        if self.failing:
            events.store_recovered(self._grant, store)
        self.failing = False


class StoreSession:
    """A context manager: the store under one key, for the time of one renewal.

    `timeout` is that renewal's time limit in seconds, of which a store may take a share.

    All operations run in one thread, since a lock may be bound to the thread that took it. That
    thread is the session's own, and is left behind should the store hang. A store in memory does
    not hang and is used directly; so is any store where threads do not run (`runtime.Worker`).
    """

    def __init__(self, store: Store, key: str, health: StoreHealth, timeout: float) -> None:
        self._longest = store_timeout(timeout)
        self._store = store
        self._key = key
        self._health = health
        self._failures = health.failures
        self._locks = ExitStack()
        self._failed = False
        start_timeout = thread_start_timeout(self._longest)
        in_memory = type(store) is MemoryStore
        self._worker = None if in_memory else runtime.Worker("mediahound-auth store", start_timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Release the lock, if it is held."""
        self._do("unlock", self._locks.close)
        if not self._failed:
            self._health.on_success(self._store, self._failures)
        if self._worker:
            # Should an operation that hangs be granted the lock yet, it is released at once.
            self._worker.close(self._locks.close)

    def load(self) -> Token | None:
        """What the store holds, or None; None also for what it holds and cannot read."""
        return self._do("load", self._store.load, self._key)

    def save(self, token: Token, *, replaces: str | None) -> None:
        """Put `token` into the store.

        The access token `replaces` was rejected: it does not stand in the way, even if a clock that
        is fast made it look as if it had been requested later.
        """
        if replaces is not None and token.access_token != replaces:
            kept = self.load()
            if kept and kept.access_token == replaces:
                self.discard()
        self._do("save", self._store.save, self._key, token)

    def discard(self) -> None:
        """Drop what the store holds."""
        self._do("discard", self._store.discard, self._key)

    def lock(self, wait: float) -> bool:
        """Hold the store's lock until the end of the session, if it is free within `wait` seconds.

        It keeps renewals from happening twice; a lock that cannot be had must not keep them from
        happening at all. False: another process or thread holds it.
        """

        def enter() -> bool:
            try:
                self._locks.enter_context(self._store.lock(self._key, wait))
            except TimeoutError:
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
        except Exception as raised:
            if self._worker is not None:
                raise  # by a signal handler
            error = raised
        # A record that cannot be read (ValueError, of `load`) can be overwritten.
        self._failed = operation != "load" or not isinstance(error, ValueError)
        self._health.on_failure(self._store, operation, error)
        return None
