"""What the senders of all adapters have in common: bounds on the response, and words for none.

A token request goes over a connection of its own, since only there everything that is read can be
counted and timed: 1xx responses, headers, chunk sizes and trailers too. `ResponseBounds` says how
much is left. `BoundedSocket` is what http.client reads from, `BoundedBackend` what httpcore does.
"""

from __future__ import annotations

import io
import re
import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any, TypeVar, cast

from mediahound_auth._core.grant import MAX_RESPONSE_SIZE
from mediahound_auth._core.origins import without_query
from mediahound_auth._core.runtime import monotonic
from mediahound_auth.errors import InvalidTokenResponse, TokenEndpointUnavailable, TokenRequestError
from mediahound_auth.version import __version__

__all__ = [
    "PATIENCE_FOR_401",
    "USER_AGENT",
    "BoundedBackend",
    "BoundedSocket",
    "ResponseBounds",
    "body_length",
    "callers_timeout",
    "connection_error",
    "decompressed",
    "read_bounded",
    "response_error",
    "with_values",
]

T = TypeVar("T")

# Bytes that may come besides the body: 64 KiB of headers, 1xx responses and the framing of chunks,
# and what one read brings (httpcore: 64 KiB), so that of a long body the length is what is judged.
MAX_OVERHEAD = 128 << 10

# Of the body of a 401, bytes and seconds that its connection is worth before a retry.
MAX_401_BODY = 64 << 10
PATIENCE_FOR_401 = 1.0

# Seconds by which a read may end before its time is up.
CLOCK_STEP = 0.05

USER_AGENT = f"mediahound-auth/{__version__}"

# How http.client says that a response has too many headers, or too many 1xx responses before it.
_TOO_MUCH = re.compile(r"got (more than [0-9]+ (?:headers|interim responses))")

# How the libraries begin to say that a proxy refuses a tunnel; its own words come after that.
_REFUSED = re.compile(r"(?:Tunnel connection failed: )?([1-5][0-9]{2})(?!\S)")


def read_bounded(chunks: Iterable[bytes], until: float) -> bytes:
    """The octets of `chunks`; reading ends soon after MAX_RESPONSE_SIZE of them.

    Raises:
        TimeoutError: they were not there by the moment `until`, of `runtime.monotonic`.
    """
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MAX_RESPONSE_SIZE:
            break
        if monotonic() > until:
            raise TimeoutError("the answer came too slowly")
    return bytes(body)


