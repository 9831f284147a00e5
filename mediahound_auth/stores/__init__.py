"""Stores keep tokens between calls: the protocol, and the stores of this package.

A store maps opaque keys to tokens, and has a lock for each key. Its only rule: `save` replaces no
valid token that was requested later. lifecycle.py decides when to request one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mediahound_auth.stores.memory import MemoryStore
from mediahound_auth.token import Token

if TYPE_CHECKING:
    from mediahound_auth.stores.file import FileStore as FileStore
    from mediahound_auth.stores.redis import RedisStore as RedisStore

__all__ = ["MemoryStore", "Store"]


@runtime_checkable
class Store(Protocol):
    """The protocol of `MediaHoundAuth(store=...)`.

    Keys are opaque digests that reveal neither the client ID nor the secret. Several threads call
    the methods at the same time. If a method raises, the error is logged, no call fails, and the
    process continues with the token in its memory.
    """

    def load(self, key: str) -> Token | None:
        """Return the token saved under `key`, or None.

        Raises:
            ValueError: The stored value is invalid. It is then overwritten.
        """

    def save(self, key: str, token: Token) -> None:
        """Keep `token` under `key`, unless a token that was requested later is there."""

    def discard(self, key: str) -> None:
        """Delete the token saved under `key`, if there is one."""

    def lock(self, key: str, timeout: float) -> AbstractContextManager[object]:
        """Return a context manager that holds the lock of `key`.

        It keeps the processes that share the store from renewing the token at the same time. The
        same thread enters and leaves it.

        Raises:
            TimeoutError: Entering it has waited for `timeout` seconds.
        """
        ...


def __getattr__(name: str) -> object:
    # FileStore and RedisStore need optional packages: they are imported on first use.
    if name == "FileStore":
        from mediahound_auth.stores.file import FileStore

        return FileStore
    if name == "RedisStore":
        from mediahound_auth.stores.redis import RedisStore

        return RedisStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
