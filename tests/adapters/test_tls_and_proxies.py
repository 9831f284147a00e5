"""TLS and proxies of token requests, set by session=, client= or the environment."""

from __future__ import annotations

import base64
import datetime
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trustme
from libraries import Library
from proxy import Proxy

from mediahound_auth import MemoryStore, Token, TokenEndpointUnavailable
from mediahound_auth.testing import MediaHoundServer

NOBODY_THERE = "http://127.0.0.1:9"


class TLS(ssl.SSLContext):
    """A server's context that counts the connections on which a client has begun to speak TLS."""

    def __new__(cls, certificate: trustme.LeafCert) -> TLS:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context.hellos = 0
        certificate.configure_cert(context)
        context.sni_callback = context.count
        return context

    def __init__(self, certificate: trustme.LeafCert) -> None:
        """See __new__."""

    hellos: int

    def count(self, *_: object) -> None:
        self.hellos += 1


@pytest.fixture
def tls(ca: trustme.CA) -> TLS:
    return TLS(ca.issue_cert("localhost"))


@pytest.fixture
def server(client_id: str, tls: TLS) -> Iterator[MediaHoundServer]:
    with MediaHoundServer(client_id=client_id, ssl_context=tls) as server:
        yield server


GetToken = Callable[..., Token]


@pytest.fixture
def get_token(library: Library) -> Iterator[GetToken]:
    """Gets a token from a server, with this library's way of setting TLS and proxies up."""
    with ExitStack() as cleanup:

        def get_token(
            server: MediaHoundServer,
            *,
            ca_file: str | None = None,
            client_file: str | None = None,
            proxy: str | None = None,
            **options: Any,
        ) -> Token:
            if ca_file or proxy:
                own = library.own(verify=ca_file, cert=client_file, proxy=proxy)
                options |= cleanup.enter_context(own)
            return library.token(library.auth(server, **options))

        yield get_token


@pytest.mark.parametrize("untrusted", ["unknown CA", "another host's", "expired"])
def test_a_certificate_that_is_not_trusted_is_reported_after_one_attempt(
    untrusted: str,
    library: Library,
    get_token: GetToken,
    ca: trustme.CA,
    ca_file: str,
    client_id: str,
) -> None:
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    certificates: dict[str, Callable[[], trustme.LeafCert]] = {
        "unknown CA": lambda: trustme.CA().issue_cert("localhost"),
        "another host's": lambda: ca.issue_cert("elsewhere.example"),
        "expired": lambda: ca.issue_cert("localhost", not_after=long_ago),
    }
    tls = TLS(certificates[untrusted]())
    with MediaHoundServer(client_id=client_id, ssl_context=tls) as server:
        with pytest.raises(TokenEndpointUnavailable, match="certificate") as caught:
            get_token(server, ca_file=ca_file)
        assert server.token_requests == []
    assert isinstance(caught.value.__cause__, library.error)
    assert tls.hellos == 1


def test_without_a_ca_of_its_own_the_token_request_trusts_none_but_the_public_ones(
    get_token: GetToken, server: MediaHoundServer, tls: TLS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(TokenEndpointUnavailable, match="certificate"):
        get_token(server)
    assert tls.hellos == 1


def test_session_and_client_bring_the_ca(
    get_token: GetToken, server: MediaHoundServer, ca_file: str
) -> None:
    assert get_token(server, ca_file=ca_file).access_token
    assert len(server.token_requests) == 1


def test_the_environment_brings_the_ca(
    library: Library,
    get_token: GetToken,
    server: MediaHoundServer,
    ca_file: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variable = "REQUESTS_CA_BUNDLE" if library.is_requests else "SSL_CERT_FILE"
    monkeypatch.setenv(variable, ca_file)
    assert get_token(server).access_token
    assert len(server.token_requests) == 1


def test_session_and_client_bring_the_client_certificate(
    get_token: GetToken,
    ca: trustme.CA,
    tls: TLS,
    server: MediaHoundServer,
    ca_file: str,
    client_file: str,
) -> None:
    ca.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    with pytest.raises(TokenEndpointUnavailable):
        get_token(server, ca_file=ca_file, timeout=0.3, store=MemoryStore())
    assert server.token_requests == []
    assert get_token(server, ca_file=ca_file, client_file=client_file).access_token
    assert len(server.token_requests) == 1


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


@pytest.mark.parametrize("given_by", ["argument", "environment"])
def test_a_proxy_tunnels_the_token_request_and_reads_none_of_it(
    given_by: str,
    get_token: GetToken,
    server: MediaHoundServer,
    proxy: Proxy,
    ca_file: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"http://user:word@{proxy.address}"
    if given_by == "environment":
        monkeypatch.setenv("https_proxy", url)
    get_token(server, ca_file=ca_file, proxy=url if given_by == "argument" else None)
    [head] = proxy.heads
    assert head.startswith(f"CONNECT {server.url.removeprefix('https://')} HTTP".encode())
    for_proxy = b"Proxy-Authorization: Basic " + base64.b64encode(b"user:word")
    assert [line for line in head.split(b"\r\n") if b"Basic" in line] == [for_proxy]
    [request] = server.token_requests
    assert "Proxy-Authorization" not in request.headers


@pytest.mark.parametrize("given_by", ["argument", "environment"])
def test_a_proxy_for_http_gets_the_token_request(
    given_by: str, get_token: GetToken, client_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server is its own proxy: it answers paths, whatever host comes before them.
    with MediaHoundServer(client_id=client_id) as server:
        if given_by == "environment":
            monkeypatch.setenv("http_proxy", server.url)
        get_token(
            server,
            proxy=server.url if given_by == "argument" else None,
            token_url=server.token_url.replace(server.url, NOBODY_THERE),
        )
        [request] = server.token_requests
        assert request.path == server.token_url.replace(server.url, NOBODY_THERE)


def test_no_proxy_in_the_environment_is_respected(
    get_token: GetToken, server: MediaHoundServer, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", NOBODY_THERE)
    monkeypatch.setenv("no_proxy", "localhost")
    assert get_token(server, ca_file=ca_file).access_token


def test_a_proxy_that_is_down_is_not_bypassed_and_its_password_not_shown(
    get_token: GetToken, server: MediaHoundServer, tls: TLS, ca_file: str
) -> None:
    proxy = NOBODY_THERE.replace("//", "//user:pa55word@")
    with pytest.raises(TokenEndpointUnavailable) as caught:
        get_token(server, ca_file=ca_file, proxy=proxy, timeout=0.3)
    assert tls.hellos == 0
    assert "pa55word" not in f"{caught.value} {caught.value.__cause__!r}"
