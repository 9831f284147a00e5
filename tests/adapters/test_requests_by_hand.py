"""MediaHoundAuth in requests: token(), renew(), forget() and repr()."""

from __future__ import annotations

from typing import Any

import pytest
import requests

import mediahound_auth
from mediahound_auth import MemoryStore, Token
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

PATH = "/1.3/search/all/Gladiator"


def auth_for(server: MediaHoundServer, **options: Any) -> MediaHoundAuth:
    return MediaHoundAuth(**{**server.credentials, **options})


@pytest.fixture
def auth(server: MediaHoundServer) -> MediaHoundAuth:
    return auth_for(server)


def carried_by_a_call(server: MediaHoundServer, auth: MediaHoundAuth) -> str | None:
    """The Authorization header that a call with `auth` arrives with."""
    requests.get(server.url + PATH, auth=auth, timeout=10).raise_for_status()
    return server.api_requests[-1].headers["Authorization"]


def test_token_returns_the_valid_token_and_requests_it_once(
    auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    token = auth.token()
    assert isinstance(token, Token)
    assert auth.token() == token
    assert carried_by_a_call(server, auth) == f"Bearer {token.access_token}"
    assert len(server.token_requests) == 1


def test_renew_requests_a_token_that_the_next_call_carries(client_id: str) -> None:
    with MediaHoundServer(client_id=client_id, return_same_token=False) as server:
        auth = auth_for(server)
        first, second = auth.token(), auth.renew()
        assert first.access_token != second.access_token
        assert carried_by_a_call(server, auth) == second.authorization
        assert len(server.token_requests) == 2


def test_a_failed_renew_raises_and_leaves_the_token_in_use(
    auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    token = auth.token()
    server.respond_to_token_requests(1, status=400, body={"error": "invalid_scope"})
    with pytest.raises(mediahound_auth.TokenRequestError, match="invalid_scope") as caught:
        auth.renew()
    assert isinstance(caught.value, requests.RequestException)
    assert carried_by_a_call(server, auth) == token.authorization


def test_forget_drops_the_token_here_and_in_the_store(client_id: str) -> None:
    with MediaHoundServer(client_id=client_id, return_same_token=False) as server:
        store = MemoryStore()
        auth = auth_for(server, store=store)
        first = auth.token()
        auth.forget()
        second = auth_for(server, store=store).token()
        assert second.access_token != first.access_token
        assert auth.token() == second
        assert len(server.token_requests) == 2


def test_the_repr_tells_clients_and_endpoints_apart_and_no_secrets(
    auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    token = auth.token()
    assert server.client_id in repr(auth)
    assert server.token_url in repr(auth)
    for private in (server.client_secret, token.access_token):
        assert private not in repr(auth) + str(auth) + repr(token) + str(token)


def test_no_repr_shows_the_query_of_token_url() -> None:
    auth = MediaHoundAuth("id", "secret", token_url="https://auth.example.com/token?key=pri-vate")
    grant = source_of(auth).settings.grant
    for shown in (repr(auth), repr(grant), repr(grant.request())):
        assert "https://auth.example.com/token" in shown
        assert "pri-vate" not in shown
