"""`client_auth="client_assertion"`: a callable signs each token request (RFC 7523 §2.2)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import parse_qs

import pytest
from libraries import BOTH, REQUESTS, Library

from mediahound_auth import ConfigurationError, InvalidClientError, MemoryStore
from mediahound_auth.testing import MediaHoundServer
from mediahound_auth.testing.traffic import ReceivedRequest

TOKEN = {"access_token": "t0ken", "token_type": "bearer", "expires_in": 3600}


class Signer:
    """Signs with a number, which is another one each time."""

    def __init__(self, name: str = "signed") -> None:
        self.name = name
        self.made = count(1)

    def sign(self) -> str:
        return f"{self.name}-{next(self.made)}"


def fields(request: ReceivedRequest) -> dict[str, str]:
    return {name: ",".join(values) for name, values in parse_qs(request.body.decode()).items()}


def auth_for(server: MediaHoundServer, sign: Callable[[], str], **options: Any) -> Any:
    return REQUESTS.auth(server, client_secret=sign, client_auth="client_assertion", **options)


@BOTH
def test_an_assertion_takes_the_place_of_the_secret(
    server: MediaHoundServer, library: Library
) -> None:
    server.respond_to_token_requests(1, status=200, body=TOKEN)
    auth = library.auth(server, client_secret=Signer().sign, client_auth="client_assertion")
    assert auth.token().access_token == "t0ken"
    [request] = server.token_requests
    assert "Authorization" not in request.headers
    assert fields(request) == {
        "grant_type": "client_credentials",
        "client_id": server.client_id,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "signed-1",
    }


@BOTH
def test_each_attempt_has_a_new_assertion(server: MediaHoundServer, library: Library) -> None:
    server.respond_to_token_requests(2, status=503)
    server.respond_to_token_requests(1, status=200, body=TOKEN)
    auth = library.auth(server, client_secret=Signer().sign, client_auth="client_assertion")
    auth.token()
    sent = [fields(request)["client_assertion"] for request in server.token_requests]
    assert sent == ["signed-1", "signed-2", "signed-3"]


def test_a_signer_that_fails_later_is_reported(server: MediaHoundServer) -> None:
    assertions = iter(["signed-1"])
    server.respond_to_token_requests(1, status=503)
    with pytest.raises(ConfigurationError, match="StopIteration"):
        auth_for(server, lambda: next(assertions)).token()


def test_objects_with_the_same_callable_share_a_token_and_no_others(
    server: MediaHoundServer,
) -> None:
    server.respond_to_token_requests(9, status=200, body=TOKEN)
    signer = Signer()
    for _ in range(3):
        auth_for(server, signer.sign).token()
    assert len(server.token_requests) == 1
    auth_for(server, Signer("another").sign).token()
    assert len(server.token_requests) == 2


def test_in_a_store_of_the_user_every_signer_finds_the_token(server: MediaHoundServer) -> None:
    server.respond_to_token_requests(9, status=200, body=TOKEN)
    store = MemoryStore()
    for name in ("one", "another"):
        auth_for(server, Signer(name).sign, store=store).token()
    assert len(server.token_requests) == 1
    auth_for(server, Signer().sign, store=store, scope="a").token()
    assert len(server.token_requests) == 2


def test_a_rejected_signer_costs_no_token_request_per_call(server: MediaHoundServer) -> None:
    auth = auth_for(server, Signer().sign)  # the server knows no such secret
    for _ in range(5):
        with pytest.raises(InvalidClientError, match="client_assertion"):
            auth.token()
    assert len(server.token_requests) == 1
