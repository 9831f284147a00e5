"""Proxies between us and both servers: what they read, and what is said when they refuse."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import trustme
from proxy import Proxy

from mediahound_auth import TokenEndpointUnavailable, TokenRequestError
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer, static_auth

PLENTY = 20.0  # seconds
ANYWHERE = pytest.mark.parametrize("given_by", ["argument", "environment"])


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@pytest.fixture
def tls_server(client_id: str, ca: trustme.CA) -> Iterator[MediaHoundServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    with MediaHoundServer(client_id=client_id, ssl_context=context) as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


@pytest.fixture(params=["requests", "httpx", "async httpx"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def call(
    library: str, server: MediaHoundServer, ca_file: str, proxy: str | None, auth: Any = None
) -> int:
    """The status of a call to the API, the token request going the same way as the call.

    With `auth`, nothing of ours takes part.
    """
    url = f"{server.url}/1.3/search/all/Gladiator"
    if library == "requests":
        with requests.Session() as session:
            session.verify = ca_file
            session.proxies = {"http": proxy, "https": proxy} if proxy else {}
            options: dict[str, Any] = {**server.credentials, "timeout": PLENTY}
            session.auth = auth or RequestsAuth(**options, session=session)
            return session.get(url, timeout=PLENTY).status_code
    context = ssl.create_default_context(cafile=ca_file)
    with httpx.Client(verify=context, proxy=proxy) as client:
        auth = auth or HttpxAuth(**server.credentials, timeout=PLENTY, client=client)
        if library == "httpx":
            return client.get(url, auth=auth).status_code

        async def main() -> int:
            async with httpx.AsyncClient(verify=context, proxy=proxy, auth=auth) as client:
                return (await client.get(url)).status_code

        return asyncio.run(main())


@ANYWHERE
def test_token_requests_and_calls_go_through_a_tunnel_that_shows_the_proxy_nothing(
    given_by: str,
    library: str,
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
    library: str,
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
def test_a_tunnel_that_is_refused_for_good_is_told_by_its_status_after_one_attempt(
    library: str, tls_server: MediaHoundServer, proxy: Proxy, ca_file: str, status: bytes
) -> None:
    proxy.refusals = [status] * 20
    url = f"http://user:pa55word@{proxy.address}"
    with pytest.raises(TokenEndpointUnavailable, match=f"proxy.* {status[:3].decode()}") as caught:
        call(library, tls_server, ca_file, url)
    assert len(proxy.heads) == 1
    assert "pa55word" not in f"{caught.value} {caught.value.__cause__!r}"
    base = requests.RequestException if library == "requests" else httpx.RequestError
    assert isinstance(caught.value, base)
    assert isinstance(caught.value.__cause__, requests.exceptions.ProxyError | httpx.ProxyError)
    assert tls_server.token_requests == []


@pytest.mark.parametrize("status", [b"502 Bad Gateway", b"503 Busy", b"429 Slowly"])
def test_a_tunnel_that_is_refused_for_a_moment_costs_another_attempt_and_no_call(
    library: str, tls_server: MediaHoundServer, proxy: Proxy, ca_file: str, status: bytes
) -> None:
    proxy.refusals = [status]
    assert call(library, tls_server, ca_file, f"http://{proxy.address}") == 200
    assert len(tls_server.token_requests) == 1


def test_over_http_a_407_for_the_token_request_is_told(
    library: str, server: MediaHoundServer, proxy: Proxy, ca_file: str
) -> None:
    proxy.password = "user:word"
    with pytest.raises(TokenRequestError, match="407") as caught:
        call(library, server, ca_file, f"http://user:pa55word@{proxy.address}")
    assert caught.value.status == 407
    assert "pa55word" not in f"{caught.value} {caught.value.__cause__!r}"
    assert len(proxy.heads) == 1
    assert server.token_requests == []


@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
def test_a_call_that_a_proxy_refuses_ends_as_it_would_without_us(
    library: str, tls: bool, tls_server: MediaHoundServer, proxy: Proxy, ca_file: str
) -> None:
    with MediaHoundServer(client_id=tls_server.client_id) as plain:
        server = tls_server if tls else plain
        kind = RequestsAuth if library == "requests" else HttpxAuth
        with (
            requests.Session() as session,
            httpx.Client(verify=ssl.create_default_context(cafile=ca_file)) as client,
        ):
            session.verify = ca_file
            own: Any = {"session": session} if kind is RequestsAuth else {"client": client}
            auth = kind(**server.credentials, **own, timeout=PLENTY)
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
    library: str, server: MediaHoundServer, ca_file: str, proxy: str, auth: Any
) -> int | type[Exception]:
    try:
        return call(library, server, ca_file, proxy, auth)
    except (requests.RequestException, httpx.RequestError) as error:
        return type(error)


class CutOff(requests.adapters.HTTPAdapter, httpx.HTTPTransport):
    """The way of a machine whose network is down the first time; one for either library."""

    def __init__(self) -> None:
        requests.adapters.HTTPAdapter.__init__(self)
        httpx.HTTPTransport.__init__(self)
        self.attempts = 0

    def _first_time(self, kind: type[Exception]) -> None:
        self.attempts += 1
        if self.attempts == 1:
            try:
                raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
            except OSError as error:
                raise kind(str(error)) from error

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        self._first_time(requests.ConnectionError)
        return super().send(*args, **kwargs)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._first_time(httpx.ConnectError)
        return super().handle_request(request)


@pytest.mark.parametrize("kind", [RequestsAuth, HttpxAuth])
def test_a_network_that_is_down_for_a_moment_costs_another_attempt_and_no_call(
    kind: type[RequestsAuth | HttpxAuth], server: MediaHoundServer
) -> None:
    way = CutOff()
    with requests.Session() as session, httpx.Client(transport=way) as client:
        session.mount("http://", way)
        own: Any = {"session": session} if kind is RequestsAuth else {"client": client}
        assert kind(**server.credentials, **own, timeout=PLENTY).token().access_token
    assert way.attempts == 2
    assert len(server.token_requests) == 1
