"""Failures of the token endpoint: what callers get, and how many token requests are sent."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from libraries import PATIENCE, SYNC, Library, assert_no_secret, call
from timing import Clock

import mediahound_auth as mh
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer

EACH = pytest.mark.parametrize("library", SYNC, indirect=True, ids=str)


def wrong(server: MediaHoundServer) -> RequestsAuth:
    return RequestsAuth(server.client_id, "wrong", token_url=server.token_url)


# Transient failures


@EACH
@pytest.mark.parametrize("status", [429, 500, 503])
def test_callers_notice_nothing_of_one_503(
    library: Library, status: int, server: MediaHoundServer
) -> None:
    server.respond_to_token_requests(1, status=status)
    assert library.auth(server).token().expires_at > time.time()
    assert [request.status for request in server.token_requests] == [status, 200]


@EACH
def test_callers_notice_nothing_of_a_connection_that_breaks_once(
    library: Library, server: MediaHoundServer
) -> None:
    server.drop_token_requests(1)
    assert library.auth(server).token().expires_at > time.time()
    assert [request.status for request in server.token_requests] == [None, 200]


@EACH
@pytest.mark.usefixtures("clock")  # stands still, so that the failure is recent for all
def test_an_endpoint_that_is_down_gets_the_attempts_of_one_renewal(
    library: Library, server: MediaHoundServer
) -> None:
    server.respond_to_token_requests(math.inf, status=503)
    auth = library.auth(server, timeout=2)
    begun = threading.Barrier(64)

    def ask(_: int) -> BaseException:
        begun.wait(10)
        with pytest.raises(mh.TokenEndpointUnavailable) as caught:
            auth.token()
        return caught.value

    with ThreadPoolExecutor(64) as pool:
        errors = list(pool.map(ask, range(64)))
    assert all(isinstance(error, library.error) for error in errors)
    # At once, and 0.1 s, 0.3 s, 0.7 s and 1.5 s after that, or later.
    assert 1 <= len(server.token_requests) <= 5
    with pytest.raises(mh.TokenEndpointUnavailable):
        auth.token()
    assert len(server.token_requests) <= 5


def test_a_retry_after_within_the_time_limit_delays_the_next_attempt(
    server: MediaHoundServer,
) -> None:
    server.respond_to_token_requests(1, status=503, headers={"Retry-After": "1"})
    asked_at = time.monotonic()
    RequestsAuth(**server.credentials, timeout=20).token()
    assert time.monotonic() - asked_at >= 1


def test_a_retry_after_beyond_the_time_limit_fails_the_call_at_once(
    server: MediaHoundServer,
) -> None:
    server.respond_to_token_requests(1, status=503, headers={"Retry-After": "120"})
    asked_at = time.monotonic()
    with pytest.raises(mh.TokenEndpointUnavailable, match="120 s") as caught:
        RequestsAuth(**server.credentials, timeout=60).token()
    assert time.monotonic() - asked_at < 30
    assert caught.value.retry_after == 120
    assert len(server.token_requests) == 1


@pytest.fixture(params=["the headers", "the body"])
def dripping(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an endpoint that sends a byte now and then, and never comes to an end."""
    start = b"HTTP/1.1 200 OK\r\n"
    if request.param == "the body":
        start += b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    over = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(start)
                while not over.wait(0.05):
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        dripped = pool.submit(drip)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/token"
        over.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # or accept() waits on, if nobody has come
        dripped.result(10)


@EACH
def test_an_endpoint_that_sends_byte_by_byte_does_not_exceed_the_time_limit(
    library: Library, dripping: str, client_id: str
) -> None:
    asked_at = time.monotonic()
    with pytest.raises(mh.TokenEndpointUnavailable):
        library.MediaHoundAuth(client_id, "MyClientSecret", token_url=dripping, timeout=0.3).token()
    assert time.monotonic() - asked_at < 10


# Numbers to reach


