"""Where a token may go: origins, and the rule that they are https or loopback. Pure."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["DEFAULT_PORTS", "Origin", "origin_of", "without_query"]

DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A scheme, a host and a port (RFC 6454 §4), normalised, so that equal means same origin."""

    scheme: str
    host: str
    port: int

    @property
    def secure(self) -> bool:
        """Whether what is sent there stays secret on its way: https, or this very machine."""
        return self.scheme == "https" or _is_loopback(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if DEFAULT_PORTS[self.scheme] == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def origin_of(url: str) -> Origin:
    """The origin of an absolute http(s) URL.

    Raises:
        ValueError: it is no such URL.
    """
    # Python's parser drops some of these, and HTTP libraries others.
    if not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("a URL has no spaces, control characters or backslashes")
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), parts.hostname
    if scheme not in DEFAULT_PORTS or not host or "%" in host:
        raise ValueError("not an absolute http or https URL")
    port = DEFAULT_PORTS[scheme] if parts.port is None else parts.port
    if port == 0:
        raise ValueError("port 0 is no port: HTTP libraries connect to the default one instead")
    return Origin(scheme, _ascii(host), port)


def without_query(url: str) -> str:
    """`url` as messages show it: its query may hold a key."""
    return url.partition("?")[0]


def _ascii(host: str) -> str:
    """`host` as it is sent: in lower case, an international name in its ASCII form."""
    if host.isascii():
        # RFC 1035 §2.3.4. HTTP libraries find out when they look the name up, request in hand.
        if not all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
            raise ValueError("a label of a host name has 1 to 63 characters")
        return host.lower()
    # The codec has the rules of 2003. Where those of today, which HTTP libraries follow, lead to
    # another host, there is no way back to the name from the codec's ("faß" has become "fass").
    ascii_form = host.encode("idna")
    if ascii_form.decode("idna") != host.lower():
        raise ValueError("an international name that has to be written in its ASCII form, xn--…")
    return ascii_form.decode("ascii").lower()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
