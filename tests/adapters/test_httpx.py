"""MediaHoundAuth in httpx and httpx2: how it is passed, its errors and its methods."""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import ports
import pytest
import trustme

import mediahound_auth as mh
from mediahound_auth._core.grant import Grant
from mediahound_auth.testing import MediaHoundServer

if TYPE_CHECKING:  # at run time, the fixtures: httpx and httpx2
    from mediahound_auth.httpx import MediaHoundAuth

pytestmark = pytest.mark.anyio

# Called with the module, an auth object and a URL.
Way = Callable[[Any, Any, str], Any]
AsyncWay = Callable[[Any, Any, str], Awaitable[Any]]


def auth_of_the_client(httpx: Any, auth: MediaHoundAuth, url: str) -> Any:
    with httpx.Client(auth=auth) as client:
        return client.get(url)


def auth_of_the_call(httpx: Any, auth: MediaHoundAuth, url: str) -> Any:
    with httpx.Client(auth=("user", "password")) as client:
        return client.get(url, auth=auth)


def function_call(httpx: Any, auth: MediaHoundAuth, url: str) -> Any:
    return httpx.get(url, auth=auth)


def built_request(httpx: Any, auth: MediaHoundAuth, url: str) -> Any:
    with httpx.Client(auth=auth) as client:
        return client.send(client.build_request("GET", url))


def auth_of_send(httpx: Any, auth: MediaHoundAuth, url: str) -> Any:
    with httpx.Client() as client:
        return client.send(httpx.Request("GET", url), auth=auth)


def stream(httpx: Any, auth: MediaHoundAuth, url: str) -> Any:
    with httpx.Client(auth=auth) as client, client.stream("GET", url) as response:
        assert not response.is_stream_consumed
        response.read()
        return response


WAYS = [auth_of_the_client, auth_of_the_call, function_call, built_request, auth_of_send, stream]


async def async_auth_of_the_client(httpx: Any, auth: MediaHoundAuth, url: str) -> Any:
    async with httpx.AsyncClient(auth=auth) as client:
        return await client.get(url)


async def async_auth_of_the_call(httpx: Any, auth: MediaHoundAuth, url: str) -> Any:
    async with httpx.AsyncClient(auth=("user", "password")) as client:
        return await client.get(url, auth=auth)


async def async_built_request(httpx: Any, auth: MediaHoundAuth, url: str) -> Any:
    async with httpx.AsyncClient(auth=auth) as client:
        return await client.send(client.build_request("GET", url))


async def async_stream(httpx: Any, auth: MediaHoundAuth, url: str) -> Any:
    async with httpx.AsyncClient(auth=auth) as client, client.stream("GET", url) as response:
        assert not response.is_stream_consumed
        await response.aread()
        return response


ASYNC_WAYS = [async_auth_of_the_client, async_auth_of_the_call, async_built_request, async_stream]


def named(way: Callable[..., object]) -> str:
    return way.__name__.replace("_", " ")


@pytest.fixture
def auth(MediaHoundAuth: Any, server: MediaHoundServer) -> Any:
    return MediaHoundAuth(**server.credentials)


def wrong(MediaHoundAuth: Any, server: MediaHoundServer) -> Any:
    return MediaHoundAuth(server.client_id, "wrong", token_url=server.token_url)


