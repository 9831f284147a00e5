"""The store in Redis (or Valkey): one token for a fleet."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mediahound_auth._extras import missing_extra

try:
    import redis
except ModuleNotFoundError as _error:
    raise missing_extra(_error, "RedisStore", "redis", "redis") from None
from redis.backoff import NoBackoff
from redis.retry import Retry

from mediahound_auth._core import runtime
from mediahound_auth.errors import ConfigurationError
from mediahound_auth.stores.records import EncryptionKey, Records
from mediahound_auth.token import Token

if TYPE_CHECKING:
    Client = redis.Redis | redis.RedisCluster

__all__ = ["RedisStore"]

# Seconds that connecting and each answer may take when the client is ours: less than the source
# grants an operation, so that the reason is told and not just the time.
SOCKET_TIMEOUT = 1.5

# A value is the moment its token was requested at, a blank, and the record. So a token that was
# requested later stays, in one atomic step; whatever is no such value is replaced.
_SAVE = """
local known = redis.pcall('GET', KEYS[1])
if type(known) == 'string' then
    local requested_at = tonumber(string.match(known, '^(%d+%.?%d*) '))
    if requested_at and requested_at > tonumber(ARGV[1]) then
        return 0
    end
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'PX', ARGV[3])
return 1
"""


class RedisStore:
    """Tokens in Redis, shared by all who reach it.

    A token is gone from Redis when it has expired. Renewals exclude each other by redis-py's own
    lock, which is a lease: should its holder crash, it ends by itself. Should it end too early, two
    may ask for a token at the same time, and the one that was requested later stays.

    Args:
        client_or_url: a URL as `redis.Redis.from_url` takes it (redis://, rediss://, unix://), or
            a client: redis.Redis, redis.RedisCluster, or what a Sentinel's `master_for` returns.
            A client is used as it is: give it a socket_timeout.
        prefix: what all keys in Redis begin with.
        encryption_key: seals the tokens with Fernet; of several keys, the first one does, and each
            is tried on what is read. What none of them opens is as good as absent.
        lock_timeout: seconds after which the lock of a renewal that crashed is free again. Longer
            than the `timeout` of the auth objects that use this store.

    Raises:
        ConfigurationError: an option is wrong.
        ModuleNotFoundError: there is an encryption key, but no cryptography.
    """

    def __init__(
        self,
        client_or_url: str | Client,
        prefix: str = "mediahound-auth:",
        *,
        encryption_key: EncryptionKey | None = None,
        lock_timeout: float = 60.0,
    ) -> None:
        if not isinstance(prefix, str):
            raise ConfigurationError(f"prefix must be a str, not {type(prefix).__name__}")
        self._given = client_or_url
        self._prefix = prefix
        self._lock_timeout = _seconds(lock_timeout)
        self._records = Records(encryption_key)
        self._client = _client(client_or_url)

    def load(self, key: str) -> Token | None:
        """The token saved under `key`, or None.

        Raises:
            ValueError: what is there is damaged, or of another version.
            redis.RedisError: Redis cannot be asked.
        """
        try:
            value = self._client.get(self._prefix + key)
        except UnicodeDecodeError:
            value = ""  # no value of ours; a client with decode_responses found out first
        if value is None:
            return None
        octets = value.encode("utf-8", "replace") if isinstance(value, str) else value
        return self._records.unpack(octets.partition(b" ")[2])

    def save(self, key: str, token: Token) -> None:
        """Keep `token` under `key`, unless what is there was requested later.

        Raises:
            redis.RedisError: Redis cannot be told.
        """
        record = self._records.pack(token)
        life = max(1000, int((token.expires_at - runtime.now()) * 1000))
        self._client.eval(
            _SAVE, 1, self._prefix + key, f"{token.requested_at:.6f}", record, str(life)
        )

    def discard(self, key: str) -> None:
        """Forget what is saved under `key`, if anything is.

        Raises:
            redis.RedisError: Redis cannot be told.
        """
        self._client.delete(self._prefix + key)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        """Mutual exclusion for renewing `key`, among all who use this Redis.

        Raises:
            TimeoutError: somebody else held it for `timeout` seconds.
            redis.RedisError: Redis cannot be asked.
        """
        wait = max(0.0, timeout)
        lock = self._client.lock(
            f"{self._prefix}{key}:lock",
            timeout=self._lock_timeout,
            blocking_timeout=wait,
            thread_local=False,
        )
        if not lock.acquire():
            raise TimeoutError("somebody else still holds the lock of this token")
        try:
            yield
        finally:
            # Whatever keeps it from being released (a lost lease, a lost Redis), the lease ends it.
            with suppress(Exception):
                lock.release()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RedisStore) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        given = self._given
        what = repr(_bare(given)) if isinstance(given, str) else f"<{type(given).__name__}>"
        key = ", encryption_key=..." if self._records.encrypted else ""
        return f"RedisStore({what}, prefix={self._prefix!r}{key})"

    def __getstate__(self) -> dict[str, object]:
        if not isinstance(self._given, str):
            raise TypeError("a RedisStore can be pickled and copied if it was made from a URL")
        return {name: value for name, value in vars(self).items() if name != "_client"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._client = _client(self._given)

    @property
    def _identity(self) -> tuple[object, ...]:
        given = self._given if isinstance(self._given, str) else id(self._given)
        return given, self._prefix, self._lock_timeout, self._records


def _client(client_or_url: object) -> Any:
    if isinstance(client_or_url, str):
        # No second attempts: whoever did not answer will not do so in the little time that is left.
        # (An idle connection that the server has closed is replaced without one.)
        retry = Retry(NoBackoff(), 0)
        try:
            return redis.Redis.from_url(
                client_or_url,
                socket_timeout=SOCKET_TIMEOUT,
                socket_connect_timeout=SOCKET_TIMEOUT,
                retry=retry,
            )
        except ValueError:
            pass  # its text may quote the URL, and so a password
        raise ConfigurationError(
            "client_or_url must be a URL that begins with redis://, rediss:// or unix://"
        )
    methods = [getattr(client_or_url, name, None) for name in ("get", "eval", "delete", "lock")]
    if isinstance(client_or_url, type) or not all(map(callable, methods)):
        raise ConfigurationError(
            f"client_or_url must be a URL or a redis client, not {type(client_or_url).__name__}"
        )
    if inspect.iscoroutinefunction(getattr(client_or_url, "execute_command", None)):
        raise ConfigurationError(
            "client_or_url must be a synchronous client, also for use with httpx.AsyncClient: the "
            "store is never used on the event loop"
        )
    return client_or_url


def _seconds(value: object) -> float:
    # The bound is what Redis can count in milliseconds, with much to spare.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.001 <= value <= 1e9:
        raise ConfigurationError(f"lock_timeout must be a number of seconds above 0, not {value!r}")
    return float(value)


def _bare(url: str) -> str:
    """The URL without what may be a password: user and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
