"""Where a token waits between calls: the protocol, and the stores that come with the package.

A store holds tokens by an opaque key and gives out one lock per key, valid as far as the store
reaches. It decides nothing: which token is better, and when to ask for one, is lifecycle.py's work.
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
    """What `MediaHoundAuth(store=...)` takes.

    Keys are opaque digests: they reveal neither client id nor secret. Called from several threads
    at once. Whatever a method raises costs a log line, never a request: the caller goes on from
    memory.
    """

    def load(self, key: str) -> Token | None:
        """The token saved under `key`, or None."""

    def save(self, key: str, token: Token) -> None:
        """Keep `token` under `key`, unless what is there was requested later."""

    def discard(self, key: str) -> None:
        """Forget what is saved under `key`, if anything is."""

    def lock(self, key: str, timeout: float) -> AbstractContextManager[object]:
        """Mutual exclusion for renewing `key`, as far as the store reaches.

        Entering waits for at most `timeout` seconds, then raises TimeoutError. It is left on the
        thread that entered it.
        """
        ...


def __getattr__(name: str) -> object:
    # FileStore and RedisStore need packages that not everybody has; imported when asked for.
    if name == "FileStore":
        from mediahound_auth.stores.file import FileStore

        return FileStore
    if name == "RedisStore":
        from mediahound_auth.stores.redis import RedisStore

        return RedisStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
