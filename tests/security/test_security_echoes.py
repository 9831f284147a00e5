"""Endpoints that break HTTP and repeat what was sent."""

from __future__ import annotations

import base64
import http.client
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from libraries import BOTH, Library

from mediahound_auth import MediaHoundAuthError, MemoryStore

SECRET = "s3cr3t"
BASIC = base64.b64encode(b"MyClientId:s3cr3t")

Echo = Callable[[bytes], bytes]


@contextmanager
def endpoint(echo: Echo) -> Iterator[str]:
    """The URL of a token endpoint that sends `echo` of what is private in a request."""

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with closing(connection), suppress(OSError):
                    connection.sendall(echo(read(connection)))

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/token"
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        thread.join()
        listener.close()


def read(connection: socket.socket) -> bytes:
    """The Basic value and the body of the request."""
    with connection.makefile("rb") as reader:
        reader.readline()
        headers = http.client.parse_headers(reader)
        body = reader.read(int(headers["Content-Length"]))
    private = headers["Authorization"].encode() + b" " + body
    assert BASIC in private
    assert SECRET.encode() in private
    return private


ECHOES: dict[str, Echo] = {
    "in a malformed header": lambda private: (
        b"HTTP/1.1 400 No\r\nX: 1\r\nclient " + private + b"\r\nContent-Length: 0\r\n\r\n"
    ),
    "in place of a status line": lambda private: private + b"\r\n\r\n",
    "as the status": lambda private: b"HTTP/1.1 " + private + b"\r\n\r\n",
    "as the reason": lambda private: b"HTTP/1.1 400 " + private + b"\r\nContent-Length: 0\r\n\r\n",
    "in place of a header": lambda private: b"HTTP/1.1 200 OK\r\n" + private + b"\r\n\r\n",
    "in a header that is none": lambda private: (
        b"HTTP/1.1 200 OK\r\nX: \x00" + private + b"\r\n\r\n"
    ),
    "as the length": lambda private: b"HTTP/1.1 200 OK\r\nContent-Length: " + private + b"\r\n\r\n",
    "as the size of a chunk": lambda private: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + private + b"\r\n"
    ),
    "as the encoding": lambda private: (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: " + private + b"\r\n\r\nx"
    ),
    "as the target of a redirect": lambda private: (
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://[" + private + b"\r\n\r\n"
    ),
    "as the port of a redirect": lambda private: (
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://a:" + private + b"\r\n\r\n"
    ),
    "as the time to come back": lambda private: (
        b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\nRetry-After: " + private + b"\r\n\r\n"
    ),
    "as the body": lambda private: b"HTTP/1.0 200 OK\r\n\r\n" + private,
}


@BOTH
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_no_error_and_no_log_line_of_ours_repeats_what_was_sent(
    echo: Echo, library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    caplog.set_level(1, "mediahound_auth")
    with endpoint(echo) as url:
        auth = library.MediaHoundAuth(
            "MyClientId", SECRET, token_url=url, store=MemoryStore(), timeout=0.5
        )
        with pytest.raises(MediaHoundAuthError) as caught:
            auth.token()
    shown = ["".join(traceback.format_exception(caught.value))]
    link: BaseException | None = caught.value
    while link is not None:
        shown.append(f"{link} {link!r} {link.args!r} {vars(link)!r}")
        link = link.__cause__ or link.__context__
    shown += [
        f"{record.getMessage()} {record.__dict__!r}"
        for record in caplog.records
        # At these levels, httpx and httpcore log all headers of a response.
        if record.levelno >= logging.WARNING or not record.name.startswith(("httpcore", "httpx"))
    ]
    assert logging.WARNING in {record.levelno for record in caplog.records}
    assert [text for text in shown if SECRET in text or BASIC.decode() in text] == []
