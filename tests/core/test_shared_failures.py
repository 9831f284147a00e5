"""Which callers share a failure."""

from __future__ import annotations

import pytest
import requests

from mediahound_auth import ConfigurationError, InvalidClientError, TokenEndpointUnavailable
from mediahound_auth._core.lifecycle import Action, Conditions, State, fails_alike
from mediahound_auth.errors import MediaHoundAuthError, TokenRequestError
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

A, B = "a", "b"
DOWN = TokenEndpointUnavailable("no connection")
BUSY = TokenEndpointUnavailable("503", status=503)


@pytest.mark.parametrize(
    ("failure", "under", "conditions", "alike"),
    [
        (DOWN, Conditions(A, 10.0), Conditions(A, 10.0), True),
        (DOWN, Conditions(A, 10.0), Conditions(A, 1.0), True),
        (DOWN, Conditions(A, 10.0), Conditions(A, 10.5), False),
        (DOWN, Conditions(A, 10.0), Conditions(B, 10.0), False),
        (BUSY, Conditions(A, 10.0), Conditions(B, 10.0), True),
        (BUSY, Conditions(A, 10.0), Conditions(B, 10.5), False),
        (InvalidClientError("401", status=401), Conditions(A, 1.0), Conditions(B, 30.0), True),
        (ConfigurationError("no secret"), Conditions(A, 1.0), Conditions(B, 30.0), True),
        (TokenRequestError("a bug"), Conditions(A, 1.0), Conditions(A, 30.0), True),
        (TokenRequestError("a bug"), Conditions(A, 1.0), Conditions(B, 1.0), False),
        (DOWN, None, Conditions(A, 10.0), True),
    ],
)
def test_a_failure_is_shared_under_the_same_conditions(
    failure: MediaHoundAuthError, under: Conditions | None, conditions: Conditions, alike: bool
) -> None:
    assert fails_alike(failure, under, conditions) is alike
    state = State().on_failure(failure, 0.0, jitter=0.0, waited_for=True, conditions=under)
    assert (state.next_action(0.5, conditions) is Action.GIVE_UP) is alike
    assert (state.action_after_401("token", 0.5, conditions) is Action.GIVE_UP) is alike


def test_an_object_with_a_broken_proxy_does_not_fail_one_without_a_proxy(
    server: MediaHoundServer,
) -> None:
    with requests.Session() as session:
        session.proxies = {"http": "http://127.0.0.1:1"}
        dead = MediaHoundAuth(**server.credentials, session=session, timeout=2)
        with pytest.raises(TokenEndpointUnavailable):
            dead.token()
        assert MediaHoundAuth(**server.credentials, timeout=2).token()
    assert dead.token()  # which the other one has got


def test_a_short_timeout_does_not_fail_a_longer_one(server: MediaHoundServer) -> None:
    with server.hold_token_requests(), pytest.raises(TokenEndpointUnavailable):
        MediaHoundAuth(**server.credentials, timeout=0.2).token()
    assert MediaHoundAuth(**server.credentials, timeout=20).token()


def test_a_client_secret_callable_that_needs_a_token_fails_at_once(
    server: MediaHoundServer,
) -> None:
    def client_secret() -> str:
        with pytest.raises(TokenRequestError, match="needed while it was being requested"):
            auth.token()
        return server.client_secret

    auth = MediaHoundAuth(server.client_id, client_secret, token_url=server.token_url)
    assert auth.token()
