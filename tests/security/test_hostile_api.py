"""A hostile network on the way to the API: see hostile.py.

Whatever it does to a call, the call ends as it would with a header that somebody has set by hand,
and the token is neither lost nor doubled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hostile import ALL, HostileNetwork
from libraries import HTTPX, HTTPX_ASYNC, HTTPX_TRIO, REQUESTS, Library

from mediahound_auth.testing import MediaHoundServer, static_auth

# Beyond all time-outs, for busy machines: who is not back by then hangs.
pytestmark = pytest.mark.timeout(60)

# Seconds: for what ends by itself, however busy the machine is; for what hangs; for one token.
PATIENCE = 20.0
TIMEOUT = 1.0
BUDGET = 0.6
LIBRARIES = [REQUESTS, HTTPX, HTTPX_ASYNC, HTTPX_TRIO]


@pytest.fixture
def network(server: MediaHoundServer) -> Iterator[HostileNetwork]:
    with HostileNetwork(server.url) as network:
        yield network


@pytest.fixture(params=LIBRARIES, ids=str)
def library(request: pytest.FixtureRequest) -> Library:
    chosen: Library = request.param
    return chosen


def outcomes(
    library: Library,
    url: str,
    auth: Any,
    n: int = 1,
    *,
    timeout: float = PATIENCE,
    between: Callable[[], None] = lambda: None,
) -> list[Any]:
    """How `n` calls of one session or client end: in a status and a body, or in which error."""
    found: list[Any] = []
    # To read a response; whatever comes before that takes the time it takes.
    limits: Any = (PATIENCE, timeout)
    if not library.is_requests:
        limits = library.module.Timeout(PATIENCE, read=timeout)
    with library.client(auth, timeout=limits) as call:
        for _ in range(n):
            try:
                response = call("POST", url, b"Gladiator")
                found.append((response.status_code, response.content))
            except library.error as error:
                found.append(type(error))
            between()
    return found


def transport_error(library: Library) -> type[Exception]:
    found: type[Exception] = OSError if library.is_requests else library.module.TransportError
    return found


def timeout_for(fault: str) -> float:
    return TIMEOUT if fault.startswith("stops") else PATIENCE


def auth_for(library: Library, server: MediaHoundServer, *origins: str) -> Any:
    return library.auth(server, origins=origins)


# On trio, httpx leaves the body of a request that was reset to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <async_gen:pytest.PytestWarning")
@pytest.mark.filterwarnings(  # the same from Python 3.14 on
    "ignore:Exception ignored while finalizing generator <async_gen:pytest.PytestWarning"
)
@pytest.mark.parametrize("fault", ALL)
def test_a_call_ends_as_with_a_static_header_and_the_next_one_succeeds(
    server: MediaHoundServer, network: HostileNetwork, library: Library, fault: str
) -> None:
    auth = auth_for(library, server, network.url)
    token = auth.token()
    url = f"{network.url}/status/200"
    network.break_down(fault)
    timeout = timeout_for(fault)
    with ThreadPoolExecutor(2) as pool:
        ends = pool.map(
            lambda auth: outcomes(library, url, auth, timeout=timeout),
            [static_auth(token.access_token), auth],
        )
        by_hand, with_us = ends
    if fault.startswith("reset") and fault.endswith("request"):
        # In which error a reset ends depends on how far the client has come when it arrives.
        assert [issubclass(outcome, OSError | transport_error(library)) for outcome in with_us] == [
            True
        ]
    else:
        assert with_us == by_hand
    network.heal()
    assert outcomes(library, url, auth, 2) == [(200, b'{"status": 200}')] * 2
    assert auth.token() == token
    assert len(server.token_requests) == 1


@pytest.mark.parametrize(
    "fault", ["reset during the answer", "stops in the middle", "Content-Length too long"]
)
def test_an_error_of_a_retry_is_raised_to_the_caller(
    server: MediaHoundServer, network: HostileNetwork, library: Library, fault: str
) -> None:
    auth = auth_for(library, server, network.url)
    first = auth.token()
    server.revoke_tokens()
    network.plan("", fault)  # the 401 comes through
    url = f"{network.url}/status/200"
    [outcome] = outcomes(library, url, auth, timeout=timeout_for(fault))
    assert isinstance(outcome, type), outcome
    assert outcomes(library, url, auth)[0][0] == 200
    assert auth.token().access_token != first.access_token
    assert len(server.token_requests) == 2


def test_a_connection_that_is_closed_between_calls_costs_nothing(
    server: MediaHoundServer, network: HostileNetwork, library: Library
) -> None:
    network.break_down("closed after the answer")
    auth = auth_for(library, server, network.url)
    url = f"{network.url}/status/200"
    found = outcomes(library, url, auth, 5, between=network.wait_until_closed)
    assert [status for status, _ in found] == [200] * 5
    assert len(server.token_requests) == 1


def test_a_name_that_cannot_be_resolved_ends_as_with_a_static_header(
    server: MediaHoundServer, library: Library
) -> None:
    url = "https://api.mediahound.invalid"
    auth = auth_for(library, server, url)
    token = auth.token()
    by_hand = outcomes(library, f"{url}/status/200", static_auth(token.access_token))
    assert outcomes(library, f"{url}/status/200", auth) == by_hand
    assert isinstance(by_hand[0], type)
    assert outcomes(library, f"{server.url}/status/200", auth)[0][0] == 200
    assert auth.token() == token
    assert len(server.token_requests) == 1


@pytest.mark.parametrize("fault", ["refused", "reset during the answer", "stops in the middle"])
def test_a_401_is_returned_while_the_token_endpoint_is_unreachable(
    server: MediaHoundServer, network: HostileNetwork, library: Library, fault: str
) -> None:
    options: dict[str, Any] = {
        "token_url": server.token_url.replace(server.url, network.url),
        "origins": [server.url],
    }
    auth = library.auth(server, **options, timeout=BUDGET)
    patient = library.auth(server, **options, timeout=20)
    url = f"{server.url}/status/200"
    first = patient.token()
    server.revoke_tokens()
    network.break_down(fault)
    [(status, _)] = outcomes(library, url, auth)
    assert status == 401
    network.heal()
    renewed = patient.renew()
    assert renewed.access_token != first.access_token
    assert outcomes(library, url, auth) == [(200, b'{"status": 200}')]
    assert len({call.headers["Authorization"] for call in server.api_requests}) == 2
