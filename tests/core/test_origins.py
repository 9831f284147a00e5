"""Origins: the same scheme, host and port."""

from __future__ import annotations

import httpx
import pytest
import requests
from hypothesis import example, given
from urllib3.util import parse_url
from urls import TRICKY, URLS, as_httpx_reads_it, as_urllib3_reads_it, prepared

from mediahound_auth._core.origins import Origin, origin_of

pytestmark = pytest.mark.once

API = "https://api.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://API.Example.COM/1.3/search?q=a#b",
        "HTTPS://api.example.com",
        "https://api.example.com:443/x",
        "https://api.example.com:/x",
        "https://api.example.com:0443/x",
        "https://user:password@api.example.com/x",
        "https://api.example.com?x=https://evil.example",
        "https://api.example.com#@evil.example",
    ],
)
def test_different_spellings_have_the_same_origin(url: str) -> None:
    assert origin_of(url) == origin_of(API) == Origin("https", "api.example.com", 443)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://api.example.com", id="scheme"),
        pytest.param("http://api.example.com:443", id="scheme, same port"),
        pytest.param("https://api.example.com:8443", id="port"),
        pytest.param("https://example.com", id="parent"),
        pytest.param("https://x.api.example.com", id="child"),
        pytest.param("https://api.example.com.evil.example", id="prefix"),
        pytest.param("https://evilapi.example.com", id="suffix"),
        pytest.param("https://api.example.com.", id="rooted name"),
        pytest.param("https://api.example.com@evil.example", id="as user"),
        pytest.param("https://api.example.com:443@evil.example", id="as user and password"),
        pytest.param("https://evil.example/api.example.com", id="as path"),
        pytest.param("https://evil.example?https://api.example.com", id="as query"),
        pytest.param("https://evil.example#https://api.example.com", id="as fragment"),
        pytest.param("https://evil.example/@api.example.com", id="behind a slash"),
        pytest.param("https://evil.example?@api.example.com", id="behind a question mark"),
        pytest.param("https://evil.example#@api.example.com", id="behind a hash"),
    ],
)
def test_similar_urls_have_different_origins(url: str) -> None:
    assert origin_of(url) != origin_of(API)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example.com",
        "//api.example.com/x",
        "https:",
        "https://",
        "https:///x",
        "https://:443",
        "https://user@",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://api.example.com:port",
        "https://api.example.com:65536",
        "https://api.example.com:-1",
        "https://api.example.com:0",  # requests and httpx connect to 443
        "https://api.example.com:00/x",
        "http://localhost:0",
        "https://[::1",
        "https://[nothing]",
        "https://api%2Eexample.com",
        "https://[fe80::1%25eth0]",
        "https://evil.example\\@api.example.com",
        "https://evil.example\\.api.example.com",
        f"https://{'a' * 64}ü.example",
    ],
)
def test_only_absolute_http_urls_have_an_origin(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        origin_of(text)


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://api.example.com", True),
        ("https://192.0.2.1:8443", True),
        ("http://localhost:8080", True),
        ("http://LOCALHOST", True),
        ("http://127.0.0.1", True),
        ("http://127.8.9.10:1", True),
        ("http://[::1]:8080", True),
        ("http://api.example.com", False),
        ("http://192.168.0.1", False),
        ("http://0.0.0.0", False),
        ("http://[::]", False),
        ("http://[2001:db8::1]", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://notlocalhost", False),
    ],
)
def test_only_https_and_loopback_are_secure(url: str, secure: bool) -> None:
    assert origin_of(url).secure is secure


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://API.example.com:443/x", "https://api.example.com"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("https://localhost:80", "https://localhost:80"),
        ("https://[::1]:443/x", "https://[::1]"),
        ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443"),
        ("https://bücher.example/x", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_written_in_its_shortest_form(url: str, text: str) -> None:
    assert str(origin_of(url)) == text
    assert origin_of(text) == origin_of(url)


@pytest.mark.parametrize("host", ["bücher.example", "BÜCHER.example", "例え.example"])
def test_an_international_name_is_the_host_that_the_http_libraries_call(host: str) -> None:
    url = f"https://{host}/"
    assert origin_of(url).host == httpx.URL(url).raw_host.decode() == parse_url(prepared(url)).host


@pytest.mark.parametrize("host", ["faß.example", "βόλος.example", "ａpi.example"])
def test_an_international_name_that_old_and_new_rules_encode_differently_is_rejected(
    host: str,
) -> None:
    # IDNA 2003 has fass.example for the first, today's rules have another host.
    with pytest.raises(ValueError, match=r"."):
        origin_of(f"https://{host}/")


# Independent parsers, and what they make of URLs that were put together from known parts.


@given(URLS)
def test_it_reads_urls_as_the_http_libraries_do(url: str) -> None:
    assert origin_of(url) == as_urllib3_reads_it(url)
    assert origin_of(url) == as_httpx_reads_it(httpx.URL(url))


@given(URLS, URLS)
def test_allowed_means_same_scheme_host_and_port(one: str, other: str) -> None:
    same = as_urllib3_reads_it(one) == as_urllib3_reads_it(other)
    assert (origin_of(one) == origin_of(other)) is same


@given(URLS)
def test_an_origin_with_its_default_port_is_the_same_origin(url: str) -> None:
    assert origin_of(str(origin_of(url))) == origin_of(url)


# Text that somebody has put together to be read in two ways.


@given(TRICKY)
@example("https://evil.example\\@api.example")
@example("https://evil.example\t@api.example")
@example("https://api.example\n.evil.example/")
def test_no_url_is_allowed_for_one_host_while_requests_calls_another(text: str) -> None:
    try:
        url = prepared(text)
        allowed = origin_of(url)
    except (requests.RequestException, ValueError):
        return  # not sent, or sent without a token
    assert allowed == as_urllib3_reads_it(url)


@given(TRICKY)
@example("https://evil.example\\@api.example")
@example("https://evil.example\t@api.example")
def test_no_option_allows_one_host_while_httpx_calls_another(text: str) -> None:
    try:
        allowed = origin_of(text)
        called = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return  # refused at construction, or not sent
    assert allowed == as_httpx_reads_it(called)
