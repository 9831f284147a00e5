"""The store in memory: tokens live as long as the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mediahound_auth._core import runtime
from mediahound_auth.token import Token

if TYPE_CHECKING:
    import threading

__all__ = ["MemoryStore"]


class MemoryStore:
    """Tokens in this process's memory.

    Unless told otherwise, all auth objects of a process share one of these. A pickled or copied
    MemoryStore comes back empty: tokens do not travel in pickles.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._pid = runtime.process_id()

    def __reduce__(self) -> tuple[type[MemoryStore], tuple[()]]:
        return MemoryStore, ()

    def load(self, key: str) -> Token | None:
        """The token saved under `key`, or None."""
        return self._tokens.get(key)

    def save(self, key: str, token: Token) -> None:
        """Keep `token` under `key`, unless what is there was requested later."""
        with self._lock_named("save"):
            known = self._tokens.get(key)
            if known is None or known.requested_at <= token.requested_at:
                self._tokens[key] = token

    def discard(self, key: str) -> None:
        """Forget what is saved under `key`, if anything is."""
        self._tokens.pop(key, None)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        """Mutual exclusion for renewing `key`, within this process.

        Raises:
            TimeoutError: another thread held it for `timeout` seconds.
        """
        lock = self._lock_named(f"renew {key}")
        if not lock.acquire(timeout=max(0.0, timeout)):
            raise TimeoutError("another thread is still renewing this token")
        try:
            yield
        finally:
            lock.release()

    def _lock_named(self, name: str) -> threading.Lock:
        if self._pid != runtime.process_id():
            # In a forked child, the thread that held a lock has stayed behind in the parent.
            self._locks, self._pid = {}, runtime.process_id()
        return self._locks.get(name) or self._locks.setdefault(name, runtime.new_lock())
