"""RedisStore: keys, expiry and locks."""

from __future__ import annotations

import json
import pickle
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis.asyncio
from cryptography.fernet import Fernet
from redis_server import RedisServer

from mediahound_auth import ConfigurationError, Token
from mediahound_auth.stores.redis import RedisStore

KEY = "ab" * 32
PASSWORDS = ("s3cr3t", "s3cond")


def a_token(name: str = "f00-ba7", *, age: float = 0.0, life: float = 3600.0) -> Token:
    now = time.time()
    return Token(name, expires_at=now - age + life, requested_at=now - age)


@pytest.fixture
def prefix() -> str:
    return f"{uuid.uuid4()}:"


@pytest.fixture
def store(redis_server: RedisServer, prefix: str) -> RedisStore:
    return RedisStore(redis_server.patient_url, prefix)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    with redis_server.client() as client:
        yield client


def name_of(token: Token | None) -> str | None:
    return None if token is None else token.access_token


def test_a_token_is_under_its_key_and_nothing_else_is(
    store: RedisStore, client: Any, prefix: str
) -> None:
    token = a_token()
    store.save(KEY, token)
    with store.lock("cd" * 32, 1):
        pass
    assert client.keys(f"{prefix}*") == [f"{prefix}{KEY}".encode()]
    record = json.loads(client.get(prefix + KEY))
    assert record == {"format": 2, "key": KEY, **token.as_dict()}


def test_the_prefix_names_the_package_unless_told_otherwise(client: Any) -> None:
    RedisStore(client=client).save("ef" * 32, a_token())
    assert client.delete(f"mediahound-auth:{'ef' * 32}") == 1


def test_redis_forgets_a_token_when_it_expires(store: RedisStore, client: Any, prefix: str) -> None:
    store.save(KEY, a_token(age=600, life=3600))
    assert 2_900_000 < client.pttl(prefix + KEY) <= 3_000_000


def test_redis_keeps_an_expired_token_for_a_second(
    store: RedisStore, client: Any, prefix: str
) -> None:
    for _ in range(5):  # a machine may stand still for that second
        store.save(KEY, a_token(age=600, life=300))
        left = client.pttl(prefix + KEY)
        if left > 0:
            break
    assert 0 < left <= 1000


def test_a_token_that_is_not_kept_does_not_delay_a_renewal(
    store: RedisStore, client: Any, prefix: str
) -> None:
    store.save(KEY, a_token("later", life=600))
    store.save(KEY, a_token("earlier", age=1, life=3600))
    assert name_of(store.load(KEY)) == "later"
    assert client.pttl(prefix + KEY) <= 600_000


@pytest.mark.parametrize("decode_responses", [False, True], ids=["bytes", "decoded"])
@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"garbage", id="text"),
        pytest.param(b"9999999999.5 garbage", id="begins with digits and a space"),
        pytest.param(b"\xff\xfe \xff", id="not UTF-8"),
        pytest.param(b'{"format": 3}', id="another version"),
        pytest.param(b"9" * (1 << 22) + b"9", id="too long"),
    ],
)
def test_an_invalid_record_is_an_error_until_it_is_replaced(
    redis_server: RedisServer, prefix: str, junk: bytes, decode_responses: bool
) -> None:
    with redis_server.client(decode_responses=decode_responses) as client:
        store = RedisStore(client=client, prefix=prefix)
        client.set(prefix + KEY, junk)
        with pytest.raises(ValueError, match="stored record"):
            store.load(KEY)
        token = a_token(age=7)
        store.save(KEY, token)
        assert store.load(KEY) == token


def test_a_value_of_another_type_is_replaced(store: RedisStore, client: Any, prefix: str) -> None:
    client.rpush(prefix + KEY, "a list")
    with pytest.raises(redis.RedisError):
        store.load(KEY)
    store.save(KEY, a_token("new"))
    assert name_of(store.load(KEY)) == "new"


def test_an_encrypted_token_shows_nothing_and_is_a_miss_without_its_key(
    redis_server: RedisServer, client: Any, prefix: str
) -> None:
    store = RedisStore(redis_server.patient_url, prefix, encryption_key=Fernet.generate_key())
    store.save(KEY, a_token("f00-ba7"))
    assert b"f00-ba7" not in client.get(prefix + KEY)
    other = RedisStore(redis_server.patient_url, prefix, encryption_key=Fernet.generate_key())
    assert other.load(KEY) is None
    other.save(KEY, a_token("mine"))
    assert name_of(other.load(KEY)) == "mine"


