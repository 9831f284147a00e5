"""A hostile Redis costs bounded memory and time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import redis
from redis_server import RedisServer

from mediahound_auth import Token
from mediahound_auth.stores import redis as redis_store
from mediahound_auth.stores.records import MAX_RECORD_SIZE
from mediahound_auth.stores.redis import RedisStore

KEY = "ab" * 32
MIB = 1 << 20
HELLO = b"%1\r\n+proto\r\n:3\r\n"


class HostileRedis:
    """Responds to the set-up of a connection as Redis does, and to all else as `respond` does.

    Attributes:
        url: its URL.
        sent: how many bytes of such responses it could send.
        ended: set when the first such response has ended, at its will or the client's.
    """

    def __init__(self, listener: socket.socket, respond: Iterator[bytes]) -> None:
        self.url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        self.sent = 0
        self.ended = threading.Event()
        self._listener = listener
        self._respond = respond

    def run(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while command := connection.recv(1 << 16):
                if b"HELLO" in command:
                    connection.sendall(HELLO)
                elif b"CLIENT" in command:
                    connection.sendall(b"+OK\r\n" * command.count(b"CLIENT\r\n"))
                else:
                    break
            try:
                for piece in self._respond:
                    connection.sendall(piece)
                    self.sent += len(piece)
            except OSError:
                pass
            self.ended.set()


@contextmanager
def hostile(respond: Iterator[bytes]) -> Iterator[HostileRedis]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HostileRedis(listener, respond)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield server
        thread.join(30)


def endless(first: bytes, piece: bytes, pause: float = 0.0) -> Iterator[bytes]:
    yield first
    for _ in range(max(1, 400 * MIB // len(piece)) if not pause else 10_000):
        yield piece
        time.sleep(pause)


def uses(store: RedisStore) -> dict[str, Callable[[], object]]:
    token = Token("f00-ba7", expires_at=time.time() + 3600, requested_at=time.time())
    return {
        "load": lambda: store.load(KEY),
        "save": lambda: store.save(KEY, token),
        "discard": lambda: store.discard(KEY),
        "lock": lambda: store.lock(KEY, 0).__enter__(),
    }


@pytest.mark.parametrize("operation", ["load", "save", "discard", "lock"])
@pytest.mark.parametrize(
    ("first", "piece"),
    [
        pytest.param(b"$419430400\r\n", b"x" * MIB, id="a value"),
        pytest.param(b"+", b"x" * MIB, id="a line"),
        pytest.param(b"*100000000\r\n", b"$50\r\n%50d\r\n" % 0 * (MIB // 57), id="an array"),
        pytest.param(b"$400\r\n" + b"x" * 400 + b"\r\n", b"x" * MIB, id="more than was asked for"),
    ],
)
def test_a_response_is_read_up_to_little_more_than_the_largest_record(
    operation: str, first: bytes, piece: bytes
) -> None:
    with hostile(endless(first, piece)) as server:
        store = RedisStore(server.url)
        with suppress(redis.RedisError, ValueError, TimeoutError):
            uses(store)[operation]()
        # One that was not closed yet: no more than the response was read from it.
        store._client.connection_pool.disconnect()
        assert server.ended.wait(30)
        # What a socket buffers is besides.
        assert server.sent < 5 * MAX_RECORD_SIZE


@pytest.mark.parametrize("operation", ["load", "save", "discard", "lock"])
def test_a_response_that_comes_byte_by_byte_is_given_up_in_time(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "SOCKET_TIMEOUT", 0.2)
    with hostile(endless(b"$1000000\r\n", b"x", pause=0.05)) as server:
        start = time.monotonic()
        with pytest.raises(redis.RedisError):
            uses(RedisStore(server.url))[operation]()
        assert time.monotonic() - start < 15
        assert server.ended.wait(30)


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b":7\r\n", id="a number"),
        pytest.param(b"*1\r\n:7\r\n", id="an array"),
        pytest.param(b"*1\r\n" * 100_000, id="deeply nested"),
        pytest.param(b":" + b"9" * 10_000 + b"\r\n", id="a number of many digits"),
        pytest.param(b"$-7\r\n", id="a negative length"),
        pytest.param(b"?\r\n", id="not the protocol"),
        pytest.param(b"$4\r\n\xff\xfe  \r\n", id="not UTF-8"),
        pytest.param(b"_\r\n", id="null"),
    ],
)
def test_any_other_response_is_an_error_or_a_miss(response: bytes) -> None:
    allowed = suppress(redis.RedisError, ValueError, RecursionError)
    with hostile(iter([response])) as server, allowed:
        assert RedisStore(server.url).load(KEY) is None


def test_a_long_value_in_redis_is_not_read_completely(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_server.client() as client:
        read: list[int] = []
        getrange = client.getrange

        def measured(name: str, start: int, end: int) -> object:
            value = getrange(name, start, end)
            read.append(len(value))
            return value

        monkeypatch.setattr(client, "getrange", measured)
        store = RedisStore(client=client, prefix="long:")
        client.setrange("long:" + KEY, 20 * MIB, b"x")
        with pytest.raises(ValueError, match="too long"):
            store.load(KEY)
        uses(store)["save"]()
        assert store.load(KEY) is not None
        assert max(read) == MAX_RECORD_SIZE + 1
        client.delete("long:" + KEY)


def test_the_longest_token_is_stored_and_found(redis_server: RedisServer) -> None:
    from cryptography.fernet import Fernet

    store = RedisStore(redis_server.patient_url, "longest:", encryption_key=Fernet.generate_key())
    now = time.time()
    token = Token('"' * MIB, expires_at=now + 3600, requested_at=now)
    store.save(KEY, token)
    assert store.load(KEY) == token
    store.discard(KEY)


def test_the_limits_hold_for_a_parser_that_reads_into_a_buffer_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As that of hiredis does."""
    monkeypatch.setattr(redis_store, "MAX_RESPONSE_SIZE", 10)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        limited = redis_store._LimitedSocket(ours)
        theirs.sendall(b"x" * 16)
        buffer = bytearray(8)
        assert limited.recv_into(buffer) == 8
        with pytest.raises(OSError, match="too long"):
            limited.recv_into(buffer)
        limited.sendall(b"the next command")
        theirs.sendall(b"y" * 8)
        assert limited.recv_into(buffer) == 8
        assert limited.fileno() == ours.fileno()
