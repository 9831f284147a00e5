"""MemoryStore: tokens in the memory of the process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mediahound_auth._core import runtime
from mediahound_auth.token import Token

if TYPE_CHECKING:
    import threading

__all__ = ["MemoryStore"]


# Expired tokens are dropped when there are more tokens than this, and whenever the number has
# doubled since.
FEW_TOKENS = 64


class MemoryStore:
    """Tokens in the memory of this process.

    Auth objects with equal options share a token without a store. `store=MemoryStore()` separates
    an auth object, or those of a test, from others. A pickled or copied MemoryStore is empty:
    tokens are not pickled. `save` drops expired tokens from time to time.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}
        self._drop_expired_at = FEW_TOKENS
        self._saving = runtime.new_lock()
        self._locks: dict[str, threading.Lock] = {}  # that are held or waited for
        self._pid = runtime.process_id()

    def __reduce__(self) -> tuple[type[MemoryStore], tuple[()]]:
        return MemoryStore, ()

    def load(self, key: str) -> Token | None:
        """Return the token saved under `key`, or None."""
        return self._tokens.get(key)

    def save(self, key: str, token: Token) -> None:
        """Keep `token` under `key`, unless a token that was requested later is there."""
        self._free_locks_after_fork()
        with self._saving:
            known = self._tokens.get(key)
            if known is None or known.requested_at <= token.requested_at:
                self._tokens[key] = token
            if len(self._tokens) > self._drop_expired_at:
                self._drop_expired()

    def discard(self, key: str) -> None:
        """Delete the token saved under `key`, if there is one."""
        self._tokens.pop(key, None)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        """Hold the lock of `key`, within this process.

        Raises:
            TimeoutError: Another thread held it for `timeout` seconds.
        """
        self._free_locks_after_fork()
        until = runtime.monotonic() + timeout
        while True:
            lock = self._locks.get(key) or self._locks.setdefault(key, runtime.new_lock())
            if not lock.acquire(timeout=max(0.0, until - runtime.monotonic())):
                raise TimeoutError("another thread is still renewing this token")
            if self._locks.get(key) is lock:
                break
            lock.release()  # the last holder has dropped it, and there may be a new lock
        try:
            yield
        finally:
            if self._locks.get(key) is lock:  # not in a forked child
                del self._locks[key]
            lock.release()

    def _drop_expired(self) -> None:
        now = runtime.now()
        for key, token in list(self._tokens.items()):
            if token.expires_at <= now:
                self._tokens.pop(key, None)
        self._drop_expired_at = max(FEW_TOKENS, 2 * len(self._tokens))

    def _free_locks_after_fork(self) -> None:
        if self._pid != runtime.process_id():
            # The threads that held the locks exist in the parent process only.
            self._locks, self._saving = {}, runtime.new_lock()
            self._pid = runtime.process_id()
