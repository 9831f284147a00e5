"""URLs for property tests, and how urllib3, httpx and requests read them."""

from __future__ import annotations

import httpx
import requests
from hypothesis import strategies as st
from urllib3.util import parse_url

from mediahound_auth._core.origins import DEFAULT_PORTS

NAMES = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?", fullmatch=True).filter(
    lambda name: not name.lower().startswith("xn--")
)
HOSTS = st.one_of(
    st.lists(NAMES, min_size=1, max_size=3).map(lambda names: ".".join([*names, "example"])),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
URLS = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(["http", "https", "HTTP", "hTTps"]),
    st.sampled_from(["", "user@", "user:pass@", "api.example.com:443@"]),
    st.one_of(HOSTS, st.sampled_from(["one.example", "ONE.example", "two.example"])),
    st.one_of(
        st.sampled_from(["", "", ":80", ":443", ":"]),
        st.integers(1, 65535).map(lambda port: f":{port}"),
    ),
    st.sampled_from(["", "/", "/x/@two.example", "?x=//two.example", "#@two.example"]),
)


def as_urllib3_reads_it(url: str) -> tuple[str, str, int]:
    parts = parse_url(url)
    scheme, host = parts.scheme or "", (parts.host or "").lower()
    return scheme, host.strip("[]"), DEFAULT_PORTS[scheme] if parts.port is None else parts.port


def as_httpx_reads_it(url: httpx.URL) -> tuple[str, str, int]:
    port = DEFAULT_PORTS[url.scheme] if url.port is None else url.port
    return url.scheme, url.raw_host.decode(), port


def prepared(url: str) -> str:
    """The URL that requests sends to, and asks its auth about."""
    request = requests.PreparedRequest()
    request.prepare_url(url, None)
    return str(request.url)


# Text that somebody has put together to be read in two ways.

WORDS = ["api.example", "evil.example", "https:", "//", "443", "80", "::1", "%40", "%2f", "xn--"]
MARKS = list("/@:\\?#[].%;&=*_-ß \t\n\r\x00\u3002\uff0f\uff20\u2100")
TRICKY = st.lists(st.sampled_from(WORDS + MARKS), max_size=8).map(
    lambda parts: "https://" + "".join(parts)
)
