"""A server whose responses do not end: as an API, and as a token endpoint.

A request for `/ok` gets a whole response on a connection that stays open. Any other request gets
the pieces of an attack, until the client closes the connection.
"""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import chain, repeat
from types import TracebackType
from typing import Self

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\n"
# Seconds from one drop to the next: less than any time limit, so that no single read times out.
DROP_INTERVAL = 0.02

Attack = Callable[[], Iterable[bytes]]


def drops(start: bytes, drop: bytes = b"x") -> Iterator[bytes]:
    """`start`, and then drop by drop for ever."""
    yield start
    while True:
        time.sleep(DROP_INTERVAL)  # the attack itself
        yield drop


# Each of them keeps a single call of the HTTP library reading for ever.
SLOW: dict[str, Attack] = {
    "status line": lambda: drops(b"HTTP/1.1 200 "),
    "header": lambda: drops(b"HTTP/1.1 200 OK\r\nX-Slow: "),
    "1xx": lambda: drops(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": lambda: drops(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{"),
    "chunk size": lambda: drops(CHUNKED + b"1;"),
    "trailer": lambda: drops(CHUNKED + b"1\r\n{\r\n0\r\nX-Slow: "),
    "silence": lambda: iter([b"HTTP/1.1 200 OK\r\n"]),
}
# The parts are small, yet not so small that a library needs a second for 1 MiB of them.
FAST: dict[str, Attack] = {
    "1xx": lambda: repeat(b"HTTP/1.1 100 Continue\r\nX: %200d\r\n\r\n" % 0 * 100),
    "headers": lambda: chain([b"HTTP/1.1 200 OK\r\n"], repeat(b"X: " + b"x" * 60_000 + b"\r\n")),
    "tiny chunks": lambda: chain([CHUNKED], repeat(b"1;%60d\r\n \r\n" % 0 * 100)),
}


@cache
def deflated_zeros() -> bytes:
    """16 MiB of zeros, a thousandth of that as gzip; one after the other is gzip, too."""
    return gzip.compress(bytes(16 << 20))


# Bodies of a 401.
BODIES: dict[str, Attack] = {
    "endless": lambda: chain([UNAUTHORIZED, b"\r\n"], repeat(b"x" * 65536)),
    "endless, announced": lambda: chain(
        [UNAUTHORIZED, b"Content-Length: 99999999999\r\n\r\n"], repeat(b"x" * 65536)
    ),
    "endless chunks": lambda: chain(
        [UNAUTHORIZED, b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"1000\r\n%4096d\r\n" % 0)
    ),
    "gzip bomb": lambda: chain(
        [UNAUTHORIZED, b"Content-Encoding: gzip\r\n\r\n"], repeat(deflated_zeros())
    ),
    "drop by drop": lambda: drops(UNAUTHORIZED + b"Content-Length: 1000\r\n\r\n"),
    "chunk size drop by drop": lambda: drops(
        UNAUTHORIZED + b"Transfer-Encoding: chunked\r\n\r\n1;"
    ),
    "silence": lambda: iter([UNAUTHORIZED + b"Content-Length: 1000\r\n\r\n"]),
}


class EndlessServer:
    """A context manager.

    Attributes:
        url: its origin.
        answer: what it sends for a request line: an attack's pieces.
        requests: the request lines that have come.
        sent: how many bytes of attacks went out.
    """

    def __init__(self, answer: Callable[[str], Iterable[bytes]]) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.connections: int = 0
        self.sent: int = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def wait_until_closed(self) -> None:
        """Return when clients have closed all connections."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._open, 20), "a connection stays open"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._open.add(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as reader, suppress(OSError):
            while line := reader.readline().decode():
                length = 0
                while header := reader.readline().strip().lower():
                    if header.startswith(b"content-length:"):
                        length = int(header.partition(b":")[2])
                reader.read(length)
                self.requests.append(line.strip())
                if " /ok " in line:
                    client.sendall(OK)
                    continue
                for piece in self.answer(line):
                    client.sendall(piece)
                    self.sent += len(piece)
        with self._changed:
            self._open.discard(client)
            self._changed.notify_all()
