"""RedisStore: tokens in Redis or Valkey, shared by many machines."""

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
from mediahound_auth._core.masked import masked
from mediahound_auth.errors import ConfigurationError
from mediahound_auth.stores.records import MAX_RECORD_SIZE, EncryptionKey, Records
from mediahound_auth.token import Token

if TYPE_CHECKING:
    Client = redis.Redis | redis.RedisCluster

__all__ = ["RedisStore"]

# Seconds for connecting and for each response, if the client is created here. Less than
# STORE_TIMEOUT, so that the log has redis-py's reason.
SOCKET_TIMEOUT = 1.5

# Seconds after which `save` gives up, if other writers replace the value each time.
SAVE_TIMEOUT = 1.5

# Bytes of one response: the largest record and its framing.
MAX_RESPONSE_SIZE = MAX_RECORD_SIZE + (1 << 16)

# Replaces the value that was read (ARGV[1]), atomically. If another writer has saved a value since,
# that is kept. A value that cannot be a record is always replaced: another type, a value longer
# than ARGV[4], or one with characters beyond printable ASCII, which clients decode differently.
_REPLACE = """
local length = redis.pcall('STRLEN', KEYS[1])
if type(length) == 'number' and length <= tonumber(ARGV[4]) then
    local stored = redis.call('GET', KEYS[1])
    if stored and stored ~= ARGV[1] and not string.find(stored, '[^ -~]') then
        return 0
    end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class RedisStore:
    """Tokens in Redis, shared by all processes that can reach it.

    Redis deletes a token when it expires. Renewals exclude each other with redis-py's lock, which
    expires if its holder crashes. If it expires too early, two processes may request a token at the
    same time; the token that was requested later is kept.

    Args:
        url: A URL for `redis.Redis.from_url` (redis://, rediss://, unix://). Connecting and each
            response are limited to 1.5 seconds, and each response to 4 MiB.
        prefix: The beginning of all keys in Redis.
        client: A client instead of a URL: redis.Redis, redis.RedisCluster, or the result of a
            Sentinel's `master_for`. Its settings are not changed: give it a socket_timeout.
        encryption_key: Encrypts the tokens with Fernet. The first of several keys encrypts, and all
            of them can decrypt. A token that no key decrypts counts as absent.
        lock_timeout: Seconds after which the lock of a crashed renewal expires. Must be longer than
            the `timeout` of the auth objects that use this store.

    Raises:
        ConfigurationError: An option is wrong.
        ModuleNotFoundError: There is an encryption key, but cryptography is not installed.
    """

    def __init__(
        self,
        url: str | None = None,
        prefix: str = "mediahound-auth:",
        *,
        client: Client | None = None,
        encryption_key: EncryptionKey | None = None,
        lock_timeout: float = 60.0,
    ) -> None:
        # Tools print variables, and some versions of redis-py show passwords in a client's repr.
        url, encryption_key, given = masked(url), masked(encryption_key), _Unseen(client)
        del client
        if not isinstance(prefix, str):
            raise ConfigurationError(f"prefix must be a str, not {type(prefix).__name__}")
        self._url = url
        self._prefix = prefix
        self._lock_timeout = _seconds(lock_timeout)
        self._records = Records(encryption_key)
        self._client = _client(url, given)

    def load(self, key: str) -> Token | None:
        """Return the token saved under `key`, or None.

        Raises:
            ValueError: The value is damaged, or has the format of another version.
            redis.RedisError: Redis cannot be reached, or returned an error.
        """
        stored = self._read(key)
        return self._records.unpack(key, stored) if stored else None

    def save(self, key: str, token: Token) -> None:
        """Keep `token` under `key`, unless a valid token that was requested later is there.

        Raises:
            redis.RedisError: Redis cannot be reached, or returned an error.
            TimeoutError: Other writers replaced the value again and again.
        """
        until = runtime.monotonic() + SAVE_TIMEOUT
        while True:
            try:
                stored = self._read(key)
            except redis.ResponseError:  # a value of another type
                stored = b""
            known = None
            with suppress(ValueError):
                known = self._records.unpack(key, stored) if stored else None
            now = runtime.now()
            if known and known.requested_at > token.requested_at and known.expires_at > now:
                return
            lifetime = max(1000, int((token.expires_at - now) * 1000))
            record = masked(self._records.pack(key, token))
            name = self._prefix + key
            if self._call("eval", _REPLACE, 1, name, stored, record, lifetime, MAX_RECORD_SIZE):
                return
            if runtime.monotonic() > until:
                raise TimeoutError("other writers replaced the token in Redis again and again")

    def discard(self, key: str) -> None:
        """Delete the token saved under `key`, if there is one.

        Raises:
            redis.RedisError: Redis cannot be reached, or returned an error.
        """
        self._call("delete", self._prefix + key)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        """Hold the lock of `key`, among all processes that use this Redis.

        Raises:
            TimeoutError: Another process or thread held it for `timeout` seconds.
            redis.RedisError: Redis cannot be reached, or returned an error.
        """
        lock = self._client.lock(
            f"{self._prefix}{key}:lock",
            timeout=self._lock_timeout,
            blocking_timeout=max(0.0, timeout),
            thread_local=False,
        )
        if not _without_frames(_Unseen(lock.acquire)):
            raise TimeoutError("another process or thread still holds the lock of this token")
        try:
            yield
        finally:
            # A lock that cannot be released expires.
            with suppress(Exception):
                lock.release()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RedisStore) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        try:
            url = self._url
            what = f"client=<{type(self._client).__name__}>" if url is None else repr(_bare(url))
            key = ", encryption_key=..." if self._records.encrypted else ""
            return f"RedisStore({what}, prefix={self._prefix!r}{key})"
        except AttributeError:  # the constructor raised, and a traceback shows the object
            return object.__repr__(self)

    def __getstate__(self) -> dict[str, object]:
        if self._url is None:
            raise TypeError("a RedisStore with client= cannot be pickled or copied; pass a URL")
        return {name: value for name, value in vars(self).items() if name != "_client"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state | {"_url": masked(state["_url"])})
        self._client = _client(self._url, _Unseen(None))

    @property
    def _identity(self) -> tuple[object, ...]:
        place = self._url or id(self._client)
        return place, self._prefix, self._lock_timeout, self._records

    def _read(self, key: str) -> bytes:
        """Return the value under `key`, truncated if it is too long; b"" if there is none."""
        try:
            value = self._call("getrange", self._prefix + key, 0, MAX_RECORD_SIZE)
        except UnicodeDecodeError:
            return b"\xff"  # not a record: a client with decode_responses cannot decode it
        value = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        return masked(value)

    def _call(self, command: str, *args: object) -> Any:
        return _without_frames(_Unseen(getattr(self._client, command)), *args)


class _Unseen:
    """Keep a value out of tracebacks that print variables."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _without_frames(function: _Unseen, *args: object) -> Any:
    """Call `function` with `args`; raise its error without the traceback.

    The frames of the error and its cause hold the password of Redis and the token.
    """
    try:
        return function.value(*args)
    except Exception as error:
        failure, cause = error.with_traceback(None), error.__cause__ or error.__context__
    failure.__cause__ = failure.__context__ = None
    if isinstance(cause, OSError):  # why Redis cannot be reached
        failure.__cause__ = OSError(cause.errno, cause.strerror)
    del cause
    try:
        raise failure
    finally:
        del failure  # which would be a reference cycle with this frame


class _LimitedSocket:
    """A socket that limits the size of each response, and the time for the whole response."""

    # redis-py limits the time for each piece of a response, and no size.

    def __init__(self, connected: Any) -> None:
        self._socket = connected
        self._left = MAX_RESPONSE_SIZE
        self._until = runtime.monotonic() + SOCKET_TIMEOUT

    def sendall(self, data: Any) -> None:
        self._left = MAX_RESPONSE_SIZE
        self._until = runtime.monotonic() + (self._socket.gettimeout() or SOCKET_TIMEOUT)
        self._socket.sendall(data)

    def recv(self, *args: Any) -> bytes:
        data: bytes = self._socket.recv(*args)
        self._received(len(data))
        return data

    def recv_into(self, *args: Any) -> int:
        size: int = self._socket.recv_into(*args)
        self._received(size)
        return size

    def _received(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise OSError("the response is too long")
        if size and runtime.monotonic() > self._until:
            raise OSError("the response took too long")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class _LimitedConnection:
    """A mixin for redis-py connections with a limited socket."""

    def _connect(self) -> Any:
        # Not public, but there is no public way. If redis-py renames it, the limits are gone.
        return _LimitedSocket(super()._connect())  # type: ignore[misc]


def _client(url: str | None, client: _Unseen) -> Any:
    if (url is None) is (client.value is None):
        raise ConfigurationError("RedisStore needs exactly one of url and client")
    if client.value is None:
        return _client_of(url)
    kind, needed = type(client.value), ("getrange", "eval", "delete", "lock")
    has_all = all(callable(getattr(client.value, name, None)) for name in needed)
    if isinstance(client.value, type) or not has_all:
        raise ConfigurationError(f"client must be a redis client, not {kind.__name__}")
    if inspect.iscoroutinefunction(getattr(client.value, "execute_command", None)):
        raise ConfigurationError(
            "client must be a synchronous redis client, also for use with httpx.AsyncClient: the "
            "store is never used on the event loop"
        )
    return client.value


def _client_of(url: Any) -> Any:
    kind = type(url)
    if not isinstance(url, str):
        raise ConfigurationError(
            f"url must be a str, not {kind.__name__}; pass a client as client="
        )
    # No retries: there is no time for them. redis-py replaces idle connections that the server has
    # closed without a retry.
    retry = Retry(NoBackoff(), 0)
    # Not as the cause: the text and the frames of this error hold the password.
    with suppress(ValueError):
        client = redis.Redis.from_url(
            url,
            socket_timeout=SOCKET_TIMEOUT,
            socket_connect_timeout=SOCKET_TIMEOUT,
            retry=retry,
        )
        pool = client.connection_pool
        bases = (_LimitedConnection, pool.connection_class)
        pool.connection_class = type("LimitedConnection", bases, {})
        return client
    raise ConfigurationError("url must be a valid URL: redis://…, rediss://… or unix://…")


def _seconds(value: object) -> float:
    # Redis can count that in milliseconds.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.001 <= value <= 1e9:
        raise ConfigurationError(f"lock_timeout must be a number of seconds above 0, not {value!r}")
    return float(value)


def _bare(url: str) -> str:
    """The URL without user and query, which may hold passwords."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
