"""The limits on token responses, and the errors for failed connections, for all adapters.

A token request uses a new connection. Only there, everything that is read can be counted and timed:
1xx responses, headers, chunk sizes and trailers, too. `ResponseBounds` has the remaining bytes and
seconds. http.client reads from a `BoundedSocket`, httpcore from a `BoundedBackend`.
"""

from __future__ import annotations

import io
import re
import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPException
from itertools import takewhile
from typing import Any, TypeVar, cast

from mediahound_auth._core.grant import MAX_RESPONSE_SIZE
from mediahound_auth._core.origins import without_query
from mediahound_auth._core.runtime import SignalHandlers, monotonic
from mediahound_auth.errors import InvalidTokenResponse, TokenEndpointUnavailable, TokenRequestError
from mediahound_auth.version import __version__

__all__ = [
    "USER_AGENT",
    "BoundedBackend",
    "BoundedSocket",
    "ResponseBounds",
    "body_length",
    "callers_exception",
    "connection_error",
    "decompressed",
    "read_bounded",
    "response_error",
    "with_values",
]

T = TypeVar("T")

# Bytes besides the body: 64 KiB of headers, 1xx responses and chunk sizes, and one read of httpcore
# (64 KiB), so that a long body exceeds the limit of the body first.
MAX_OVERHEAD = 128 << 10

# Bytes: a longer body of a 401 is not read before a retry.
MAX_401_BODY = 64 << 10

USER_AGENT = f"mediahound-auth/{__version__}"

# What http.client says of too many headers, or too many 1xx responses.
_TOO_MUCH = re.compile(r"got (more than [0-9]+ (?:headers|interim responses))")

# The beginning of the libraries' message for a rejected CONNECT; the proxy's text follows.
_REFUSED = re.compile(r"(?:Tunnel connection failed: )?([1-5][0-9]{2})(?!\S)")


def read_bounded(chunks: Iterable[bytes], until: float) -> bytes:
    """Return the bytes of `chunks`, truncated soon after MAX_RESPONSE_SIZE.

    Raises:
        TimeoutError: They did not arrive before `until`, a time of `runtime.monotonic`.
    """
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MAX_RESPONSE_SIZE:
            break
        if monotonic() > until:
            raise TimeoutError("the token response was too slow")
    return bytes(body)


def decompressed(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return `body` decompressed, truncated soon after MAX_RESPONSE_SIZE.

    Some servers compress although the request does not allow it. A body that cannot be decompressed
    is returned as it is.
    """
    if headers.get("Content-Encoding", "").lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    with suppress(zlib.error):
        any_header = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib
        return any_header.decompress(body, MAX_RESPONSE_SIZE + 1)
    return body


def callers_exception(error: Exception, handlers: SignalHandlers) -> BaseException | None:
    """Return the caller's own exception behind `error`, of a signal handler or of gevent.

    gevent raises a TimeoutError where the greenlet waits for the socket. A socket's own one has an
    errno, or a text of the standard library.
    """
    if raised := handlers.raised(error):
        return raised
    for inner in takewhile(lambda inner: inner is not handlers.handled, _chain(error)):
        if isinstance(inner, TimeoutError) and inner.errno is None:
            return None if str(inner).endswith("timed out") else inner
    return None


def body_length(headers: Mapping[str, str]) -> int:
    """Return the length of the body of a 401 that is read before a retry; 0 if it is not read.

    A chunked body is not read: the server could send the size of a chunk byte by byte.
    """
    length = headers.get("Content-Length", "")
    if "Transfer-Encoding" in headers or not re.fullmatch("[0-9]{1,9}", length):
        return 0
    return int(length) if int(length) <= MAX_401_BODY else 0


class ResponseBounds:
    """The remaining bytes and seconds of a response.

    Attributes:
        until: The end of the time limit, a time of `runtime.monotonic`.
        left: The remaining bytes. The readers below decrease it.
    """

    def __init__(self, timeout: float) -> None:
        self.until: float = monotonic() + timeout
        self.left: int = MAX_RESPONSE_SIZE + MAX_OVERHEAD

    def remaining(self) -> float:
        """Return the remaining seconds.

        Raises:
            TimeoutError: The time limit is over.
            ConnectionAbortedError: Too many bytes have been read.
        """
        remaining = self.until - monotonic()
        if remaining <= 0:
            raise TimeoutError("the token response did not end in time")
        if self.left < 0:
            raise ConnectionAbortedError("the token response is too long")
        return remaining


class BoundedSocket(io.RawIOBase):
    """A socket with the methods that http.client needs to read a response."""

    def __init__(self, sock: Any, bounds: ResponseBounds) -> None:
        self._sock = sock
        self._reader = sock.makefile("rb", buffering=0)
        self._bounds = bounds

    def makefile(self, _: str) -> io.BufferedReader:
        """Return the file that http.client reads."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return True, for `io.BufferedReader`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Do what `io.RawIOBase.readinto` does."""
        self._sock.settimeout(self._bounds.remaining())
        size: int = self._reader.readinto(buffer)
        self._bounds.left -= size
        return size

    def close(self) -> None:
        """Close the file. The connection closes the socket."""
        self._reader.close()
        super().close()


class BoundedBackend:
    """An httpcore.NetworkBackend that adds the limits to another one."""

    def __init__(self, backend: Any, bounds: ResponseBounds) -> None:
        self._backend = backend
        self._bounds = bounds

    def connect_tcp(self, **options: Any) -> _BoundedStream:
        options["timeout"] = self._bounds.remaining()
        return _BoundedStream(self._backend.connect_tcp(**options), self._bounds)

    def connect_unix_socket(self, **options: Any) -> _BoundedStream:
        options["timeout"] = self._bounds.remaining()
        return _BoundedStream(self._backend.connect_unix_socket(**options), self._bounds)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(min(seconds, self._bounds.remaining()))


class _BoundedStream:
    # An httpcore.NetworkStream. httpcore's timeouts are for one operation each: they are replaced.
    def __init__(self, stream: Any, bounds: ResponseBounds) -> None:
        self._stream = stream
        self._bounds = bounds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        data: bytes = self._stream.read(max_bytes, self._bounds.remaining())
        self._bounds.left -= len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._bounds.remaining())

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> _BoundedStream:
        timeout = self._bounds.remaining()
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _BoundedStream(stream, self._bounds)


