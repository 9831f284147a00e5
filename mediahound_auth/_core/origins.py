"""Origins, and the rule that they must be https or loopback. Pure."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["DEFAULT_PORTS", "Origin", "origin_of", "without_query"]

DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A scheme, a host and a port (RFC 6454 §4), normalised: equal means the same origin."""

    scheme: str
    host: str
    port: int

    @property
    def secure(self) -> bool:
        """Whether a secret may be sent there: https, or loopback."""
        return self.scheme == "https" or _is_loopback(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if DEFAULT_PORTS[self.scheme] == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def origin_of(url: str) -> Origin:
    """Return the origin of an absolute http or https URL.

    Raises:
        ValueError: `url` is not such a URL.
    """
    # Python's parser removes some of these characters, and HTTP libraries remove others.
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
    """Return `url` without its query, for messages: a query may contain a key."""
    return url.partition("?")[0]


def _ascii(host: str) -> str:
    """Return `host` in lower case, and an international name in its ASCII form."""
    if host.isascii():
        # RFC 1035 §2.3.4. Otherwise name resolution would fail, with the secret in a frame.
        if not all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
            raise ValueError("a label of a host name has 1 to 63 characters")
        return host.lower()
    # The codec has the rules of IDNA 2003, HTTP libraries those of 2008. Where these lead to
    # different hosts, decoding does not return the name ("faß" has become "fass").
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
