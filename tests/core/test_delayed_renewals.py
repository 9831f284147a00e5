"""Renewals that are delayed: by logging, by stores, by the caller's own interruptions."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import traceback
import weakref
from typing import Any

import httpx
import pytest
import requests
from requests.adapters import HTTPAdapter
from timing import let_time_run_out, wait_for_renewals

from mediahound_auth import (
    MemoryStore,
    Token,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._core import lifecycle, runtime
from mediahound_auth._core.renewal import run_steps
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer

BOTH = pytest.mark.parametrize("kind", [RequestsAuth, HttpxAuth])


class Apart(MemoryStore):
    """A store of which each auth object has a view of its own, as processes have."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


# Who holds what


@BOTH
def test_a_call_of_a_signal_handler_during_another_call_gets_its_token(
    kind: type[Any], server: MediaHoundServer
) -> None:
    with runtime.state_lock:
        token = kind(**server.credentials, timeout=20).token()
    assert kind(**server.credentials).token() == token
    server.respond_to_token_requests(1, status=400, body={"error": "bad_day"})
    with runtime.state_lock, pytest.raises(TokenRequestError, match="bad_day"):
        kind(**server.credentials, scope="other", timeout=20).token()
    assert len(server.token_requests) == 2


def test_a_token_request_does_not_wait_for_the_connection_of_the_401(
    server: MediaHoundServer,
) -> None:
    with httpx.Client(limits=httpx.Limits(max_connections=1), timeout=20) as client:
        client.auth = HttpxAuth(**server.credentials, client=client, timeout=20)
        assert client.get(f"{server.url}/status/200").status_code == 200
        server.revoke_tokens()
        assert client.get(f"{server.url}/status/200").status_code == 200
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=1, pool_block=True))
        session.auth = RequestsAuth(**server.credentials, session=session, timeout=20)
        server.revoke_tokens()
        assert session.get(f"{server.url}/status/200", stream=True).status_code == 200


def test_the_state_is_dropped_with_its_store(
    server: MediaHoundServer,
) -> None:
    store = MemoryStore()
    known = weakref.ref(store)
    auth = RequestsAuth(**server.credentials, store=store)
    assert auth.token()
    wait_for_renewals()
    del store, auth
    gc.collect()
    assert known() is None


def test_an_event_loop_is_not_kept_beyond_its_end(server: MediaHoundServer) -> None:
    auth = HttpxAuth(**server.credentials)

    async def main() -> weakref.ref[Any]:
        await asyncio.gather(*(auth.atoken() for _ in range(3)))
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(main())
    wait_for_renewals()
    gc.collect()
    assert loop() is None


# Budgets


def test_a_caller_that_joins_a_renewal_extends_its_time_limit(server: MediaHoundServer) -> None:
    hasty = source_of(RequestsAuth(**server.credentials, timeout=1)).get_token()
    patient = source_of(RequestsAuth(**server.credentials, timeout=30)).get_token()
    with server.hold_token_requests() as hold:
        flight, seconds = next(hasty)
        assert next(patient)[0] is flight
        flight.wait(seconds)
        assert isinstance(run_steps(hasty), TokenEndpointUnavailable)
        assert flight.joinable
        hold.release()
        flight.wait(30)
        assert isinstance(run_steps(patient), Token)


