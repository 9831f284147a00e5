"""Retries with requests have the settings of the call: streaming, timeout, TLS, proxy."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from requests.adapters import HTTPAdapter

from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

# A 401 after which a retry needs a connection of its own, and so the settings for making one.
REJECTED_AND_HUNG_UP: dict[str, Any] = {"status": 401, "headers": {"Connection": "close"}}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def auth_for(server: MediaHoundServer, **options: Any) -> MediaHoundAuth:
    return MediaHoundAuth(**{**server.credentials, **options})


@pytest.fixture
def auth(server: MediaHoundServer, session: requests.Session) -> MediaHoundAuth:
    """The session's auth, with a token that the API is going to reject."""
    session.auth = auth = auth_for(server)
    auth.token()
    server.revoke_tokens()
    return auth


def statuses(server: MediaHoundServer) -> list[int | None]:
    return [call.status for call in server.api_requests]


@pytest.mark.usefixtures("auth")
def test_the_response_to_a_retry_is_streamed_if_that_of_the_call_was_to_be(
    session: requests.Session, server: MediaHoundServer
) -> None:
    with session.get(f"{server.url}/stream?chunks=3", stream=True, timeout=10) as answer:
        assert not answer.raw.isclosed()
        assert list(answer.iter_lines()) == [b"chunk 0", b"chunk 1", b"chunk 2"]
    assert statuses(server) == [401, 200]


class AdapterThatKeepsTimeouts(HTTPAdapter):
    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[object] = []

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        self.timeouts.append(kwargs["timeout"])
        return super().send(*args, **kwargs)


@pytest.mark.usefixtures("auth")
def test_the_timeout_of_the_call_holds_for_the_retry(
    session: requests.Session, server: MediaHoundServer
) -> None:
    adapter = AdapterThatKeepsTimeouts()
    session.mount("http://", adapter)
    assert session.get(f"{server.url}/echo", timeout=(11, 12)).status_code == 200
    assert adapter.timeouts == [(11, 12), (11, 12)]
    assert statuses(server) == [401, 200]


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@pytest.fixture
def client_file(ca: trustme.CA, tmp_path: Path) -> str:
    pem = ca.issue_cert("client@example.org").private_key_and_cert_chain_pem
    pem.write_to_path(str(tmp_path / "client.pem"))
    return str(tmp_path / "client.pem")


@pytest.fixture
def handshakes() -> list[str]:
    """The names that were asked for at the beginning of each TLS connection to `tls_server`."""
    return []


@pytest.fixture
def tls_server(ca: trustme.CA, client_id: str, handshakes: list[str]) -> Iterator[MediaHoundServer]:
    """A server that demands certificates from its clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.sni_callback = lambda _, name, __: handshakes.append(name)
    with MediaHoundServer(client_id=client_id, ssl_context=context) as server:
        yield server


@pytest.fixture
def for_tokens(ca_file: str, client_file: str) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.verify, session.cert = ca_file, client_file
        yield session


@pytest.mark.parametrize("whose", ["session", "call"])
def test_a_retry_keeps_the_ca_and_the_client_certificate(
    whose: str,
    session: requests.Session,
    for_tokens: requests.Session,
    tls_server: MediaHoundServer,
    ca_file: str,
    client_file: str,
) -> None:
    auth = auth_for(tls_server, session=for_tokens)
    auth.token()
    tls_server.revoke_tokens()
    tls_server.respond_to_api_requests(1, **REJECTED_AND_HUNG_UP)
    settings: Mapping[str, Any] = {"verify": ca_file, "cert": client_file}
    if whose == "session":
        session.verify, session.cert = ca_file, client_file
        settings = {}
    answer = session.get(f"{tls_server.url}/echo", auth=auth, timeout=10, **settings)
    assert answer.status_code == 200
    assert statuses(tls_server) == [401, 200]


@pytest.mark.parametrize("stream", [False, True], ids=["read at once", "streamed"])
def test_a_retry_reuses_the_connection(
    stream: bool,
    session: requests.Session,
    for_tokens: requests.Session,
    tls_server: MediaHoundServer,
    handshakes: list[str],
    ca_file: str,
    client_file: str,
) -> None:
    session.verify, session.cert = ca_file, client_file
    session.auth = auth = auth_for(tls_server, session=for_tokens)
    prepared = session.prepare_request(requests.Request("GET", f"{tls_server.url}/echo"))
    tls_server.revoke_tokens()
    auth.renew()  # so that the retry needs no token request, and so no other connection
    handshakes.clear()
    with session.send(prepared, stream=stream, timeout=10) as answer:
        assert answer.json()["method"] == "GET"
    assert statuses(tls_server) == [401, 200]
    assert handshakes == ["localhost"]


@pytest.mark.parametrize("whose", ["session", "call", "environment"])
def test_a_retry_goes_through_the_same_proxy(
    whose: str,
    session: requests.Session,
    server: MediaHoundServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origin = "http://localhost:9"  # nobody there: what arrives has come through the proxy
    auth = auth_for(server, origins=[origin])
    auth.token()
    server.revoke_tokens()
    server.respond_to_api_requests(1, **REJECTED_AND_HUNG_UP)
    # The server is its own proxy: it answers paths, whatever host comes before them.
    proxies = {"http": server.url}
    if whose == "environment":
        session.trust_env = True
        monkeypatch.setenv("http_proxy", server.url)
    elif whose == "session":
        session.proxies = proxies
    settings: Mapping[str, Any] = {"proxies": proxies} if whose == "call" else {}
    answer = session.get(f"{origin}/echo", auth=auth, timeout=10, **settings)
    assert answer.status_code == 200
    assert [call.path for call in server.api_requests] == [f"{origin}/echo"] * 2
    assert statuses(server) == [401, 200]


class AdapterWithoutConnection(HTTPAdapter):
    """Makes responses as caches and test doubles do, which know no connection."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(*args, **kwargs)
        del response.connection
        return response


@pytest.mark.usefixtures("auth")
def test_a_response_without_a_connection_is_the_caller_s_and_the_next_call_has_the_new_token(
    session: requests.Session, server: MediaHoundServer
) -> None:
    session.mount("http://", AdapterWithoutConnection())
    assert session.get(f"{server.url}/echo", timeout=10).status_code == 401
    assert session.get(f"{server.url}/echo", timeout=10).status_code == 200
    assert statuses(server) == [401, 200]
    assert len(server.token_requests) == 2
