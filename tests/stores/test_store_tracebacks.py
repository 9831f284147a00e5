"""Tracebacks of a store show no token, no encryption key and no password of Redis.

Tools print the variables of each frame: `pytest --showlocals`, rich, sentry-sdk. The frames of the
caller are the caller's own.
"""

from __future__ import annotations

import errno
import os
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet
from redis_server import RedisServer

from mediahound_auth import ConfigurationError, Store, Token
from mediahound_auth.stores.file import FileStore
from mediahound_auth.stores.redis import RedisStore

KEY = "ab" * 32
GOOD_KEY = Fernet.generate_key().decode()
PRIVATE = ("f00-ba7", "s3cr3t", GOOD_KEY)
URL = "redis://:s3cr3t@localhost"


def a_token() -> Token:
    now = time.time()
    return Token("f00-ba7", expires_at=now + 3600, requested_at=now)


def shown(call: Callable[[], object]) -> str:
    """What the traceback of the error that `call` raises shows, its causes included."""
    try:
        call()
    except Exception as caught:
        error: BaseException | None = caught
    text = ""
    while error is not None:
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        text += str(error) + repr([f.locals for f in report.stack if f.filename != __file__])
        error = error.__cause__ or error.__context__
    assert text, "nothing was raised"
    return text


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: FileStore("x", encryption_key=[GOOD_KEY, "s3cr3t"]), id="a bad key"),
        pytest.param(lambda: FileStore("", encryption_key=GOOD_KEY), id="a bad path"),
        pytest.param(lambda: RedisStore(URL, encryption_key="s3cr3t"), id="a bad key for Redis"),
        pytest.param(lambda: RedisStore(URL + ":port", encryption_key=GOOD_KEY), id="a bad URL"),
        pytest.param(lambda: RedisStore(URL, lock_timeout=0), id="a bad option beside a URL"),
        pytest.param(
            lambda: RedisStore(client=redis.Redis.from_url(URL), lock_timeout=0),
            id="a bad option beside a client",
        ),
        pytest.param(lambda: RedisStore(URL, client=redis.Redis.from_url(URL)), id="two places"),
    ],
)
def test_the_error_of_a_constructor_shows_no_key_and_no_password(make: Callable[[], Store]) -> None:
    with pytest.raises(ConfigurationError):
        make()
    assert not any(private in shown(make) for private in PRIVATE)


@pytest.mark.parametrize("kind", [FileStore, RedisStore])
def test_an_object_whose_constructor_raised_has_a_repr(kind: type[Store]) -> None:
    assert kind.__name__ in repr(kind.__new__(kind))


def test_a_file_that_cannot_be_written_shows_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    store, token = FileStore(tmp_path / "tokens"), a_token()
    assert not any(private in shown(lambda: store.save(KEY, token)) for private in PRIVATE)


def test_a_damaged_file_shows_no_token(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "tokens")
    store.save(KEY, a_token())
    file = store.path / f"{KEY}.json"
    file.write_bytes(file.read_bytes().replace(b'"format": 2', b'"format": 3'))
    assert not any(private in shown(lambda: store.load(KEY)) for private in PRIVATE)


@pytest.mark.parametrize("decode_responses", [False, True], ids=["bytes", "decoded"])
@pytest.mark.parametrize("value", [b'{"format": 3, "access_token": "f00-ba7"}', b"f00-ba7 \xff"])
def test_a_damaged_value_in_redis_shows_no_token(
    redis_server: RedisServer, value: bytes, decode_responses: bool
) -> None:
    with redis_server.client(decode_responses=decode_responses) as client:
        store = RedisStore(client=client, prefix="damaged:")
        client.set(f"damaged:{KEY}", value)
        assert not any(private in shown(lambda: store.load(KEY)) for private in PRIVATE)
        client.delete(f"damaged:{KEY}")


def using(store: Store) -> list[Callable[[], Any]]:
    token = a_token()

    def lock() -> None:
        with store.lock(KEY, 0):
            pass

    return [
        lambda: store.load(KEY),
        lambda: store.save(KEY, token),
        lambda: store.discard(KEY),
        lock,
    ]


def test_a_redis_that_rejects_the_password_shows_neither_it_nor_a_token() -> None:
    with RedisServer() as server:
        with server.client() as client:
            client.config_set("requirepass", "another one")
        for use in using(RedisStore(f"redis://:s3cr3t@127.0.0.1:{server.port}/0")):
            assert not any(private in shown(use) for private in PRIVATE)


def test_a_redis_that_is_gone_shows_neither_password_nor_token() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for use in using(RedisStore(f"redis://:s3cr3t@127.0.0.1:{port}/0")):
        assert not any(private in shown(use) for private in PRIVATE)


def test_a_redis_that_disconnects_during_a_response_shows_no_token() -> None:
    with RedisServer() as server:
        store, token = RedisStore(server.url), a_token()
        store.save(KEY, token)
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-eval")
        assert not any(private in shown(lambda: store.save(KEY, token)) for private in PRIVATE)
