"""What is sent with a token, whatever the URL: the same scheme, host and port, as others read them.

The auth objects have short ways for the origins that are allowed, and those are asked here, too:
each decides about a request as its library prepared it. The parsers are urllib3's and httpx's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from libraries import REQUESTS, SYNC, Library
from urls import TRICKY, URLS, as_httpx_reads_it, as_urllib3_reads_it, prepared

import mediahound_auth.httpx
import mediahound_auth.requests
from mediahound_auth import ConfigurationError
from mediahound_auth.testing import MediaHoundServer

pytestmark = pytest.mark.once

Place = tuple[str, str, int]
# Whether a URL is sent with a token, and where to; None if the library does not send it at all.
Decision = Callable[[str, str], tuple[bool, Place] | None]


def by_requests(server: MediaHoundServer) -> Decision:
    def decide(origin: str, url: str) -> tuple[bool, Place] | None:
        auth = REQUESTS.auth(server, origins=[origin])
        try:
            sent = requests.Request("GET", url, auth=auth).prepare()
        except requests.RequestException:
            return None
        return "Authorization" in sent.headers, as_urllib3_reads_it(str(sent.url))

    return decide


def by_httpx(server: MediaHoundServer, library: Library) -> Decision:
    def decide(origin: str, url: str) -> tuple[bool, Place] | None:
        try:
            request = library.module.Request("GET", url)
        # idna's error for https://xn-- is a ValueError.
        except (library.module.InvalidURL, ValueError):
            return None
        flow = library.auth(server, origins=[origin]).sync_auth_flow(request)
        carried = "Authorization" in next(flow).headers
        flow.close()
        if request.url.scheme not in ("http", "https") or not request.url.raw_host:
            assert not carried
            return None
        return carried, as_httpx_reads_it(request.url)

    return decide


@pytest.fixture(params=SYNC, ids=str)
def decision(request: pytest.FixtureRequest, server: MediaHoundServer) -> Decision:
    library: Library = request.param
    return by_requests(server) if library.is_requests else by_httpx(server, library)


def origin_in(url: str) -> str:
    """The origin of a URL from test_origins.py, as `origins=` takes it: https, and nothing else."""
    _, host, port = as_urllib3_reads_it(prepared(url))  # http is refused but to this machine
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


WITHOUT_LIMITS = settings(suppress_health_check=list(HealthCheck))


@WITHOUT_LIMITS
@given(allowed=URLS, url=URLS)
@example(allowed="https://one.example", url="https://ONE.example:443/x/@two.example")
@example(allowed="https://one.example:80", url="http://one.example")
@example(allowed="https://one.example:8443", url="https://one.example:8443")
@example(allowed="https://[::1]", url="https://[::1]:443/x")
def test_a_token_is_sent_to_the_same_scheme_host_and_port_only(
    decision: Decision, allowed: str, url: str
) -> None:
    origin = origin_in(allowed)
    for asked in (url, origin, f"{origin}/x"):
        decided = decision(origin, asked)
        if decided is not None:
            carried, place = decided
            assert carried is (place == as_urllib3_reads_it(origin)), (origin, asked)


@pytest.mark.parametrize("url", ["https://one.example:0/x", "https://one.example:00/x"])
def test_no_token_goes_to_port_0_which_libraries_take_for_the_default(
    decision: Decision, url: str
) -> None:
    decided = decision("https://one.example", url)
    assert decided is not None
    carried, place = decided
    # requests itself takes the 0 away, before it asks its auth.
    assert carried is (place == ("https", "one.example", 443))


@pytest.mark.parametrize("option", ["token_url", "origins"])
@pytest.mark.parametrize("auth_module", [mediahound_auth.requests, mediahound_auth.httpx])
def test_port_0_is_rejected_in_every_option_that_names_an_origin(
    auth_module: Any, option: str
) -> None:
    url = "https://one.example:0"
    value: Any = [url] if option == "origins" else f"{url}/token"
    with pytest.raises(ConfigurationError, match=option):
        auth_module.MediaHoundAuth("id", "secret", **{option: value})


@WITHOUT_LIMITS
@given(url=TRICKY)
@example(url="https://evil.example\\@api.example")
@example(url="https://evil.example\t@api.example")
@example(url="https://api.example@evil.example/")
def test_no_text_sends_a_token_to_a_host_that_was_not_allowed(decision: Decision, url: str) -> None:
    decided = decision("https://api.example", url)
    if decided is not None:
        carried, place = decided
        assert not carried or place == ("https", "api.example", 443)