def test_a_caller_that_pauses_before_its_renewal_decides_the_outcome_in_time(
    server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    time_passed, asked, over = [0.0], threading.Event(), threading.Event()

    def pause() -> float:
        time_passed[0] += 0.2
        return 1e9

    def secret() -> str:
        asked.set()
        over.wait(30)
        raise LookupError("no caller waits any more")

    credentials: dict[str, Any] = {**server.credentials, "client_secret": secret}
    source = source_of(RequestsAuth(**credentials, timeout=20))
    monkeypatch.setattr(runtime, "monotonic", lambda: time_passed[0])
    monkeypatch.setattr(runtime, "now", pause)
    steps = source.get_token()
    renewal, seconds = next(steps)
    renewal.start()
    assert asked.wait(20)
    time_passed[0] += seconds
    assert isinstance(run_steps(steps), TokenEndpointUnavailable)
    assert isinstance(renewal.outcome, TokenEndpointUnavailable)
    over.set()
    wait_for_renewals()


def test_a_caller_whose_time_limit_ends_while_its_token_is_saved_gets_the_token(
    server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "STORE_TIMEOUT", 30.0)
    saving, over = threading.Event(), threading.Event()

    class Slow(Apart):
        def save(self, key: str, token: Token) -> None:
            saving.set()
            over.wait(30)
            super().save(key, token)

    steps = source_of(RequestsAuth(**server.credentials, store=Slow(), timeout=120)).get_token()
    renewal, _ = next(steps)
    let_time_run_out(renewal, saving)
    assert isinstance(run_steps(steps), Token)
    assert not over.is_set()
    over.set()


class Hanging(Apart):
    """A store that answers when it is too late."""

    def __init__(self) -> None:
        super().__init__()
        self.over = threading.Event()

    def load(self, key: str) -> Token | None:
        self.over.wait(30)
        return super().load(key)


def test_a_store_that_hangs_takes_only_its_share_of_a_short_time_limit(
    server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "STORE_TIMEOUT", 30.0)  # any budget is short then
    store = Hanging()
    assert RequestsAuth(**server.credentials, store=store, timeout=8).token()
    store.over.set()


def test_renew_requests_a_token_even_if_it_joins_a_renewal_that_does_not(
    server: MediaHoundServer,
) -> None:
    store = Hanging()
    auth = RequestsAuth(**server.credentials, store=store)
    now = time.time()
    store.save(source_of(auth).settings.grant.key(), Token("x", now + 99, now))
    getting = source_of(auth).get_token()
    flight, _ = next(getting)
    renewing = source_of(auth).renew()
    assert next(renewing)[0] is flight
    store.over.set()
    flight.wait(20)
    got, renewed = run_steps(getting), run_steps(renewing)
    assert isinstance(got, Token)
    assert isinstance(renewed, Token)
    assert got.access_token == "x" != renewed.access_token
    assert len(server.token_requests) == 1


# Stores


def test_a_rejected_token_is_replaced_although_a_fast_clock_dated_it_later(
    server: MediaHoundServer,
) -> None:
    store = Apart()
    one, other = (RequestsAuth(**server.credentials, store=store) for _ in range(2))
    ahead = time.time() + 3600
    key = source_of(one).settings.grant.key()
    store.save(key, Token("dead", ahead + 60, ahead))
    for auth in (one, other):
        assert requests.get(f"{server.url}/status/200", auth=auth, timeout=20).status_code == 200
    assert len(server.token_requests) == 1
    assert [call.status for call in server.api_requests] == [401, 200, 200]


@pytest.mark.parametrize("rotating", [False, True])
def test_a_token_that_is_forgotten_while_it_is_saved_is_discarded(
    rotating: bool, server: MediaHoundServer
) -> None:
    class Forgetful(Apart):
        def save(self, key: str, token: Token) -> None:
            if len(server.token_requests) == 1:
                auth.forget()
            super().save(key, token)

    store = Forgetful()
    secret = (lambda: server.client_secret) if rotating else server.client_secret
    auth = RequestsAuth(server.client_id, secret, token_url=server.token_url, store=store)
    auth.token()
    auth.token()
    assert len(server.token_requests) == 2


def test_forget_forgets_what_came_by_a_callable_in_a_store_that_cannot_be_shared(
    server: MediaHoundServer,
) -> None:
    auth = RequestsAuth(
        server.client_id, lambda: server.client_secret, token_url=server.token_url, store=Apart()
    )
    auth.token()
    auth.forget()
    auth.token()
    assert len(server.token_requests) == 2


# What is shown


@BOTH
def test_no_frame_that_raises_holds_the_token_that_has_expired(
    kind: type[Any], server: MediaHoundServer
) -> None:
    store = MemoryStore()
    auth = kind(**server.credentials, store=store)
    token = auth.token()
    store._tokens.clear()
    source_of(auth).shared.state = source_of(auth).shared.state._replace(
        renew_at=0.0, token=token.replace(expires_at=0)
    )
    server.respond_to_token_requests(1, status=400, body={"error": "bad_day"})
    library: Any = requests if kind is RequestsAuth else httpx
    with pytest.raises(TokenRequestError) as caught:
        library.get(f"{server.url}/status/200", auth=auth)
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    ours = [frame for frame in frames if "mediahound_auth/" in frame.f_code.co_filename]
    assert ours
    assert [frame for frame in ours if token.access_token in repr(frame.f_locals)] == []


def test_a_secret_in_the_cause_of_a_transport_error_is_not_shown(server: MediaHoundServer) -> None:
    class Talkative(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> Any:
            raise RuntimeError("it does not work") from ValueError(request.body)

    with requests.Session() as session:
        session.mount("http://", Talkative())
        auth = RequestsAuth(**server.credentials, session=session)
        with pytest.raises(TokenRequestError) as caught:
            auth.token()
    assert server.client_secret not in "".join(traceback.format_exception(caught.value))