def with_values(original: T, **values: object) -> T:
    """Return an object like `original`, with other values of these attributes.

    It shares everything else with `original`, because a user's adapter may keep a state. `original`
    is not changed, because other threads use it. Slots take precedence over `__dict__`.
    """
    # With an empty __del__, because that of the original would close the original.
    names = {"__slots__": tuple(values), "__del__": lambda _: None}
    other: Any = object.__new__(type("Bounded", (type(original),), names))
    other.__dict__ = original.__dict__
    for name, value in values.items():
        object.__setattr__(other, name, value)
    return cast(T, other)


def response_error(url: str, error: Exception, bounds: ResponseBounds) -> TokenRequestError:
    """Return the error to raise for the HTTP library's `error`, or for an exceeded limit."""
    fault = f"the response is longer than {MAX_RESPONSE_SIZE} bytes" if bounds.left < 0 else ""
    for inner in _chain(error):
        if isinstance(inner, HTTPException) and (too_much := _TOO_MUCH.fullmatch(str(inner))):
            fault = f"the response has {too_much[1]}"
    if fault:
        return InvalidTokenResponse(
            f"invalid token response from {without_query(url)}: {fault}. "
            "Check that token_url is the full URL of the token endpoint"
        )
    return connection_error(url, error)


def connection_error(url: str, error: Exception) -> TokenEndpointUnavailable:
    """Return the error to raise for the HTTP library's `error`.

    Its cause is a new error of the same type. The frames, arguments and inner errors of the
    original hold the request and the secret, and its text may repeat them.
    """
    chain = list(_chain(error))
    words = _in_words(chain)
    unavailable = TokenEndpointUnavailable(
        f"could not reach the token endpoint {without_query(url)}: {words} "
        f"({type(error).__name__}). Check token_url, DNS, proxies and the CA bundle. The proxies "
        "and the CA bundle of your own session or client are used only if you pass it as session= "
        "or client="
    )
    unavailable.retryable = not _is_permanent(chain)
    with suppress(Exception):  # some errors need more arguments
        unavailable.__cause__ = type(error)(words)
    return unavailable


def _is_permanent(chain: list[BaseException]) -> bool:
    """Whether a retry would fail in the same way.

    This is so for an untrusted certificate, a missing CA bundle (with requests), an invalid URL,
    and a proxy's status below 500, except 408, 425 and 429.
    """
    refusal = _refusal(chain)
    if refusal is not None:
        return refusal < 500 and refusal not in (408, 425, 429)
    if type(chain[0]) is OSError or isinstance(chain[0], ValueError):
        return True
    return any(isinstance(error, ssl.SSLCertVerificationError) for error in chain)


def _refusal(chain: list[BaseException]) -> int | None:
    """Return the HTTP status of a proxy that rejected CONNECT; None for another error."""
    if type(chain[0]).__name__ != "ProxyError":  # of requests and httpx
        return None
    found = _REFUSED.match(str(chain[-1]))
    return int(found[1]) if found else None


def _in_words(chain: list[BaseException]) -> str:
    """Return why the connection failed, without text that may repeat the request."""
    if type(chain[0]) is OSError:  # of requests, before it sends anything
        return str(chain[0])
    if isinstance(chain[0], ValueError):  # of urllib3, requests or the idna codec
        return "the URL of the token endpoint or of a proxy is not valid"
    refusal = _refusal(chain)
    if refusal is not None:
        return f"the proxy rejected the CONNECT request with HTTP {refusal}"
    for inner in reversed(chain):
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"certificate verify failed: {inner.verify_message}"
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
    return type(chain[-1]).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and its causes; urllib3 has them in `reason`, requests in `args`."""
    seen: set[int] = set()
    inner: object = error
    while isinstance(inner, BaseException) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        links = (inner.__cause__, inner.__context__, getattr(inner, "reason", None), *inner.args)
        inner = next((link for link in links if isinstance(link, BaseException)), None)