@pytest.mark.parametrize(
    "encryption_key", [None, Fernet.generate_key()], ids=["plain", "encrypted"]
)
def test_a_record_moved_under_another_key_is_a_miss_and_is_replaced(
    redis_server: RedisServer, client: Any, prefix: str, encryption_key: bytes | None
) -> None:
    store = RedisStore(redis_server.patient_url, prefix, encryption_key=encryption_key)
    store.save("cd" * 32, a_token("another"))
    client.set(prefix + KEY, client.get(prefix + "cd" * 32))
    assert store.load(KEY) is None
    token = a_token("mine", age=7)
    store.save(KEY, token)
    assert store.load(KEY) == token


def test_a_value_that_is_empty_is_a_miss_and_is_replaced(
    store: RedisStore, client: Any, prefix: str
) -> None:
    client.set(prefix + KEY, b"")
    assert store.load(KEY) is None
    store.save(KEY, a_token("new"))
    assert name_of(store.load(KEY)) == "new"


def test_an_expired_token_that_redis_has_kept_gives_way_to_one_requested_earlier(
    store: RedisStore, client: Any, prefix: str
) -> None:
    store.save(KEY, a_token("expired", age=10, life=9))
    client.persist(prefix + KEY)
    store.save(KEY, a_token("valid", age=20))
    assert name_of(store.load(KEY)) == "valid"


