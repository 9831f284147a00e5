"""Proxies in front of the API and of the token endpoint."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest
from libraries import SYNC, Library
from proxy import Proxy

from mediahound_auth import TokenEndpointUnavailable, TokenRequestError
from mediahound_auth.testing import MediaHoundServer, static_auth

PLENTY = 20.0  # seconds
ANYWHERE = pytest.mark.parametrize("given_by", ["argument", "environment"])


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


def call(
    library: Library,
    server: MediaHoundServer,
    ca_file: str,
    proxy: str | None,
    auth: Any = None,
) -> int:
    """The status of a call to the API, the token request going the same way as the call.

    With `auth`, nothing of ours takes part.
    """
    url = f"{server.url}/1.3/search/all/Gladiator"
    settings: dict[str, Any] = {"verify": ca_file, "proxy": proxy}
    with library.own(**settings) as own:
        auth = auth or library.auth(server, timeout=PLENTY, **own)
        return int(library.get(url, auth, **settings).status_code)


@ANYWHERE
def test_token_requests_and_calls_go_through_a_tunnel_that_shows_the_proxy_nothing(
    given_by: str,
    library: Library,
    tls_server: MediaHoundServer,
    proxy: Proxy,
    ca_file: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy.password = "user:word"
    url = f"http://user:word@{proxy.address}"
    if given_by == "environment":
        monkeypatch.setenv("https_proxy", url)
    given = url if given_by == "argument" else None
    assert call(library, tls_server, ca_file, given) == 200
    assert proxy.heads
    assert all(head.startswith(b"CONNECT localhost:") for head in proxy.heads)
    [token_request], [api_call] = tls_server.token_requests, tls_server.api_requests
    for request in (token_request, api_call):
        assert "Proxy-Authorization" not in request.headers
        credential = str(request.headers["Authorization"]).split()[1]
        assert credential.encode() not in proxy.read
    assert tls_server.client_secret.encode() not in proxy.read


@ANYWHERE
def test_over_http_token_requests_and_calls_are_forwarded(
    given_by: str,
    library: Library,
    server: MediaHoundServer,
    proxy: Proxy,
    ca_file: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if given_by == "environment":
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    given = f"http://{proxy.address}" if given_by == "argument" else None
    assert call(library, server, ca_file, given) == 200
    assert [head.split()[1].decode() for head in proxy.heads] == [
        server.token_url,
        f"{server.url}/1.3/search/all/Gladiator",
    ]
    assert (len(server.token_requests), len(server.api_requests)) == (1, 1)


@pytest.mark.parametrize("status", [b"407 Who are you", b"403 Not you, pa55word"])
def test_a_tunnel_that_is_rejected_with_a_4xx_is_reported_after_one_attempt(
    library: Library, tls_server: MediaHoundServer, proxy: Proxy, ca_file: str, status: bytes
) -> None:
    proxy.refusals = [status] * 20
    url = f"http://user:pa55word@{proxy.address}"
    with pytest.raises(TokenEndpointUnavailable, match=f"proxy.* {status[:3].decode()}") as caught:
        call(library, tls_server, ca_file, url)
    assert len(proxy.heads) == 1
    assert "pa55word" not in f"{caught.value} {caught.value.__cause__!r}"
    assert isinstance(caught.value, library.error)
    assert type(caught.value.__cause__).__name__ == "ProxyError"
    assert isinstance(caught.value.__cause__, library.error)
    assert tls_server.token_requests == []


@pytest.mark.parametrize("status", [b"502 Bad Gateway", b"503 Busy", b"429 Slowly"])
def test_a_tunnel_that_is_rejected_once_costs_another_attempt_and_no_call(
    library: Library, tls_server: MediaHoundServer, proxy: Proxy, ca_file: str, status: bytes
) -> None:
    proxy.refusals = [status]
    assert call(library, tls_server, ca_file, f"http://{proxy.address}") == 200
    assert len(tls_server.token_requests) == 1


def test_over_http_a_407_for_the_token_request_is_reported(
    library: Library, server: MediaHoundServer, proxy: Proxy, ca_file: str
) -> None:
    proxy.password = "user:word"
    with pytest.raises(TokenRequestError, match="407") as caught:
        call(library, server, ca_file, f"http://user:pa55word@{proxy.address}")
    assert caught.value.status == 407
    assert "pa55word" not in f"{caught.value} {caught.value.__cause__!r}"
    assert len(proxy.heads) == 1
    assert server.token_requests == []


@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
def test_a_call_that_a_proxy_rejects_ends_as_with_a_static_header(
    library: Library, tls: bool, tls_server: MediaHoundServer, proxy: Proxy, ca_file: str
) -> None:
    with MediaHoundServer(client_id=tls_server.client_id) as plain:
        server = tls_server if tls else plain
        with library.own(verify=ca_file) as own:
            auth = library.auth(server, timeout=PLENTY, **own)
            token = auth.token()
            url = f"http://{proxy.address}"
            outcomes = []
            for one in (static_auth(token.access_token), auth):
                proxy.refusals = [b"407 Proxy Authentication Required"]
                outcomes.append(outcome(library, server, ca_file, url, one))
            assert outcomes[0] == outcomes[1]
            assert call(library, server, ca_file, url, auth) == 200
            assert auth.token() == token
        assert len(server.token_requests) == 1


def outcome(
    library: Library, server: MediaHoundServer, ca_file: str, proxy: str, auth: Any
) -> int | type[Exception]:
    try:
        return call(library, server, ca_file, proxy, auth)
    except library.error as error:
        return type(error)


@pytest.mark.parametrize("library", SYNC, indirect=True, ids=str)
def test_a_short_network_failure_costs_another_attempt_and_no_call(
    library: Library, server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = library.sending
    send, attempts = getattr(owner, name), []

    def down_at_first(*args: Any, **options: Any) -> Any:
        attempts.append(1)
        if len(attempts) > 1:
            return send(*args, **options)
        try:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        except OSError as error:
            raise library.connection_error(str(error)) from error

    monkeypatch.setattr(owner, name, down_at_first)
    with library.own() as own:
        assert library.auth(server, timeout=PLENTY, **own).token().access_token
    assert len(attempts) == 2
    assert len(server.token_requests) == 1
