"""A small HTTP proxy on loopback, that forwards and tunnels and remembers what it could read."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """The proxy; a context manager.

    Attributes:
        address: its host and port.
        heads: the heads of the requests it was sent, in order.
        read: all octets that passed it, in either direction, tunnels included.
        password: "user:word", without which it answers 407; '' demands none.
        refusals: status lines with which it refuses the next requests, one each.
    """

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.read = bytearray()
        self.password = ""
        self.refusals: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._threads[0].join()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for end in [*self._open, self._listener]:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._open.append(near)
                self._serve(near)

    def _serve(self, near: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n") and (octet := near.recv(1)):
            head += octet
        if not head:
            return
        self.heads.append(head)
        self.read += head
        refusal = self._refusal(head)
        if refusal:
            near.sendall(b"HTTP/1.1 " + refusal + b"\r\nContent-Length: 0\r\n\r\n")
            near.shutdown(socket.SHUT_WR)
            return
        method, target, _ = head.decode().split(maxsplit=2)
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        far = socket.create_connection((url.hostname or "", url.port or 80))
        self._open.append(far)
        if method == "CONNECT":
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            far.sendall(_forwarded(head, f"{url.scheme}://{url.netloc}".encode()))
        back = self._relay if method == "CONNECT" else self._answer
        for carry, source, sink in ((self._relay, near, far), (back, far, near)):
            thread = threading.Thread(target=carry, args=(source, sink))
            self._threads.append(thread)
            thread.start()

    def _refusal(self, head: bytes) -> bytes:
        if self.refusals:
            return self.refusals.pop(0)
        word = b"Basic " + base64.b64encode(self.password.encode())
        if self.password and word not in head:
            return b"407 Proxy Authentication Required"
        return b""

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.read += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        """Hand back the one answer there is, and say that no other will follow."""
        with suppress(OSError):
            answer = b""
            while data := server.recv(65536):
                answer += data
            self.read += answer
            client.sendall(answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            client.shutdown(socket.SHUT_WR)


def _forwarded(head: bytes, origin: bytes) -> bytes:
    """What goes on to the server: only the path, nothing for the proxy, one request in all."""
    first, *lines = head.replace(origin, b"", 1).removesuffix(b"\r\n\r\n").split(b"\r\n")
    hop = (b"proxy-", b"connection:")
    kept = [line for line in lines if not line.lower().startswith(hop)]
    return b"\r\n".join([first, *kept, b"Connection: close", b"", b""])