def test_a_token_that_was_saved_meanwhile_is_compared_too(
    store: RedisStore, client: Any, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer saves between the reading and the replacing."""
    monkeypatch.setattr("mediahound_auth.stores.redis.SAVE_TIMEOUT", 60.0)
    writer, read = RedisStore(client=client, prefix=prefix), store._read

    def read_and_be_overtaken(key: str) -> bytes:
        value = read(key)
        monkeypatch.setattr(store, "_read", read)
        writer.save(key, a_token("later"))
        return value

    for stored in (b"", b"garbage", b"9999999999.5 garbage"):
        client.set(prefix + KEY, stored)
        monkeypatch.setattr(store, "_read", read_and_be_overtaken)
        store.save(KEY, a_token("earlier", age=1))
        assert name_of(store.load(KEY)) == "later"


def test_a_writer_gives_up_if_others_replace_the_value_each_time(
    store: RedisStore, client: Any, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediahound_auth.stores.redis.SAVE_TIMEOUT", 0.2)
    monkeypatch.setattr(store, "_read", lambda _: b"another value than there is")
    client.set(prefix + KEY, b"garbage")
    with pytest.raises(TimeoutError, match="other writers"):
        store.save(KEY, a_token())


# The lock is a lease.


@pytest.mark.parametrize("lock_timeout", [None, 90.0])
def test_the_lock_in_redis_expires_after_lock_timeout(
    redis_server: RedisServer, client: Any, prefix: str, lock_timeout: float | None
) -> None:
    options: dict[str, Any] = {} if lock_timeout is None else {"lock_timeout": lock_timeout}
    with RedisStore(redis_server.patient_url, prefix, **options).lock(KEY, 0):
        left = client.pttl(f"{prefix}{KEY}:lock") / 1000
    assert (lock_timeout or 60) - 10 < left <= (lock_timeout or 60)
    assert not client.exists(f"{prefix}{KEY}:lock")


@pytest.mark.parametrize("lock_timeout", [0, -1, "60", None, True, float("nan"), float("inf")])
def test_an_invalid_lock_timeout_is_a_configuration_error(lock_timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="lock_timeout"):
        RedisStore("redis://127.0.0.1", lock_timeout=lock_timeout)


def test_a_lock_that_has_expired_is_released_without_an_error(
    store: RedisStore, client: Any, prefix: str
) -> None:
    with store.lock(KEY, 1):
        client.delete(f"{prefix}{KEY}:lock")
        other = store.lock(KEY, 1)
        other.__enter__()
    with pytest.raises(TimeoutError), store.lock(KEY, 0):
        pass
    other.__exit__(None, None, None)
    with store.lock(KEY, 0):
        pass


def test_the_lock_of_a_crashed_process_expires(store: RedisStore, client: Any, prefix: str) -> None:
    crashed = store.lock(KEY, 1)
    crashed.__enter__()
    client.pexpire(f"{prefix}{KEY}:lock", 300)
    with store.lock(KEY, 20):
        pass


def test_a_redis_that_is_gone_when_the_lock_is_released_is_no_error() -> None:
    with RedisServer() as server, RedisStore(server.url).lock(KEY, 1):
        server.kill()


# Connections.


def test_a_connection_that_was_closed_meanwhile_is_replaced(store: RedisStore, client: Any) -> None:
    store.save(KEY, a_token("f00"))
    client.client_kill_filter(_type="normal", skipme=True)
    assert name_of(store.load(KEY)) == "f00"


def test_a_redis_that_does_not_respond_gets_one_command_within_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = RedisStore(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(redis.TimeoutError):
            store.load(KEY)
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://:s3cr3t@localhost",
        "localhost:6379",
        "redis://:s3cr3t@localhost:port",
        "redis://:s3cr3t@localhost?socket_timeout=s3cr3t",
        "redis://:s3cr3t@[::1",
    ],
)
def test_an_invalid_url_is_a_configuration_error_that_does_not_quote_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"url.*redis://") as caught:
        RedisStore(url)
    assert caught.value.__context__ is None
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("client", [7, "redis://localhost", redis.Redis, object()])
def test_an_invalid_client_is_a_configuration_error(client: Any) -> None:
    with pytest.raises(ConfigurationError, match="client must be a redis client"):
        RedisStore(client=client)


@pytest.mark.parametrize("url", [7, b"redis://localhost", redis.Redis, redis.Redis()])
def test_a_url_that_is_not_a_str_is_a_configuration_error(url: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"url must be a str.*client="):
        RedisStore(url)


def test_both_url_and_client_or_neither_is_a_configuration_error(client: Any) -> None:
    for options in ({"url": "redis://localhost", "client": client}, {}, {"url": None}):
        with pytest.raises(ConfigurationError, match="exactly one of url and client"):
            RedisStore(**options)


def test_an_asynchronous_client_is_a_configuration_error() -> None:
    client: Any = redis.asyncio.Redis()
    with pytest.raises(ConfigurationError, match="synchronous"):
        RedisStore(client=client)


def test_a_prefix_that_is_no_text_is_a_configuration_error() -> None:
    prefix: Any = b"mine:"
    with pytest.raises(ConfigurationError, match="prefix"):
        RedisStore("redis://localhost", prefix)


# As an object.


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:s3cr3t@localhost:6379/0",
        "redis://:s3cr3t@localhost:6379/0",
        "rediss://localhost:6379/0?password=s3cr3t&username=s3cond",
        "unix://user:s3cr3t@/run/redis.sock?db=1&password=s3cond",
    ],
)
def test_its_repr_shows_no_password_and_no_key(url: str) -> None:
    key = Fernet.generate_key().decode()
    text = repr(RedisStore(url, encryption_key=key))
    assert not any(private in text for private in (*PASSWORDS, key))
    assert "localhost" in text or "/run/redis.sock" in text


def test_its_repr_names_the_kind_of_a_client(client: Any) -> None:
    assert (
        repr(RedisStore(client=client, prefix="mine:"))
        == "RedisStore(client=<Redis>, prefix='mine:')"
    )


def test_a_pickle_of_one_made_from_a_url_finds_the_same_tokens(
    redis_server: RedisServer, prefix: str
) -> None:
    key = Fernet.generate_key()
    store = RedisStore(redis_server.patient_url, prefix, lock_timeout=30, encryption_key=key)
    store.save(KEY, a_token("f00"))
    copy = pickle.loads(pickle.dumps(store))
    assert copy == store
    assert name_of(copy.load(KEY)) == "f00"
    with copy.lock(KEY, 0):
        pass


def test_pickling_a_redis_store_with_a_client_raises(client: Any) -> None:
    with pytest.raises(TypeError, match="URL"):
        pickle.dumps(RedisStore(client=client))


def test_stores_on_the_same_keys_are_equal(client: Any) -> None:
    url = "redis://localhost"
    key = Fernet.generate_key()
    assert RedisStore(url) == RedisStore(url)
    assert hash(RedisStore(url)) == hash(RedisStore(url))
    assert RedisStore(client=client) == RedisStore(client=client)
    assert RedisStore(url) != RedisStore(url, "mine:")
    assert RedisStore(url) != RedisStore(url, lock_timeout=30)
    assert RedisStore(url) != RedisStore(client=client)
    assert RedisStore(url) != RedisStore(url, encryption_key=key)


def test_without_redis_importing_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from mediahound_auth import stores

    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "mediahound_auth.stores.redis")
    with pytest.raises(ModuleNotFoundError, match=r"mediahound-auth\[redis\]"):
        _ = stores.RedisStore
