"""The sockets of MediaHoundServer: connections, TLS, HTTP framing, and the raw requests."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import cast

from mediahound_auth.testing.traffic import Answer, ReceivedRequest


class Listener(socketserver.ThreadingTCPServer):
    """The listening socket and its connections.

    Not http.server's ThreadingHTTPServer, whose bind resolves the name of this host.
    """

    daemon_threads = True
    request_queue_size = 1024
    allow_reuse_address: bool = os.name == "posix"  # other systems would share the port

    def __init__(
        self,
        answer: Callable[[ReceivedRequest], Answer | None],
        ssl_context: ssl.SSLContext | None,
        port: int,
    ) -> None:
        """Listen on this port of 127.0.0.1, with TLS if there is a context.

        `answer` is called in the connection's thread. If it returns None, the connection is reset.
        """
        self.answer = answer
        self._ssl_context = ssl_context
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept a connection."""
        connection, address = super().get_request()
        if self._ssl_context is not None:
            # The connection's thread does the handshake: a slow client would delay all others here.
            connection = self._ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._changed:
            self._connections.add(connection)
        return connection, address

    def close_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Close a connection whose thread has ended."""
        super().close_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def serve_forever(self, poll_interval: float = 0.05) -> None:
        """Accept connections until `stop_accepting`, checked every `poll_interval` seconds."""
        super().serve_forever(poll_interval)

    def stop_accepting(self) -> None:
        """Close the listening socket."""
        # Wakes serve_forever on Linux. On other systems it may fail: the poll interval passes.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.shutdown()
        self.server_close()

    def disconnect_all(self) -> None:
        """Close all connections; return when their threads have ended, or after 5 seconds."""
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    # SSLSocket's method would remove TLS while another thread reads.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._connections, timeout=5)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print the error of a connection's thread, unless the client caused it."""
        # A client that disconnects or uses no TLS causes an OSError; anything else is our fault.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _RecordingReader(io.BufferedReader):
    """A socket's reader that records the bytes it returns."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__(raw)
        self.taken = bytearray()

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(-1 if size is None else size)
        self.taken += line
        return line

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += data
        return data


class _Handler(BaseHTTPRequestHandler):
    """One connection, in its own thread."""

    server: Listener  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 0  # _RecordingReader has the buffer
    wbufsize = 65536  # so that a response is sent in one piece

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()
        self._reader = _RecordingReader(cast(io.RawIOBase, self.rfile))
        self.rfile = self._reader

    def handle_one_request(self) -> None:
        self._reader.taken.clear()
        super().handle_one_request()

    def handle_expect_100(self) -> bool:
        proceed = super().handle_expect_100()
        self.wfile.flush()  # otherwise the client waits for the buffer, and the server for the body
        return proceed

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the requests are in the lists."""

    def _respond(self) -> None:
        try:
            # Before any response: unread bytes would be parsed as the next request.
            body = self._read_body()
        except ValueError:
            self.send_error(400)
            return
        raw = bytes(self._reader.taken)
        request = ReceivedRequest(self.command, self.path, self.headers, body, raw)
        answer = self.server.answer(request)
        if answer is None:
            self._reset()
        else:
            request.status = answer.status
            self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _respond

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_exactly(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self._read_exactly(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _read_exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) != size:
            raise ConnectionError("the client disconnected during a body")
        return data

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        names = {name.lower() for name in answer.headers}
        if "date" not in names:
            self.send_header("Date", self.date_time_string())
        for name, value in answer.headers.items():
            self.send_header(name, value)
        bodiless = answer.status < 200 or answer.status in (204, 304)
        if not bodiless and not names & {"content-length", "transfer-encoding"}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if not bodiless and self.command != "HEAD":
            self.wfile.write(answer.body)

    def _reset(self) -> None:
        # With a linger time of zero, close() sends RST instead of FIN.
        linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        # Closed here: socketserver would send FIN first.
        self.connection.close()
        self.close_connection = True
