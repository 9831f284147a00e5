"""TLS at the token endpoint and at the API."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
import trustme
from libraries import Library

from mediahound_auth import MediaHoundAuthError, TokenEndpointUnavailable
from mediahound_auth.testing import MediaHoundServer

Start = Callable[..., MediaHoundServer]
NOW, DAY = datetime.datetime.now(datetime.UTC), datetime.timedelta(1)
CERTIFICATES: dict[str, dict[str, Any]] = {
    "wrong host": {"name": "elsewhere.example"},
    "expired": {
        "not_before": NOW - datetime.timedelta(3),
        "not_after": NOW - datetime.timedelta(1),
    },
    "unknown CA": {},
}
WHY = {"wrong host": "localhost", "expired": "expired", "unknown CA": "certificate"}


@pytest.fixture
def start(client_id: str) -> Iterator[Start]:
    """Starts a server, with TLS if there is a CA."""
    with ExitStack() as stack:

        def start(ca: trustme.CA | None, name: str = "localhost", **life: Any) -> MediaHoundServer:
            context = None
            if ca is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                ca.issue_cert(name, **life).configure_cert(context)
            server = MediaHoundServer(client_id=client_id, ssl_context=context)
            return stack.enter_context(server)

        yield start


def call(
    library: Library,
    ca_file: str,
    endpoint: MediaHoundServer,
    api: MediaHoundServer,
    client_file: str | None = None,
) -> int:
    """The status of a call to `api`, with a token from `endpoint`, trusting the CA in `ca_file`.

    `client_file` is the client's own certificate, for both.
    """
    url = f"{api.url}/1.3/search/all/Gladiator"
    settings: dict[str, Any] = {"verify": ca_file, "cert": client_file}
    with library.own(**settings) as own:
        auth = library.auth(endpoint, origins=[api.url], timeout=5, **own)
        return int(library.get(url, auth, **settings).status_code)


def is_live(endpoint: MediaHoundServer, ca_file: str, authorization: str) -> bool:
    """Whether the token in `authorization` is one of `endpoint`'s."""
    url, headers = f"{endpoint.url}/status/200", {"Authorization": authorization}
    return requests.get(url, headers=headers, verify=ca_file, timeout=20).status_code == 200


@pytest.mark.parametrize("where", ["both", "token endpoint", "API"])
def test_tls_at_both_or_at_one_of_them(
    library: Library, start: Start, ca: trustme.CA, ca_file: str, where: str
) -> None:
    endpoint = start(ca if where != "API" else None)
    api = endpoint if where == "both" else start(ca if where == "API" else None)
    if api is not endpoint:
        api.respond_to_api_requests(1, status=200)  # it does not know the token of another server
    assert call(library, ca_file, endpoint, api) == 200
    assert len(endpoint.token_requests) == 1
    [arrived] = api.api_requests
    assert is_live(endpoint, ca_file, arrived.headers["Authorization"])


@pytest.mark.parametrize("wrong", CERTIFICATES)
def test_an_endpoint_with_an_untrusted_certificate_gets_no_secret_and_one_attempt(
    library: Library, start: Start, ca: trustme.CA, ca_file: str, wrong: str
) -> None:
    endpoint = start(trustme.CA() if wrong == "unknown CA" else ca, **CERTIFICATES[wrong])
    with pytest.raises(TokenEndpointUnavailable, match=WHY[wrong]) as caught:
        call(library, ca_file, endpoint, endpoint)
    assert caught.value.retryable is False
    assert endpoint.token_requests == []
    assert isinstance(caught.value, library.error)


@pytest.mark.parametrize("wrong", CERTIFICATES)
def test_an_api_with_an_untrusted_certificate_gets_no_token_and_raises_the_librarys_error(
    library: Library, start: Start, ca: trustme.CA, ca_file: str, wrong: str
) -> None:
    endpoint = start(ca)
    api = start(trustme.CA() if wrong == "unknown CA" else ca, **CERTIFICATES[wrong])
    error = requests.exceptions.SSLError if library.is_requests else library.connection_error
    with pytest.raises(error):
        call(library, ca_file, endpoint, api)
    assert api.api_requests == []
    assert len(endpoint.token_requests) == 1


def test_mutual_tls_at_both_needs_nothing_but_the_caller_s_own_session_or_client(
    library: Library, client_id: str, ca: trustme.CA, ca_file: str, client_file: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with MediaHoundServer(client_id=client_id, ssl_context=context) as server:
        assert call(library, ca_file, server, server, client_file) == 200
        assert (len(server.token_requests), len(server.api_requests)) == (1, 1)


def test_a_missing_client_certificate_at_the_api_raises_the_librarys_error(
    library: Library, start: Start, client_id: str, ca: trustme.CA, ca_file: str
) -> None:
    endpoint = start(ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with MediaHoundServer(client_id=client_id, ssl_context=context) as api:
        # On asyncio, httpx lets this one of ssl's own errors through.
        with pytest.raises((OSError, library.error)) as caught:
            call(library, ca_file, endpoint, api)
        assert not isinstance(caught.value, MediaHoundAuthError)
        assert api.api_requests == []
    assert len(endpoint.token_requests) == 1
