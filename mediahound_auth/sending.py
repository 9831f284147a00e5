"""What the senders of all adapters have in common: bounds on the answer, and words for none."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator

from mediahound_auth.errors import TokenEndpointUnavailable
from mediahound_auth.grant import LONGEST_ANSWER
from mediahound_auth.origins import origin_of
from mediahound_auth.version import __version__

__all__ = ["USER_AGENT", "read_bounded", "unreachable"]

USER_AGENT = f"mediahound-auth/{__version__}"


def read_bounded(chunks: Iterable[bytes], deadline: float) -> bytes:
    """The octets of `chunks`; reading ends soon after LONGEST_ANSWER of them.

    Raises:
        TimeoutError: they were not there by `deadline` (of time.monotonic()).
    """
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > LONGEST_ANSWER:
            break
        if time.monotonic() > deadline:
            raise TimeoutError("the answer came too slowly")
    return bytes(body)


def unreachable(url: str, error: Exception) -> TokenEndpointUnavailable:
    """What to raise from the HTTP library's `error`, which is rid of what holds the secret."""
    chain = list(_chain(error))
    untrusted = [inner for inner in chain if isinstance(inner, ssl.SSLCertVerificationError)]
    why = (untrusted or chain)[-1]
    unavailable = TokenEndpointUnavailable(
        f"no answer from the token endpoint at {origin_of(url)}: {type(error).__name__}, "
        f"{str(why) or type(why).__name__}"
    )
    unavailable.transient = not untrusted
    for inner in chain:
        # Frames hold the request, and so the secret; some tools print what frames hold.
        inner.__traceback__ = inner.__context__ = inner.__cause__ = None
    return unavailable


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it came from; urllib3 keeps that in `reason`, requests in `args`."""
    seen: set[int] = set()
    inner: object = error
    while isinstance(inner, BaseException) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        links = (inner.__cause__, inner.__context__, getattr(inner, "reason", None), *inner.args)
        inner = next((link for link in links if isinstance(link, BaseException)), None)
