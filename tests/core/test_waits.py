"""The waits after failed and unconfirmed renewals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from libraries import call
from timing import (
    AGEING,
    LIFETIME,
    Clock,
    eventually,
    server_of_new_tokens,
    wait_for_renewals,
)

import mediahound_auth as mh
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer


@pytest.fixture
def server(client_id: str, clock: Clock) -> Iterator[MediaHoundServer]:
    with server_of_new_tokens(client_id, clock) as server:
        yield server


@pytest.fixture
def reissuing(client_id: str, clock: Clock) -> Iterator[MediaHoundServer]:
    """Hands the same token out until it has expired, as MediaHound does."""
    with MediaHoundServer(client_id=client_id, lifetime=LIFETIME, clock=clock) as server:
        yield server


@pytest.fixture
def auth(server: MediaHoundServer) -> MediaHoundAuth:
    return MediaHoundAuth(**server.credentials)


def wait_for_failures(caplog: pytest.LogCaptureFixture, n: int) -> None:
    def logged() -> int:
        return sum(record.getMessage().startswith("could not ") for record in caplog.records)

    eventually(lambda: logged() == n)
    wait_for_renewals()  # a failure is logged shortly before its renewal ends


# Nobody has a token


def refuse(server: MediaHoundServer) -> None:
    server.respond_to_token_requests(4, status=401, body={"error": "invalid_client"})


def talk_nonsense(server: MediaHoundServer) -> None:
    server.respond_to_token_requests(4, status=200, body="<html>")


@pytest.mark.parametrize("go_wrong", [refuse, talk_nonsense])
def test_each_failure_in_a_row_doubles_the_wait(
    go_wrong: Callable[[MediaHoundServer], None],
    auth: MediaHoundAuth,
    server: MediaHoundServer,
    clock: Clock,
) -> None:
    go_wrong(server)
    for failed, wait in enumerate([1, 2, 4, 8], start=1):
        errors = set()
        for seconds in (0.0, 0.98 * wait, 0.01 * wait):
            clock.advance(seconds)
            with pytest.raises(mh.TokenRequestError) as caught:
                call(server, auth)
            errors.add((type(caught.value), str(caught.value)))
        assert len(errors) == 1, "the same failure for all"
        assert 0 < (caught.value.retry_after or 0) <= 0.51 * wait
        assert len(server.token_requests) == failed
        clock.advance(0.52 * wait)
    assert call(server, auth) == 200
    assert len(server.token_requests) == 5


def test_a_success_resets_the_back_off(
    auth: MediaHoundAuth, server: MediaHoundServer, clock: Clock
) -> None:
    for _ in range(3):
        refuse(server)
        with pytest.raises(mh.InvalidClientError):
            call(server, auth)
        server.respond_to_token_requests(0)
        clock.advance(1.51)
        assert call(server, auth) == 200
        clock.advance(LIFETIME)
    assert len(server.token_requests) == 6


def test_no_request_is_sent_before_retry_after(
    auth: MediaHoundAuth, server: MediaHoundServer, clock: Clock
) -> None:
    server.respond_to_token_requests(1, status=429, headers={"Retry-After": "100"})
    for left in (100, 60, 1):
        with pytest.raises(mh.TokenEndpointUnavailable) as caught:
            call(server, auth)
        assert caught.value.retry_after == pytest.approx(left)
        clock.advance(40 if left == 100 else left - 1)
    assert len(server.token_requests) == 1
    clock.advance(1)
    assert call(server, auth) == 200


# There is one, and renewing it fails


def test_after_a_failed_renewal_the_token_stays_in_use_and_the_next_renewal_waits(
    auth: MediaHoundAuth, server: MediaHoundServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    token = auth.token()
    server.respond_to_token_requests(3, status=400, body={"error": "bad_day"})
    clock.advance(AGEING)
    for failed, wait in enumerate([1, 2, 4], start=1):
        assert call(server, auth) == 200
        wait_for_failures(caplog, failed)
        clock.advance(0.99 * wait)
        assert call(server, auth) == 200  # a try that this started would be one too many below
        assert len(server.token_requests) == 1 + failed
        clock.advance(0.52 * wait)
    assert {call.headers["Authorization"] for call in server.api_requests} == {token.authorization}
    auth.token()
    eventually(lambda: auth.token().authorization != token.authorization)
    assert len(server.token_requests) == 5


def test_after_a_failed_renewal_a_token_is_requested_at_expiry(
    auth: MediaHoundAuth, server: MediaHoundServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    auth.token()
    server.respond_to_token_requests(1, status=400, body={"error": "bad_day"})
    clock.advance(LIFETIME - 0.1)
    assert call(server, auth) == 200
    wait_for_failures(caplog, 1)
    clock.advance(0.1)
    assert call(server, auth) == 200
    assert len(server.token_requests) == 3


def test_after_a_failed_renewal_retry_after_is_respected(
    server: MediaHoundServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    auth = MediaHoundAuth(**server.credentials)
    auth.token()
    server.respond_to_token_requests(1, status=503, headers={"Retry-After": "600"})
    clock.advance(AGEING)
    assert call(server, auth) == 200
    wait_for_failures(caplog, 1)
    clock.advance(100)
    with pytest.raises(mh.TokenEndpointUnavailable) as caught:
        call(server, auth)
    assert caught.value.retry_after == pytest.approx(500)
    assert len(server.token_requests) == 2
    clock.advance(500)
    assert call(server, auth) == 200


# The endpoint hands the same token out again


def test_a_token_that_is_returned_again_is_not_requested_before_it_has_expired(
    reissuing: MediaHoundServer, clock: Clock
) -> None:
    auth = MediaHoundAuth(**reissuing.credentials)
    token = auth.token()
    clock.advance(AGEING)
    assert call(reissuing, auth) == 200
    eventually(lambda: auth.token().returned_again)
    for _ in range(99):
        clock.advance(1)
        assert call(reissuing, auth) == 200
    assert auth.token().access_token == token.access_token
    assert len(reissuing.token_requests) == 2
    clock.advance(1)
    assert call(reissuing, auth) == 200
    assert len(reissuing.token_requests) == 3


def test_100_calls_in_the_last_seconds_of_a_token_that_comes_back_cost_two_requests_at_most(
    reissuing: MediaHoundServer, clock: Clock
) -> None:
    MediaHoundAuth(**reissuing.credentials, store=mh.MemoryStore()).token()
    clock.advance(LIFETIME - 5)
    auth = MediaHoundAuth(**reissuing.credentials)
    for _ in range(100):
        assert call(reissuing, auth) == 200
        clock.advance(0.049)
    assert len(reissuing.token_requests) - 1 <= 2


def test_a_clock_that_jumps_costs_one_renewal_or_one_401_that_is_repaired(
    auth: MediaHoundAuth, server: MediaHoundServer, clock: Clock
) -> None:
    server.clock = lambda: 0.0  # the server's stays
    auth.token()
    for jump in (10 * LIFETIME, -10 * LIFETIME):
        clock.advance(jump)
        assert {call(server, auth) for _ in range(10)} == {200}
    assert len(server.token_requests) == 2
    server.expire_tokens()
    assert call(server, auth) == 200
    assert len(server.token_requests) == 3


# The API rejects fresh tokens


def test_an_api_that_rejects_everything_costs_token_requests_at_ever_longer_intervals(
    server: MediaHoundServer, clock: Clock
) -> None:
    auth = MediaHoundAuth(**server.credentials)
    auth.token()
    server.reject_api_requests = True
    for renewed, wait in enumerate([1, 2, 4, 8], start=1):
        for seconds in (0.0, 0.5 * wait, 0.49 * wait):
            clock.advance(seconds)
            assert call(server, auth) == 401
            assert len(server.token_requests) == 1 + renewed
        clock.advance(0.01 * wait)


def test_after_an_accepted_retry_the_next_401_is_retried_at_once(
    server: MediaHoundServer, clock: Clock
) -> None:
    auth = MediaHoundAuth(**server.credentials)
    server.reject_api_requests = True
    for wait in (1, 2, 4):
        assert call(server, auth) == 401
        clock.advance(wait)
    server.reject_api_requests = False
    for _ in range(10):
        for _ in range(2):  # within a second
            server.revoke_tokens()
            assert call(server, auth) == 200
        clock.advance(2)


@pytest.mark.parametrize("rotating", [False, True], ids=["secret", "callable"])
@pytest.mark.parametrize("rejections", [1, 2, 3])
def test_when_calls_are_accepted_again_a_revoked_token_is_replaced_after_a_second(
    rejections: int, rotating: bool, server: MediaHoundServer, clock: Clock
) -> None:
    secret = (lambda: server.client_secret) if rotating else server.client_secret
    auth = MediaHoundAuth(server.client_id, secret, token_url=server.token_url)
    server.reject_api_requests = True
    for rejection in range(rejections):
        clock.advance(2**rejection)
        assert call(server, auth) == 401
    clock.advance(1)
    server.reject_api_requests = False
    for _ in range(2 ** (rejections - 1)):
        assert call(server, auth) == 200
    server.revoke_tokens()
    assert call(server, auth) == 200


@pytest.mark.parametrize(
    "return_same_token", [True, False], ids=["same token", "another token each time"]
)
def test_one_forbidden_resource_among_good_ones_costs_ever_fewer_token_requests(
    return_same_token: bool, client_id: str, clock: Clock
) -> None:
    options: Any = {"client_id": client_id, "return_same_token": return_same_token, "clock": clock}
    with MediaHoundServer(**options) as server:
        auth = MediaHoundAuth(**server.credentials)
        for _ in range(100):
            assert call(server, auth, "/status/401") == 401
            assert call(server, auth) == 200
        # One for the first call; then at visit 1, 2, 4, 8, 16, 32 and 64.
        assert len(server.token_requests) <= 8
