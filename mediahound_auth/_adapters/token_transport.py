"""What the senders of all adapters have in common: bounds on the answer, and words for none."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator
from contextlib import suppress

from mediahound_auth._core.grant import MAX_RESPONSE_SIZE
from mediahound_auth._core.origins import origin_of
from mediahound_auth._core.runtime import monotonic
from mediahound_auth.errors import TokenEndpointUnavailable
from mediahound_auth.version import __version__

__all__ = ["USER_AGENT", "connection_error", "read_bounded"]

USER_AGENT = f"mediahound-auth/{__version__}"

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


def connection_error(url: str, error: Exception) -> TokenEndpointUnavailable:
    """What to raise for the HTTP library's `error`.

    Its cause is an error of the same type, but a new one: the frames, arguments and inner errors
    of the original hold the request, and so the secret, and its text may be an echo.
    """
    chain = list(_chain(error))
    words = _in_words(chain)
    unavailable = TokenEndpointUnavailable(
        f"no answer from the token endpoint at {origin_of(url)}: {type(error).__name__}, {words}"
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
        return refusal < 500 and refusal != 429
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
        return f"the proxy refused the tunnel with HTTP {refusal}"
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
