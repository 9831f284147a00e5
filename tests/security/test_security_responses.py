"""Token responses as an attack: too long, deeply nested, compressed."""

from __future__ import annotations

import gzip
import http.client
import itertools
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest
from libraries import SYNC, Library

from mediahound_auth import (
    InvalidTokenResponse,
    MediaHoundAuthError,
    MemoryStore,
    Token,
    TokenEndpointUnavailable,
)
from mediahound_auth.testing import MediaHoundServer

MIB = 1 << 20
CHUNK = b" " * (64 << 10)
ENOUGH = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Ask = Callable[..., Token]


@pytest.fixture(params=SYNC, ids=str)
def library(request: pytest.FixtureRequest) -> Library:
    chosen: Library = request.param
    return chosen


@pytest.fixture
def ask(library: Library) -> Ask:
    def ask(**options: Any) -> Token:
        token: Token = library.MediaHoundAuth(**options).renew()
        return token

    return ask


class Flood:
    """A token endpoint that answers with these bytes for as long as it can, then refuses."""

    def __init__(self, answer: Callable[[], Iterable[bytes]]) -> None:
        self.taken: list[int] = []  # how much of the answer went out, per request
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.options = {
            "client_id": "MyClientId",
            "client_secret": "MyClientSecret",
            "token_url": f"http://127.0.0.1:{self._listener.getsockname()[1]}/token",
            "store": MemoryStore(),
        }

    @contextmanager
    def running(self) -> Iterator[Flood]:
        self._thread.start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
            self._thread.join()
            self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with closing(connection):
                    self._flood(connection)

    def _flood(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            reader.readline()
            headers = http.client.parse_headers(reader)
            reader.read(int(headers["Content-Length"]))
        again = bool(self.taken)
        self.taken.append(0)
        with suppress(OSError):
            for part in [ENOUGH] if again else self._answer():
                connection.sendall(part)
                self.taken[-1] += len(part)


def endless_body(status_line: bytes, *headers: bytes) -> Callable[[], Iterable[bytes]]:
    """As good as endless: a test has to end, and reading 64 MiB of it is bad enough."""
    head = b"\r\n".join([b"HTTP/1.1 " + status_line, *headers, b"", b"{"])
    return lambda: itertools.chain([head], itertools.repeat(CHUNK, 64 * MIB // len(CHUNK)))


def endless_headers() -> Iterable[bytes]:
    line = b"X-More: " + b"x" * 8000 + b"\r\n"
    return itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(line, 64 * MIB // len(line)))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (endless_body(b"200 OK"), InvalidTokenResponse),
        (endless_body(b"200 OK", b"Content-Length: 99999999999"), InvalidTokenResponse),
        (endless_body(b"302 Found", b"Location: /token"), InvalidTokenResponse),
        (endless_body(b"401 Unauthorized"), MediaHoundAuthError),
        (endless_body(b"503 Service Unavailable", b"Retry-After: 900"), TokenEndpointUnavailable),
        (endless_headers, MediaHoundAuthError),
    ],
    ids=["token", "announced", "redirect", "refusal", "unavailable", "headers"],
)
def test_an_endless_response_is_not_read_completely(
    answer: Callable[[], Iterable[bytes]], kind: type[Exception], ask: Ask
) -> None:
    with Flood(answer).running() as flood, pytest.raises(kind):
        ask(**flood.options, timeout=30)
    assert flood.taken
    # 1 MiB is read; the rest is what fits into the buffers of the sockets.
    assert max(flood.taken) < 24 * MIB


def test_a_response_that_decompresses_endlessly_is_not_decompressed_completely(
    ask: Ask, server: MediaHoundServer
) -> None:
    bomb = gzip.compress(b" " * (64 * MIB), compresslevel=1)
    assert len(bomb) < MIB
    server.respond_to_token_requests(1, status=200, body=bomb, headers={"Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        with pytest.raises(InvalidTokenResponse):
            ask(**server.credentials)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * MIB


@pytest.mark.parametrize(
    "size", [MIB, MIB + 1], ids=["one MiB is taken", "one octet more is refused"]
)
def test_a_response_may_have_one_mebibyte(size: int, ask: Ask, server: MediaHoundServer) -> None:
    token = b'{"access_token": "t", "token_type": "bearer", "expires_in": 60}'
    server.respond_to_token_requests(1, status=200, body=token.ljust(size))
    if size == MIB:
        assert ask(**server.credentials).access_token == "t"
    else:
        with pytest.raises(InvalidTokenResponse, match="longer than"):
            ask(**server.credentials)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 500_000,
        '{"a":' * 100_000,
        '{"access_token":' * 50_000 + '"t"' + "}" * 50_000,
        '{"access_token": "t", "expires_in": ' + "9" * 5_000 + "}",
        '{"access_token": "t", "expires_in": ' + "9" * 500_000 + "}",
    ],
    ids=["arrays", "objects", "whole", "a number of 5,000 digits", "a number of 500,000 digits"],
)
def test_a_response_that_overwhelms_parsers_is_an_invalid_token_response(
    body: str, ask: Ask, server: MediaHoundServer
) -> None:
    server.respond_to_token_requests(1, status=200, body=body)
    with pytest.raises(InvalidTokenResponse):
        ask(**server.credentials)
    assert len(server.token_requests) == 1