@pytest.mark.parametrize("anew", [False, True], ids=["one auth object", "one for each call"])
@pytest.mark.parametrize("rotating", [False, True], ids=["secret", "callable"])
def test_100_calls_with_a_wrong_secret_cost_four_token_requests_at_most(
    anew: bool, rotating: bool, server: MediaHoundServer, clock: Clock
) -> None:
    secret = (lambda: "wrong") if rotating else "wrong"
    auth = RequestsAuth(server.client_id, secret, token_url=server.token_url)
    for _ in range(100):
        if anew:
            auth = RequestsAuth(server.client_id, secret, token_url=server.token_url)
        with pytest.raises(mh.InvalidClientError):
            call(server, auth)
        clock.advance(0.05)
    assert len(server.token_requests) <= 4
    assert server.api_requests == []


@pytest.mark.parametrize("anew", [False, True], ids=["one auth object", "one for each call"])
@pytest.mark.parametrize("rotating", [False, True], ids=["secret", "callable"])
@pytest.mark.parametrize(
    "return_same_token", [True, False], ids=["same token", "another token each time"]
)
def test_100_calls_to_an_api_that_rejects_everything_cost_four_token_requests_at_most(
    return_same_token: bool, rotating: bool, anew: bool, client_id: str, clock: Clock
) -> None:
    with MediaHoundServer(client_id=client_id, return_same_token=return_same_token) as server:
        server.reject_api_requests = True
        asked: list[int] = []

        def vault() -> str:
            asked.append(1)
            return server.client_secret

        secret = vault if rotating else server.client_secret
        auth = RequestsAuth(client_id, secret, token_url=server.token_url)
        with requests.Session() as session:
            for _ in range(100):
                if anew:
                    auth = RequestsAuth(client_id, secret, token_url=server.token_url)
                url = f"{server.url}/status/200"
                assert session.get(url, auth=auth, timeout=PATIENCE).status_code == 401
                clock.advance(0.05)
        assert len(server.token_requests) <= 4
        assert anew or len(asked) <= 4, "the secret is asked for at each token request"


def test_forget_clears_failures(server: MediaHoundServer) -> None:
    auth = RequestsAuth(**server.credentials)
    server.respond_to_token_requests(1, status=400, body={"error": "bad_day"})
    with pytest.raises(mh.TokenRequestError, match="bad_day"):
        call(server, auth)
    auth.forget()
    assert call(server, auth) == 200


# What the user brings along


def test_a_client_secret_callable_is_called_at_each_token_request(server: MediaHoundServer) -> None:
    secrets = iter(["old", "MyClientSecret", "MyClientSecret", "MyClientSecret"])
    auth = HttpxAuth(server.client_id, secrets.__next__, token_url=server.token_url)
    with pytest.raises(mh.InvalidClientError):
        auth.token()
    auth.forget()
    assert auth.token() == auth.token()
    auth.renew()
    assert list(secrets) == [], "once for each token request, and once to forget"


def fail() -> Any:
    raise KeyError("vault")


@EACH
@pytest.mark.parametrize(
    ("secret", "named"),
    [(fail, "KeyError"), (lambda: None, "NoneType"), (lambda: "", "empty")],
    ids=["raises", "None", "empty"],
)
def test_a_client_secret_callable_that_returns_no_secret_fails_the_call(
    library: Library, secret: Callable[[], Any], named: str, server: MediaHoundServer
) -> None:
    with pytest.raises(mh.ConfigurationError, match=f"client_secret callable.*{named}") as caught:
        library.auth(server, client_secret=secret).token()
    assert isinstance(caught.value, library.error)
    assert server.token_requests == []


def fail_to_send(_: object, request: Any, *__: Any, **___: Any) -> Any:
    body = request.body if isinstance(request, requests.PreparedRequest) else request.read()
    raise LookupError(f"cannot send {request.headers} {request.headers['Authorization']} {body!r}")


@EACH
def test_an_error_of_the_given_session_or_client_is_typed_and_shows_no_secret(
    library: Library, server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*library.sending, fail_to_send)
    with library.own() as own, pytest.raises(mh.TokenRequestError, match="LookupError") as caught:
        library.auth(server, **own).token()
    assert isinstance(caught.value, library.error)
    assert_no_secret("".join(traceback.format_exception(caught.value)), server)
