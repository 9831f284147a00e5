"""A hostile network: a TCP proxy in front of a server, that does to answers what networks do.

It understands as much HTTP as it takes to know where a request ends, and asks the server behind it
for the answer; what the client gets of that is up to the fault.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, repeat
from types import TracebackType
from typing import Self

import ports

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
RST = struct.pack("ii", 1, 0)

# What a fault makes of an answer: the octets to send, and how the connection goes on.
Fault = Callable[[bytes], tuple[Iterator[bytes] | bytes, str]]


def _with_length(answer: bytes, length: bytes) -> bytes:
    return LENGTH.sub(b"\r\nContent-Length: " + length, answer, count=1)


def _longer(answer: bytes, by: int) -> bytes:
    found = LENGTH.search(answer)
    assert found is not None
    return _with_length(answer, b"%d" % (int(found[1]) + by))


def _endless_headers() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:  # until the client hangs up
        yield b"X-Filler: " + b"x" * 1000 + b"\r\n"


FAULTS: dict[str, Fault] = {
    "reset during the answer": lambda answer: (answer[: len(answer) // 2], "reset"),
    "reset after the answer": lambda answer: (answer, "reset"),
    "closed after the answer": lambda answer: (answer, "close"),
    "closed in the middle": lambda answer: (answer[:-5], "close"),
    "stops in the middle": lambda answer: (answer[: len(answer) // 2], "hang"),
    "stops before the answer": lambda _: (b"", "hang"),
    "closed without an answer": lambda _: (b"", "close"),
    "a byte at a time": lambda answer: (iter([answer[i : i + 1] for i in range(len(answer))]), ""),
    "Content-Length too long": lambda answer: (_longer(answer, 10), "close"),
    "Content-Length too short": lambda answer: (_longer(answer, -5), "close"),
    "Content-Length negative": lambda answer: (_with_length(answer, b"-1"), "close"),
    "Content-Length twice": lambda answer: (
        _with_length(answer, b"3\r\nContent-Length: 7"),
        "close",
    ),
    "garbage": lambda _: (b"\x00\xff\x15\x03\x01 no HTTP at all\r\n\r\n", "close"),
    "a header of 1 MB": lambda _: (
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n",
        "close",
    ),
    "endless headers": lambda _: (_endless_headers(), "close"),
    # From 100 on, http.client of newer Pythons raises an HTTPException.
    "100 Continue, 50 times": lambda answer: (
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + answer,
        "",
    ),
}
# What no library ever gets to the end of by itself, whatever its timeout.
ENDLESS: dict[str, Fault] = {
    "100 Continue for ever": lambda _: (repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), "close"),
    "an endless body": lambda _: (
        chain([b"HTTP/1.1 200 OK\r\n\r\n"], repeat(b"x" * 1000)),
        "close",
    ),
}
EARLY = ["refused", "reset before the request", "reset during the request"]
ALL = [*EARLY, *FAULTS]


class HostileNetwork:
    """The proxy; a context manager.

    Attributes:
        url: its origin.
    """

    def __init__(self, server_url: str) -> None:
        host, _, port = server_url.removeprefix("http://").partition(":")
        self._server = (host, int(port))
        self._port = ports.held()
        self._address = self._port.getsockname()
        self._listener = socket.create_server(self._address)
        self._plans: list[str] = []
        self._for_ever = ""
        self._open: set[socket.socket] = set()
        self._over = threading.Event()
        self.url = f"http://127.0.0.1:{self._address[1]}"

    def plan(self, *faults: str) -> None:
        """These faults for the next requests, one each; "" is none."""
        self._plans = list(faults)

    def break_down(self, fault: str) -> None:
        """This fault for all requests from now on."""
        self._for_ever = fault
        if fault == "refused":
            self._stop_listening()
        self.disconnect()

    def heal(self) -> None:
        """No faults any more; connections that hang are closed."""
        if self._for_ever == "refused":
            self._listener = socket.create_server(self._address)
            threading.Thread(target=self._accept, daemon=True).start()
        self._for_ever = ""
        self.disconnect()

    def disconnect(self) -> None:
        """Close all connections there are."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait_until_closed(self) -> None:
        """Return when there is no connection left."""
        deadline = time.monotonic() + 10
        while self._open:
            if time.monotonic() > deadline:
                raise TimeoutError("a connection stays open")
            time.sleep(0.001)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._stop_listening()
        self._port.close()
        self.disconnect()

    def _stop_listening(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._listener.close()

    def _accept(self) -> None:
        listener = self._listener
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.add(client)
        try:
            with client, suppress(OSError):
                while self._one_request(client):
                    pass
        finally:
            self._open.discard(client)

    def _one_request(self, client: socket.socket) -> bool:
        if self._for_ever == "reset before the request":
            return self._reset(client)
        first = client.recv(1, socket.MSG_PEEK)
        if not first:
            return False
        fault = self._plans.pop(0) if self._plans else self._for_ever
        if fault == "reset during the request":
            return self._reset(client)
        request = _read_message(client)
        with socket.create_connection(self._server) as server:
            server.sendall(request)
            answer = _read_message(server)
        octets, then = (FAULTS | ENDLESS)[fault](answer) if fault else (answer, "")
        for piece in [octets] if isinstance(octets, bytes) else octets:
            client.sendall(piece)
        if then == "hang":
            while client.recv(1024):  # until either end closes it
                pass
        if then == "reset":
            return self._reset(client)
        return then == ""

    def _reset(self, client: socket.socket) -> bool:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        return False


def _read_message(connection: socket.socket) -> bytes:
    message = b""
    while b"\r\n\r\n" not in message:
        message += _more(connection)
    found = LENGTH.search(message)
    wanted = message.index(b"\r\n\r\n") + 4 + (int(found[1]) if found else 0)
    while len(message) < wanted:
        message += _more(connection)
    return message


def _more(connection: socket.socket) -> bytes:
    octets = connection.recv(65536)
    if not octets:
        raise ConnectionError("the other end has gone")
    return octets