def carried(server: MediaHoundServer) -> list[str | None]:
    return [call.headers["Authorization"] for call in server.api_requests]


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_call_carries_the_token_however_auth_is_passed(
    httpx: Any, way: Way, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    assert way(httpx, auth, f"{server.url}/1.3/search/all/Gladiator").status_code == 200
    assert carried(server) == [f"Bearer {auth.token().access_token}"]
    assert len(server.token_requests) == 1


@pytest.mark.parametrize("way", ASYNC_WAYS, ids=named)
async def test_an_async_call_carries_the_token_however_auth_is_passed(
    httpx: Any, way: AsyncWay, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    assert (await way(httpx, auth, f"{server.url}/1.3/search/all/Gladiator")).status_code == 200
    assert carried(server) == [f"Bearer {auth.token().access_token}"]
    assert len(server.token_requests) == 1


FAILURES: dict[str, tuple[Mapping[str, Any], type[mh.TokenRequestError]]] = {
    "client refused": (
        {"status": 401, "body": {"error": "invalid_client", "error_description": "No such"}},
        mh.InvalidClientError,
    ),
    "no time now": (
        {"status": 503, "headers": {"Retry-After": "600"}},
        mh.TokenEndpointUnavailable,
    ),
    "not a token": ({"status": 200, "body": "<html>"}, mh.InvalidTokenResponse),
    "other OAuth error": ({"status": 400, "body": {"error": "bad_day"}}, mh.TokenRequestError),
}


@pytest.fixture(params=list(FAILURES))
def failing(request: pytest.FixtureRequest, server: MediaHoundServer) -> type[Exception]:
    answer, kind = FAILURES[request.param]
    server.respond_to_token_requests(math.inf, **answer)
    return kind


@pytest.mark.parametrize("way", [auth_of_the_client, stream], ids=named)
def test_a_failure_is_an_httpx_error_and_has_the_request(
    httpx: Any, way: Way, failing: type[Exception], auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    with pytest.raises(httpx.RequestError) as caught:
        way(httpx, auth, f"{server.url}/status/200")
    assert isinstance(caught.value, failing)
    assert cast(Any, caught.value).request.url == f"{server.url}/status/200"
    assert server.api_requests == []


async def test_an_async_failure_is_the_same(
    httpx: Any, failing: type[Exception], auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    with pytest.raises(httpx.RequestError) as caught:
        await async_auth_of_the_client(httpx, auth, f"{server.url}/status/200")
    assert isinstance(caught.value, failing)
    assert cast(Any, caught.value).request.url == f"{server.url}/status/200"
    assert server.api_requests == []


def test_each_call_gets_its_own_request_with_a_failure_that_is_remembered(
    MediaHoundAuth: Any,
    httpx: Any,
    server: MediaHoundServer,
) -> None:
    auth, failed = wrong(MediaHoundAuth, server), []
    for path in ("/status/200", "/status/204"):
        with pytest.raises(httpx.RequestError) as caught:
            auth_of_the_client(httpx, auth, server.url + path)
        failed.append(caught.value.request.url.path)
    assert failed == ["/status/200", "/status/204"]


def test_the_error_has_the_fields_of_the_response(
    MediaHoundAuth: Any, server: MediaHoundServer
) -> None:
    with pytest.raises(mh.InvalidClientError, match="MEDIAHOUND_CLIENT_SECRET") as caught:
        wrong(MediaHoundAuth, server).token()
    assert (caught.value.status, caught.value.error) == (401, "invalid_client")
    assert caught.value.error_description == "Bad client credentials"


def test_httpxs_own_error_is_the_cause_where_there_was_no_response(
    MediaHoundAuth: Any,
    httpx: Any,
    server: MediaHoundServer,
) -> None:
    auth = MediaHoundAuth(**server.credentials, timeout=2)
    server.stop()
    number = int(server.url.rpartition(":")[2])
    with ports.held(number), pytest.raises(mh.TokenEndpointUnavailable) as caught:
        auth_of_the_client(httpx, auth, f"{server.url}/status/200")
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


async def test_token_and_atoken_give_the_token_that_calls_carry(
    httpx: Any, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    token = await auth.atoken()
    await async_auth_of_the_client(httpx, auth, f"{server.url}/status/200")
    assert auth.token() == token == await auth.atoken()
    assert carried(server) == [token.authorization]
    assert len(server.token_requests) == 1


async def test_renew_and_arenew_request_a_token_that_calls_then_carry(
    httpx: Any, MediaHoundAuth: Any, client_id: str
) -> None:
    with MediaHoundServer(client_id=client_id, return_same_token=False) as server:
        auth = MediaHoundAuth(**server.credentials)
        tokens = [auth.token(), auth.renew(), await auth.arenew()]
        assert len({token.access_token for token in tokens}) == len(server.token_requests) == 3
        auth_of_the_client(httpx, auth, f"{server.url}/status/200")
        assert carried(server) == [tokens[-1].authorization]


async def test_a_failed_renewal_leaves_the_token_at_hand_in_use(
    httpx: Any, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    token = auth.token()
    server.respond_to_token_requests(2, status=400, body={"error": "bad_day"})
    with pytest.raises(httpx.RequestError, match="bad_day"):
        auth.renew()
    with pytest.raises(httpx.RequestError, match="bad_day"):
        await auth.arenew()
    assert auth_of_the_client(httpx, auth, f"{server.url}/status/200").status_code == 200
    assert carried(server) == [token.authorization]


def test_after_forget_the_next_call_requests_another_token(
    httpx: Any,
    MediaHoundAuth: Any,
    server: MediaHoundServer,
) -> None:
    store = mh.MemoryStore()
    auth = MediaHoundAuth(**server.credentials, store=store)
    key = Grant(server.client_id, server.client_secret, server.token_url).key()
    token = auth.token()
    assert store.load(key) == token
    auth.forget()
    assert store.load(key) is None
    auth_of_the_client(httpx, auth, f"{server.url}/status/200")
    assert len(server.token_requests) == 2


def test_a_client_secret_callable_that_fails_is_httpxs_error_in_forget_too(
    MediaHoundAuth: Any,
    httpx: Any,
    server: MediaHoundServer,
) -> None:
    def fail() -> str:
        raise KeyError("vault")

    auth = MediaHoundAuth(server.client_id, fail, token_url=server.token_url)
    with pytest.raises(httpx.RequestError, match="client_secret"):
        auth.token()
    with pytest.raises(httpx.RequestError, match="client_secret"):
        auth.forget()


async def test_the_token_is_requested_with_the_given_clients_tls_settings(
    MediaHoundAuth: Any, httpx: Any, tls_server: MediaHoundServer, ca: trustme.CA
) -> None:
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    with httpx.Client(verify=trusting) as client:
        auth = MediaHoundAuth(**tls_server.credentials, client=client)
        async with httpx.AsyncClient(verify=trusting, auth=auth) as calls:
            assert (await calls.get(f"{tls_server.url}/status/200")).status_code == 200


def test_a_certificate_of_an_unknown_authority_fails_the_call_at_once(
    MediaHoundAuth: Any,
    httpx: Any,
    tls_server: MediaHoundServer,
) -> None:
    with pytest.raises(mh.TokenEndpointUnavailable, match="certificate verify failed") as caught:
        MediaHoundAuth(**tls_server.credentials).token()
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


def test_of_the_given_client_nothing_but_the_transport_is_used(
    httpx: Any, MediaHoundAuth: Any, server: MediaHoundServer
) -> None:
    seen: list[object] = []
    with httpx.Client(
        auth=("user", "password"),
        headers={"X-Api-Key": "mine"},
        cookies={"session": "mine"},
        params={"page": "1"},
        base_url="https://elsewhere.example",
        event_hooks={"request": [seen.append], "response": [seen.append]},
    ) as client:
        MediaHoundAuth(**server.credentials, client=client).token()
    [request] = server.token_requests
    assert request.headers["Authorization"].startswith("Basic ")
    assert request.headers["X-Api-Key"] is request.headers["Cookie"] is None
    assert "?" not in request.path
    assert seen == [], "hooks of the client saw the token request, secret and all"
