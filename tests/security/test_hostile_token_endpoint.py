"""A hostile network on the way to the token endpoint: see hostile.py.

Whatever it does, nobody waits beyond the time budget, the error is one of ours and one of the HTTP
library's, and when it is over, there is a token.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests
import trio
from hostile import ALL, EARLY, ENDLESS, HostileNetwork

from mediahound_auth import Token, TokenEndpointUnavailable, TokenRequestError
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer

# Beyond all budgets, for busy machines: who is not back by then hangs.
pytestmark = pytest.mark.timeout(60)

BUDGET = 0.8  # seconds, which whoever meets a fault waits to the end
PLENTY = 20.0  # seconds, of which whoever meets none needs few
HARMLESS = {
    *("reset after the answer", "closed after the answer", "a byte at a time"),
    "100 Continue, 50 times",
}
# How each library asks for a token, and its base error.
LIBRARIES: dict[str, tuple[Callable[[Any], Token], type[Exception]]] = {
    "requests": (lambda auth: auth.token(), requests.RequestException),
    "httpx": (lambda auth: auth.token(), httpx.RequestError),
    "asyncio": (lambda auth: asyncio.run(auth.atoken()), httpx.RequestError),
    "trio": (lambda auth: trio.run(auth.atoken), httpx.RequestError),
}


@pytest.fixture
def network(server: MediaHoundServer) -> Iterator[HostileNetwork]:
    with HostileNetwork(server.url) as network:
        yield network


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def auth_through(
    network: HostileNetwork, server: MediaHoundServer, library: str, budget: float = BUDGET
) -> RequestsAuth | HttpxAuth:
    kind = RequestsAuth if library == "requests" else HttpxAuth
    url = server.token_url.replace(server.url, network.url)
    return kind(server.client_id, server.client_secret, token_url=url, timeout=budget)


@pytest.mark.parametrize("fault", [*ALL, *ENDLESS])
def test_it_ends_in_a_token_or_in_a_typed_error_and_when_it_is_over_in_a_token(
    server: MediaHoundServer, network: HostileNetwork, library: str, fault: str
) -> None:
    auth = auth_through(network, server, library)
    patient = auth_through(network, server, library, PLENTY)  # shares what the other one knows
    ask, base = LIBRARIES[library]
    network.break_down(fault)
    # urllib3 reads a negative length as none, and the answer until the connection is closed.
    if fault in HARMLESS or (library, fault) == ("requests", "Content-Length negative"):
        assert ask(patient).access_token
    else:
        with pytest.raises(TokenRequestError) as caught:
            ask(auth)
        assert isinstance(caught.value, base)
        assert server.client_secret not in f"{caught.value!r} {caught.value.__cause__!r}"
    network.heal()
    assert patient.renew().access_token == ask(auth).access_token


@pytest.mark.parametrize(("fault", "arrived"), [(EARLY[2], 1), ("reset during the answer", 2)])
def test_a_fault_that_passes_costs_another_attempt_and_no_call(
    server: MediaHoundServer, network: HostileNetwork, library: str, fault: str, arrived: int
) -> None:
    auth = auth_through(network, server, library, PLENTY)
    network.plan(fault)
    assert LIBRARIES[library][0](auth).access_token
    # What got through and was lost on its way back is the same token once more.
    assert len(server.token_requests) == arrived


def test_an_answer_that_never_ends_holds_up_32_threads_for_one_budget(
    server: MediaHoundServer, network: HostileNetwork, library: str
) -> None:
    # Long enough that all are there before it is over.
    auth = auth_through(network, server, library, 2.0)
    ask, _ = LIBRARIES[library]
    network.break_down("stops in the middle")
    start = threading.Barrier(32)

    def call(_: int) -> type[Exception] | None:
        start.wait(30)
        try:
            ask(auth)
        except TokenEndpointUnavailable as error:
            return type(error)
        return None

    with ThreadPoolExecutor(32) as pool:
        errors = set(pool.map(call, range(32)))
    assert None not in errors
    assert len(server.token_requests) <= 1  # none where the machine is too slow for the budget


def test_a_name_that_cannot_be_resolved_is_told(client_id: str, library: str) -> None:
    kind = RequestsAuth if library == "requests" else HttpxAuth
    url = "https://api.mediahound.invalid/token"
    auth = kind(client_id, "secret", token_url=url, timeout=BUDGET)
    ask, base = LIBRARIES[library]
    with pytest.raises(TokenEndpointUnavailable, match=r"api\.mediahound\.invalid") as caught:
        ask(auth)
    assert isinstance(caught.value, base)


@pytest.mark.parametrize("fault", ["refused", "stops before the answer", "garbage"])
def test_a_renewal_in_the_background_that_fails_leaves_the_old_token_in_use(
    server: MediaHoundServer, network: HostileNetwork, library: str, fault: str
) -> None:
    auth = auth_through(network, server, library)
    patient = auth_through(network, server, library, PLENTY)
    ask, _ = LIBRARIES[library]
    token = ask(patient)
    network.break_down(fault)
    shared = source_of(auth).shared
    shared.state = shared.state._replace(renew_at=0.0)  # it is due for renewal
    assert ask(auth) == token
    if shared.renewal is not None:
        assert shared.renewal._done.wait(time.monotonic() + 20)
    assert isinstance(shared.state.failure, TokenRequestError)
    assert ask(auth) == token
    network.heal()
    assert patient.renew().access_token == token.access_token


def test_a_handshake_that_is_never_answered_ends_with_the_budget(
    client_id: str, library: str
) -> None:
    kind = RequestsAuth if library == "requests" else HttpxAuth
    ask, base = LIBRARIES[library]
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, but nobody accepts
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/token"
        with pytest.raises(TokenEndpointUnavailable) as caught:
            ask(kind(client_id, "secret", token_url=url, timeout=BUDGET))
    assert isinstance(caught.value, base)