def decompressed(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return `body`, which some servers compress without being asked: little more than is read.

    A body that cannot be decompressed stays as it is, and is no token response.
    """
    if headers.get("Content-Encoding", "").lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    with suppress(zlib.error):
        any_header = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip's or zlib's
        return any_header.decompress(body, MAX_RESPONSE_SIZE + 1)
    return body


def callers_timeout(error: Exception, until: float) -> TimeoutError | None:
    """The caller's own TimeoutError, of a signal handler or of gevent, if `error` came of one.

    It did if it came before the moment `until`, of `runtime.monotonic`, at which the read that it
    interrupted was to end.
    """
    if monotonic() < until - CLOCK_STEP:
        for inner in _chain(error):
            if isinstance(inner, TimeoutError) and inner.errno is None:  # not of the system
                return inner
    return None


def body_length(headers: Mapping[str, str]) -> int:
    """How long the body of a 401 is, if it is worth reading before a retry; otherwise 0.

    A chunked one is not: how long a single read takes is up to the server, which may send the size
    of a chunk drop by drop.
    """
    length = headers.get("Content-Length", "")
    if "Transfer-Encoding" in headers or not re.fullmatch("[0-9]{1,9}", length):
        return 0
    return int(length) if int(length) <= MAX_401_BODY else 0


class ResponseBounds:
    """How much more of a response may be read, and until when.

    Attributes:
        until: the moment of `runtime.monotonic` at which its time is up.
        left: how many bytes may come yet; whoever reads some takes them off.
    """

    def __init__(self, timeout: float) -> None:
        self.until: float = monotonic() + timeout
        self.left: int = MAX_RESPONSE_SIZE + MAX_OVERHEAD

    def remaining(self) -> float:
        """Seconds that the next operation may take.

        Raises:
            TimeoutError: there are none left.
            ConnectionAbortedError: too much has been read.
        """
        remaining = self.until - monotonic()
        if remaining <= 0:
            raise TimeoutError("the token response did not end in time")
        if self.left < 0:
            raise ConnectionAbortedError("the token response is too long")
        return remaining


class BoundedSocket(io.RawIOBase):
    """A socket, as far as http.client's responses need it."""

    def __init__(self, sock: Any, bounds: ResponseBounds) -> None:
        self._sock = sock
        self._reader = sock.makefile("rb", buffering=0)
        self._bounds = bounds

    def makefile(self, _: str) -> io.BufferedReader:
        """What a response is read from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """True: `io.BufferedReader` asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As `io.RawIOBase.readinto`."""
        self._sock.settimeout(self._bounds.remaining())
        size: int = self._reader.readinto(buffer)
        self._bounds.left -= size
        return size

    def close(self) -> None:
        """Close what is read from; the socket itself belongs to its connection."""
        self._reader.close()
        super().close()


class BoundedBackend:
    """A network backend of httpcore (`httpcore.NetworkBackend`), by way of another one."""

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
    # An httpcore.NetworkStream. The time-outs that httpcore gives are those of a single operation.
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
    """`original` with other values of these attributes; all the rest is shared with it.

    Neither copied, as an adapter or transport of the user's may keep count of something, nor
    changed, since other threads use it. Slots come before what `__dict__` has.
    """
    # Without a __del__, or its end would be that of the original.
    names = {"__slots__": tuple(values), "__del__": lambda _: None}
    other: Any = object.__new__(type("Bounded", (type(original),), names))
    other.__dict__ = original.__dict__
    for name, value in values.items():
        object.__setattr__(other, name, value)
    return cast(T, other)


def response_error(url: str, error: Exception, bounds: ResponseBounds) -> TokenRequestError:
    """What to raise for the HTTP library's `error`, which may have come of `bounds`."""
    fault = f"it is longer than {MAX_RESPONSE_SIZE} bytes" if bounds.left < 0 else ""
    for inner in _chain(error):
        if isinstance(inner, HTTPException) and (too_much := _TOO_MUCH.fullmatch(str(inner))):
            fault = f"it has {too_much[1]}"
    if fault:
        return InvalidTokenResponse(f"invalid token response from {without_query(url)}: {fault}")
    return connection_error(url, error)


def connection_error(url: str, error: Exception) -> TokenEndpointUnavailable:
    """What to raise for the HTTP library's `error`.

    Its cause is an error of the same type, but a new one: the frames, arguments and inner errors
    of the original hold the request, and so the secret, and its text may be an echo.
    """
    chain = list(_chain(error))
    words = _in_words(chain)
    unavailable = TokenEndpointUnavailable(
        f"could not reach the token endpoint {without_query(url)}: {words} "
        f"({type(error).__name__}). Check token_url, DNS, proxies and the CA bundle. Those of a "
        "session or client of yours are used only if you pass it as session= or client="
    )
    unavailable.retryable = not _is_permanent(chain)
    with suppress(Exception):  # some errors cannot be made of a text alone
        unavailable.__cause__ = type(error)(words)
    return unavailable


def _is_permanent(chain: list[BaseException]) -> bool:
    """Whether it will be the same next time.

    So it is without trust, where a proxy refuses for good, (requests) without its CA bundle, or
    with a URL that is none.
    """
    refusal = _refusal(chain)
    if refusal is not None:
        return refusal < 500 and refusal not in (408, 425, 429)
    if type(chain[0]) is OSError or isinstance(chain[0], ValueError):
        return True
    return any(isinstance(error, ssl.SSLCertVerificationError) for error in chain)


def _refusal(chain: list[BaseException]) -> int | None:
    """The HTTP status with which a proxy has refused a tunnel, if that is what went wrong."""
    if type(chain[0]).__name__ != "ProxyError":  # requests' and httpx's own
        return None
    found = _REFUSED.match(str(chain[-1]))
    return int(found[1]) if found else None


def _in_words(chain: list[BaseException]) -> str:
    """What went wrong. The operating system's words are safe; an HTTP library's may be an echo."""
    if type(chain[0]) is OSError:  # raised by requests itself, before anything is sent
        return str(chain[0])
    if isinstance(chain[0], ValueError):  # of urllib3, requests, or Python's codec for host names
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
    """`error` and what it came from; urllib3 keeps that in `reason`, requests in `args`."""
    seen: set[int] = set()
    inner: object = error
    while isinstance(inner, BaseException) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        links = (inner.__cause__, inner.__context__, getattr(inner, "reason", None), *inner.args)
        inner = next((link for link in links if isinstance(link, BaseException)), None)
