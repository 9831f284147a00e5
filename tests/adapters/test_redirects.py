"""Redirects: which requests carry the token."""

from __future__ import annotations

from typing import Any

import pytest
from libraries import Library

from mediahound_auth.testing import MediaHoundServer


class Client:
    """A client of `server`, made of one of the libraries. Its objects share one token."""

    def __init__(self, library: Library, server: MediaHoundServer) -> None:
        self._library = library
        self._server = server

    def get(self, url: str, **options: Any) -> int:
        auth = self._library.auth(self._server, **options)
        return int(self._library.get(url, auth).status_code)

    def post(self, url: str, body: bytes) -> int:
        auth = self._library.auth(self._server)
        return int(self._library.post(url, body, auth).status_code)


@pytest.fixture
def client(library: Library, server: MediaHoundServer) -> Client:
    return Client(library, server)


def authorizations(server: MediaHoundServer) -> list[str | None]:
    return [call.headers["Authorization"] for call in server.api_requests]


def calls(server: MediaHoundServer) -> list[tuple[str, int | None]]:
    return [(call.method, call.status) for call in server.api_requests]


def redirect_next_call(server: MediaHoundServer, to: str, status: int = 302) -> None:
    """Whatever token it carries."""
    server.respond_to_api_requests(1, status=status, headers={"Location": to})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_origin_keeps_the_token(
    status: int, client: Client, server: MediaHoundServer
) -> None:
    assert client.get(f"{server.url}/redirect?to=/echo&status={status}") == 200
    first, second = authorizations(server)
    assert first == second
    assert first is not None
    assert len(server.token_requests) == 1


def test_a_redirect_to_another_origin_loses_the_token_and_its_401_causes_no_renewal(
    client: Client, server: MediaHoundServer, elsewhere: MediaHoundServer
) -> None:
    assert client.get(f"{server.url}/redirect?to={elsewhere.url}/echo") == 401
    assert authorizations(elsewhere) == [None]
    assert (len(server.token_requests), len(elsewhere.token_requests)) == (1, 0)
    assert len(server.api_requests) == 1


def test_another_host_name_of_the_same_machine_is_another_origin(
    client: Client, server: MediaHoundServer
) -> None:
    by_name = server.url.replace("127.0.0.1", "localhost")
    assert client.get(f"{server.url}/redirect?to={by_name}/echo") == 401
    first, second = authorizations(server)
    assert first is not None
    assert second is None
    assert len(server.token_requests) == 1


def test_a_redirect_takes_the_token_to_no_other_origin_not_even_an_allowed_one(
    client: Client, server: MediaHoundServer, elsewhere: MediaHoundServer
) -> None:
    url = f"{server.url}/redirect?to={elsewhere.url}/echo"
    assert client.get(url, origins=[elsewhere.url]) == 401
    assert authorizations(elsewhere) == [None]
    assert (len(server.token_requests), len(elsewhere.token_requests)) == (1, 0)


def test_a_token_that_a_redirect_removed_is_not_added_again(
    client: Client, server: MediaHoundServer, elsewhere: MediaHoundServer
) -> None:
    redirect_next_call(elsewhere, f"{server.url}/echo")
    assert client.get(f"{server.url}/redirect?to={elsewhere.url}/there-and-back") == 401
    first, second = authorizations(server)
    assert first is not None
    assert second is None
    assert authorizations(elsewhere) == [None]
    assert len(server.token_requests) == 1


def test_a_redirect_from_another_origin_into_the_api_gets_no_token(
    client: Client, server: MediaHoundServer, elsewhere: MediaHoundServer
) -> None:
    redirect_next_call(elsewhere, f"{server.url}/echo")
    assert client.get(f"{elsewhere.url}/trap") == 401
    assert authorizations(elsewhere) == [None]
    assert authorizations(server) == [None]
    assert server.token_requests == []


@pytest.fixture
def rejected(client: Client, server: MediaHoundServer) -> str:
    """The token that the clients have, and that the API does not accept any more."""
    assert client.get(f"{server.url}/echo") == 200
    [authorization] = authorizations(server)
    assert authorization is not None
    server.revoke_tokens()
    server.api_requests.clear()
    return authorization


def test_a_401_after_a_redirect_is_repaired_there(
    rejected: str, client: Client, server: MediaHoundServer
) -> None:
    redirect_next_call(server, "/echo?a=b")
    assert client.get(f"{server.url}/moved") == 200
    assert calls(server) == [("GET", 302), ("GET", 401), ("GET", 200)]
    assert [call.path for call in server.api_requests] == ["/moved", "/echo?a=b", "/echo?a=b"]
    *old, new = authorizations(server)
    assert old == [rejected, rejected]
    assert new not in (None, rejected)
    assert len(server.token_requests) == 2


def test_a_redirect_after_a_retry_carries_the_new_token(
    rejected: str, client: Client, server: MediaHoundServer
) -> None:
    assert client.get(f"{server.url}/redirect?to=/echo") == 200
    assert calls(server) == [("GET", 401), ("GET", 302), ("GET", 200)]
    old, *new = authorizations(server)
    assert old == rejected
    assert new[0] == new[1] != rejected
    assert len(server.token_requests) == 2


@pytest.mark.usefixtures("rejected")
@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_post_that_a_redirect_turned_into_a_get_is_retried_as_a_get(
    status: int, client: Client, server: MediaHoundServer
) -> None:
    redirect_next_call(server, "/echo", status)
    assert client.post(f"{server.url}/order", b"one of these") == 200
    assert calls(server) == [("POST", status), ("GET", 401), ("GET", 200)]
    assert [call.body for call in server.api_requests] == [b"one of these", b"", b""]
    assert len(server.token_requests) == 2


@pytest.mark.usefixtures("rejected")
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirected_post_is_retried_with_its_body(
    status: int, client: Client, server: MediaHoundServer
) -> None:
    redirect_next_call(server, "/echo", status)
    assert client.post(f"{server.url}/order", b"one of these") == 200
    assert calls(server) == [("POST", status), ("POST", 401), ("POST", 200)]
    assert {call.body for call in server.api_requests} == {b"one of these"}
    assert len(server.token_requests) == 2


def test_a_redirect_of_a_retry_to_another_origin_loses_the_new_token_too(
    rejected: str, client: Client, server: MediaHoundServer, elsewhere: MediaHoundServer
) -> None:
    assert client.get(f"{server.url}/redirect?to={elsewhere.url}/echo") == 401
    assert calls(server) == [("GET", 401), ("GET", 302)]
    assert rejected not in authorizations(server)[1:]
    assert authorizations(elsewhere) == [None]
    assert (len(server.token_requests), len(elsewhere.token_requests)) == (2, 0)
