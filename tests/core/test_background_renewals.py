"""Background renewals: a token is renewed before it expires, and no call waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
import requests
from libraries import Library, call
from timing import AGEING, FRESH, LIFETIME, Clock, eventually, server_of_new_tokens

from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer


@pytest.fixture
def server(client_id: str, clock: Clock) -> Iterator[MediaHoundServer]:
    with server_of_new_tokens(client_id, clock) as server:
        yield server


@pytest.fixture
def auth(server: MediaHoundServer) -> RequestsAuth:
    return RequestsAuth(**server.credentials)


@pytest.mark.parametrize("rotating", [False, True], ids=["secret", "callable"])
def test_a_token_due_for_renewal_is_renewed_once_while_calls_use_it(
    rotating: bool, library: Library, server: MediaHoundServer, clock: Clock
) -> None:
    secret = (lambda: server.client_secret) if rotating else server.client_secret
    auth = library.auth(server, client_secret=secret)

    def way() -> int:
        return int(library.get(f"{server.url}/status/200", auth).status_code)

    token = auth.token()
    clock.advance(FRESH)
    assert way() == 200
    assert len(server.token_requests) == 1
    clock.advance(AGEING - FRESH)
    with server.hold_token_requests() as hold:
        assert [way() for _ in range(3)] == [200] * 3
        hold.wait_for(1)
        assert way() == 200
        assert {call.headers["Authorization"] for call in server.api_requests} == {
            token.authorization
        }
        hold.release()
        eventually(lambda: auth.token().authorization != token.authorization)
    assert way() == 200
    assert server.api_requests[-1].headers["Authorization"] == auth.token().authorization
    assert len(server.token_requests) == 2


def test_64_threads_with_a_token_due_for_renewal_start_one_renewal(
    auth: RequestsAuth, server: MediaHoundServer, clock: Clock
) -> None:
    token = auth.token()
    clock.advance(AGEING)
    with ThreadPoolExecutor(64) as pool, server.hold_token_requests() as hold:
        assert set(pool.map(lambda _: call(server, auth), range(64))) == {200}
        hold.release()
        eventually(lambda: auth.token().authorization != token.authorization)
    assert len(server.token_requests) == 2


def test_64_threads_with_an_expired_token_make_one_request(
    auth: RequestsAuth, server: MediaHoundServer, clock: Clock
) -> None:
    auth.token()
    clock.advance(LIFETIME)
    begun = threading.Barrier(64)

    def begin(_: int) -> int:
        begun.wait(10)
        return call(server, auth)

    with ThreadPoolExecutor(64) as pool:
        assert set(pool.map(begin, range(64))) == {200}
    assert {call.status for call in server.api_requests} == {200}
    assert len(server.token_requests) == 2


def test_tokens_with_a_lifetime_of_a_second_are_requested_once_a_second(
    client_id: str, clock: Clock
) -> None:
    asked_at = []

    class Watched(requests.adapters.HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
            asked_at.append(clock.now)
            return super().send(request, *args, **kwargs)

    options: Any = {"client_id": client_id, "lifetime": 1, "clock": clock}
    with (
        MediaHoundServer(**options, return_same_token=False) as server,
        requests.Session() as session,
    ):
        session.mount("http://", Watched())
        auth = RequestsAuth(**server.credentials, session=session)
        for _ in range(50):
            assert call(server, auth) == 200
            clock.advance(0.1)
    assert len(asked_at) >= 4
    assert all(later - earlier >= 0.999 for earlier, later in pairwise(asked_at))


def without_threads(monkeypatch: pytest.MonkeyPatch, start: Callable[[], None]) -> None:
    """From now on only the connections of embedded servers get the threads they start."""
    really_start = threading.Thread.start

    def pretend(thread: threading.Thread) -> None:
        target = getattr(thread, "_target", None)
        if getattr(target, "__name__", "") == "process_request_thread":
            really_start(thread)
        else:
            start()

    monkeypatch.setattr(threading.Thread, "start", pretend)


@pytest.mark.parametrize(
    ("lifetime", "margin", "age", "renewals"),
    [
        (LIFETIME, 1_000, LIFETIME - 1_001, 0),
        (LIFETIME, 1_000, LIFETIME - 499, 1),
        (100, 1_000, 79, 0),
        (100, 1_000, 91, 1),  # the margin is a fifth of the life at most
        (LIFETIME, 0, LIFETIME - 0.1, 0),
    ],
)
def test_renew_margin_sets_the_start_of_the_renewal(
    lifetime: int,
    margin: float,
    age: float,
    renewals: int,
    client_id: str,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[float] = []
    with MediaHoundServer(client_id=client_id, lifetime=lifetime, clock=clock) as server:
        auth = RequestsAuth(**server.credentials, renew_margin=margin)
        auth.token()
        without_threads(monkeypatch, lambda: started.append(clock.now))
        clock.advance(age)
        auth.token()
    assert len(started) == renewals


def no_thread_to_be_had() -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize(
    "start", [lambda: None, no_thread_to_be_had], ids=["never runs", "cannot be had"]
)
def test_where_background_threads_do_not_run_a_caller_renews_by_itself_at_expiry(
    start: Callable[[], None],
    auth: RequestsAuth,
    server: MediaHoundServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auth.token()
    without_threads(monkeypatch, start)
    clock.advance(AGEING)
    assert [call(server, auth) for _ in range(3)] == [200] * 3
    assert len(server.token_requests) == 1
    clock.advance(LIFETIME - AGEING)
    assert call(server, auth) == 200
    assert len(server.token_requests) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_after_a_background_thread_has_ended_a_caller_renews_by_itself_at_expiry(
    server: MediaHoundServer, clock: Clock
) -> None:
    deadly = threading.Event()

    def secret() -> str:
        if deadly.is_set():
            deadly.clear()
            sys.exit("the thread that asks for the secret now is none that anybody waits for")
        return server.client_secret

    auth = RequestsAuth(server.client_id, secret, token_url=server.token_url)
    auth.token()
    deadly.set()
    clock.advance(AGEING)
    assert call(server, auth) == 200
    eventually(lambda: source_of(auth).shared.state.failures == 1)
    clock.advance(LIFETIME - AGEING)
    assert call(server, auth) == 200
    assert len(server.token_requests) == 2


def test_a_call_starts_another_renewal_if_the_first_never_ran(
    server: MediaHoundServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    RequestsAuth(**server.credentials).token()
    auth, started = RequestsAuth(**server.credentials, timeout=0.3), []
    without_threads(monkeypatch, lambda: started.append(clock.now))
    clock.advance(AGEING)

    def start_another() -> bool:
        clock.advance(0.1)
        return auth.token().expires_at > clock.now and len(started) > 1

    eventually(start_another)
    assert len(server.token_requests) == 1
