"""A hostile network on the way to the token endpoint: see hostile.py.

Whatever it does, nobody waits beyond the time budget, the error is one of ours and one of the HTTP
library's, and when it is over, there is a token.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hostile import ALL, EARLY, ENDLESS, HostileNetwork
from libraries import HTTPX, HTTPX_ASYNC, HTTPX_TRIO, REQUESTS, Library

from mediahound_auth import TokenEndpointUnavailable, TokenRequestError
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth.testing import MediaHoundServer

# Beyond all budgets, for busy machines: who is not back by then hangs.
pytestmark = pytest.mark.timeout(60)

BUDGET = 0.4  # seconds, which whoever meets a fault waits to the end
PLENTY = 20.0  # seconds, of which whoever meets none needs few
HARMLESS = {
    *("reset after the answer", "closed after the answer", "a byte at a time"),
    "100 Continue, 50 times",
}
LIBRARIES = [REQUESTS, HTTPX, HTTPX_ASYNC, HTTPX_TRIO]


@pytest.fixture
def network(server: MediaHoundServer) -> Iterator[HostileNetwork]:
    with HostileNetwork(server.url) as network:
        yield network


@pytest.fixture(params=LIBRARIES, ids=str)
def library(request: pytest.FixtureRequest) -> Library:
    chosen: Library = request.param
    return chosen


def auth_through(
    network: HostileNetwork, server: MediaHoundServer, library: Library, budget: float = BUDGET
) -> Any:
    url = server.token_url.replace(server.url, network.url)
    return library.auth(server, token_url=url, timeout=budget)


@pytest.mark.parametrize("fault", [*ALL, *ENDLESS])
def test_a_fault_ends_in_a_token_or_a_typed_error_and_afterwards_in_a_token(
    server: MediaHoundServer, network: HostileNetwork, library: Library, fault: str
) -> None:
    auth = auth_through(network, server, library, BUDGET / 2)
    patient = auth_through(network, server, library, PLENTY)  # shares what the other one knows
    network.break_down(fault)
    # urllib3 reads a negative length as none, and the answer until the connection is closed.
    if fault in HARMLESS or (library.is_requests and fault == "Content-Length negative"):
        assert library.token(patient).access_token
    else:
        with pytest.raises(TokenRequestError) as caught:
            library.token(auth)
        assert isinstance(caught.value, library.error)
        assert server.client_secret not in f"{caught.value!r} {caught.value.__cause__!r}"
    network.heal()
    assert patient.renew().access_token == library.token(auth).access_token


@pytest.mark.parametrize(("fault", "arrived"), [(EARLY[2], 1), ("reset during the answer", 2)])
def test_a_transient_fault_costs_another_attempt_and_no_call(
    server: MediaHoundServer, network: HostileNetwork, library: Library, fault: str, arrived: int
) -> None:
    auth = auth_through(network, server, library, PLENTY)
    network.plan(fault)
    assert library.token(auth).access_token
    # What got through and was lost on its way back is the same token once more.
    assert len(server.token_requests) == arrived


@pytest.mark.parametrize("library", [REQUESTS, HTTPX_ASYNC], indirect=True, ids=str)
def test_a_response_that_never_ends_holds_up_32_threads_for_one_time_limit(
    server: MediaHoundServer, network: HostileNetwork, library: Library
) -> None:
    # Long enough that all are there before it is over.
    auth = auth_through(network, server, library, 2.0)
    network.break_down("stops in the middle")
    start = threading.Barrier(32)

    def call(_: int) -> type[Exception] | None:
        start.wait(30)
        try:
            library.token(auth)
        except TokenEndpointUnavailable as error:
            return type(error)
        return None

    with ThreadPoolExecutor(32) as pool:
        errors = set(pool.map(call, range(32)))
    assert None not in errors
    assert len(server.token_requests) <= 1  # none where the machine is too slow for the budget


def test_a_name_that_cannot_be_resolved_is_reported(client_id: str, library: Library) -> None:
    url = "https://api.mediahound.invalid/token"
    auth = library.MediaHoundAuth(client_id, "secret", token_url=url, timeout=BUDGET)
    with pytest.raises(TokenEndpointUnavailable, match=r"api\.mediahound\.invalid") as caught:
        library.token(auth)
    assert isinstance(caught.value, library.error)


@pytest.mark.parametrize("fault", ["refused", "stops before the answer", "garbage"])
def test_a_renewal_in_the_background_that_fails_leaves_the_old_token_in_use(
    server: MediaHoundServer, network: HostileNetwork, library: Library, fault: str
) -> None:
    auth = auth_through(network, server, library)
    patient = auth_through(network, server, library, PLENTY)
    token = library.token(patient)
    network.break_down(fault)
    shared = source_of(auth).shared
    shared.state = shared.state._replace(renew_at=0.0)  # it is due for renewal
    assert library.token(auth) == token
    if shared.renewal is not None:
        assert shared.renewal._done.wait(time.monotonic() + 20)
    assert isinstance(shared.state.failure, TokenRequestError)
    assert library.token(auth) == token
    network.heal()
    assert patient.renew().access_token == token.access_token


def test_a_handshake_that_is_never_completed_ends_with_the_time_limit(
    client_id: str, library: Library
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, but nobody accepts
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/token"
        with pytest.raises(TokenEndpointUnavailable) as caught:
            library.token(
                library.MediaHoundAuth(client_id, "secret", token_url=url, timeout=BUDGET)
            )
    assert isinstance(caught.value, library.error)
