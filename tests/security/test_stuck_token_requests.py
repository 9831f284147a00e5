"""Token responses that do not end: the connection is closed at the time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import httpx2
import pytest
import requests
from endless import FAST, SLOW, EndlessServer
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

import mediahound_auth.httpx
import mediahound_auth.httpx2
import mediahound_auth.requests
from mediahound_auth import (
    InvalidClientError,
    InvalidTokenResponse,
    MemoryStore,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._core.grant import MAX_RESPONSE_SIZE
from mediahound_auth.testing import MediaHoundServer

BUDGET = 0.25  # seconds, which whoever meets a slow endpoint waits to the end
PLENTY = 20.0

# Makes an auth object for a token endpoint; `url` is where its session or client has a connection.
MakeAuth = Callable[..., Any]


CREDENTIALS = {"client_id": "id", "client_secret": "secret"}


@pytest.fixture(params=["requests", "session=", "httpx", "client=", "httpx2", "httpx2 client="])
def make_auth(request: pytest.FixtureRequest) -> Iterator[MakeAuth]:
    library, auth_module = {
        "requests": (requests, mediahound_auth.requests),
        "session=": (requests, mediahound_auth.requests),
        "httpx": (httpx, mediahound_auth.httpx),
        "client=": (httpx, mediahound_auth.httpx),
        "httpx2": (httpx2, mediahound_auth.httpx2),
        "httpx2 client=": (httpx2, mediahound_auth.httpx2),
    }[request.param]
    option = request.param.split()[-1]
    with ExitStack() as stack:

        def make(url: str, **options: Any) -> Any:
            made: Any = library
            if option.endswith("="):
                transport = stack.enter_context(getattr(made, KINDS[option])())
                assert transport.get(f"{url}/ok", timeout=PLENTY).text == "ok"  # it is connected
                options[option.removesuffix("=")] = transport
            auth_type: Any = auth_module.MediaHoundAuth
            return auth_type(**CREDENTIALS, **options)

        yield make


KINDS = {"session=": "Session", "client=": "Client"}


def renewals() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mediahound-auth renewal"]


@pytest.mark.parametrize("attack", SLOW)
def test_at_the_time_limit_the_connection_is_closed_and_the_thread_ends(
    attack: str, make_auth: MakeAuth
) -> None:
    with EndlessServer(lambda _: SLOW[attack]()) as server:
        auth = make_auth(
            server.url, token_url=f"{server.url}/token", timeout=BUDGET, store=MemoryStore()
        )
        with pytest.raises(TokenEndpointUnavailable):
            auth.token()
        for thread in renewals():
            thread.join(PLENTY)
        assert renewals() == []


def test_headers_without_end_count_as_a_body_does(make_auth: MakeAuth) -> None:
    with EndlessServer(lambda _: FAST["headers"]()) as server:
        auth = make_auth(server.url, token_url=f"{server.url}/token", timeout=BUDGET)
        # Which error depends on whether the library has a bound of its own.
        with pytest.raises(TokenRequestError):
            auth.token()
        for thread in renewals():
            thread.join(PLENTY)
        assert renewals() == []
    # What was read, and what fits into the buffers of the sockets, per attempt.
    attempts = sum("/token" in line for line in server.requests)
    assert server.sent <= attempts * 24 * MAX_RESPONSE_SIZE  # none, if the thread began too late


@pytest.mark.parametrize("attack", ["1xx", "tiny chunks"])
def test_a_response_that_is_too_long_is_an_error_without_a_retry(
    attack: str, make_auth: MakeAuth
) -> None:
    with EndlessServer(lambda _: FAST[attack]()) as server:
        auth = make_auth(server.url, token_url=f"{server.url}/token", timeout=PLENTY)
        with pytest.raises(InvalidTokenResponse, match=r"(longer|more) than"):
            auth.token()
        for thread in renewals():
            thread.join(PLENTY)
        assert renewals() == []
        assert sum("/token" in line for line in server.requests) == 1
    assert server.sent < 24 * MAX_RESPONSE_SIZE


def test_a_stuck_renewal_gives_the_lock_of_its_store_back(make_auth: MakeAuth) -> None:
    store = MemoryStore()
    with EndlessServer(lambda _: SLOW["header"]()) as server:
        auth = make_auth(server.url, token_url=f"{server.url}/token", timeout=BUDGET, store=store)
        with pytest.raises(TokenEndpointUnavailable):
            auth.token()
        key = source_of(auth).settings.grant.resolved().key()
        with store.lock(key, PLENTY):
            pass  # within PLENTY, or it raises TimeoutError


def test_the_retries_of_a_session_s_adapter_are_not_those_of_a_token_request(
    server: MediaHoundServer,
) -> None:
    server.respond_to_token_requests(1, status=503, headers={"Retry-After": "3600"})
    with requests.Session() as session:
        retries = Retry(5, status_forcelist=[401, 503], backoff_factor=60)
        adapter = HTTPAdapter(max_retries=retries)
        session.mount("http://", adapter)
        options: dict[str, Any] = {**server.credentials, "session": session, "timeout": PLENTY}
        auth = mediahound_auth.requests.MediaHoundAuth(**options, store=MemoryStore())
        with pytest.raises(TokenEndpointUnavailable) as caught:
            auth.token()
        assert caught.value.status == 503
        assert len(server.token_requests) == 1
        options["client_secret"] = "wrong"
        auth = mediahound_auth.requests.MediaHoundAuth(**options)
        with pytest.raises(InvalidClientError):
            auth.token()
        assert len(server.token_requests) == 2
        assert adapter.max_retries is retries


def test_a_token_request_leaves_the_connections_of_a_session_alone(
    server: MediaHoundServer,
) -> None:
    with requests.Session() as session:
        adapter = HTTPAdapter(pool_maxsize=1, pool_block=True)
        session.mount("http://", adapter)
        options: dict[str, Any] = {**server.credentials, "session": session, "timeout": PLENTY}
        auth = mediahound_auth.requests.MediaHoundAuth(**options)
        url = f"{server.url}/status/200"
        with session.get(url, stream=True, timeout=PLENTY):  # it has the only connection
            began = time.monotonic()
            auth.token()
        assert time.monotonic() - began < PLENTY
