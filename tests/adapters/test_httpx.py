"""MediaHoundAuth in httpx: every way to pass it, what it raises, and its own methods."""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx
import ports
import pytest
import trustme

import mediahound_auth as mh
from mediahound_auth._core.grant import Grant
from mediahound_auth.httpx import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

pytestmark = pytest.mark.anyio

Way = Callable[[MediaHoundAuth, str], httpx.Response]
AsyncWay = Callable[[MediaHoundAuth, str], Awaitable[httpx.Response]]


def auth_of_the_client(auth: MediaHoundAuth, url: str) -> httpx.Response:
    with httpx.Client(auth=auth) as client:
        return client.get(url)


def auth_of_the_call(auth: MediaHoundAuth, url: str) -> httpx.Response:
    with httpx.Client(auth=("user", "password")) as client:
        return client.get(url, auth=auth)


def function_call(auth: MediaHoundAuth, url: str) -> httpx.Response:
    return httpx.get(url, auth=auth)


def built_request(auth: MediaHoundAuth, url: str) -> httpx.Response:
    with httpx.Client(auth=auth) as client:
        return client.send(client.build_request("GET", url))


def auth_of_send(auth: MediaHoundAuth, url: str) -> httpx.Response:
    with httpx.Client() as client:
        return client.send(httpx.Request("GET", url), auth=auth)


def stream(auth: MediaHoundAuth, url: str) -> httpx.Response:
    with httpx.Client(auth=auth) as client, client.stream("GET", url) as response:
        assert not response.is_stream_consumed
        response.read()
        return response


WAYS = [auth_of_the_client, auth_of_the_call, function_call, built_request, auth_of_send, stream]


async def async_auth_of_the_client(auth: MediaHoundAuth, url: str) -> httpx.Response:
    async with httpx.AsyncClient(auth=auth) as client:
        return await client.get(url)


async def async_auth_of_the_call(auth: MediaHoundAuth, url: str) -> httpx.Response:
    async with httpx.AsyncClient(auth=("user", "password")) as client:
        return await client.get(url, auth=auth)


async def async_built_request(auth: MediaHoundAuth, url: str) -> httpx.Response:
    async with httpx.AsyncClient(auth=auth) as client:
        return await client.send(client.build_request("GET", url))


async def async_stream(auth: MediaHoundAuth, url: str) -> httpx.Response:
    async with httpx.AsyncClient(auth=auth) as client, client.stream("GET", url) as response:
        assert not response.is_stream_consumed
        await response.aread()
        return response


ASYNC_WAYS = [async_auth_of_the_client, async_auth_of_the_call, async_built_request, async_stream]


def named(way: Callable[..., object]) -> str:
    return way.__name__.replace("_", " ")


@pytest.fixture
def auth(server: MediaHoundServer) -> MediaHoundAuth:
    return MediaHoundAuth(**server.credentials)


def wrong(server: MediaHoundServer) -> MediaHoundAuth:
    return MediaHoundAuth(server.client_id, "wrong", token_url=server.token_url)


def carried(server: MediaHoundServer) -> list[str | None]:
    return [call.headers["Authorization"] for call in server.api_requests]


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_call_carries_the_token_however_auth_is_passed(
    way: Way, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    assert way(auth, f"{server.url}/1.3/search/all/Gladiator").status_code == 200
    assert carried(server) == [f"Bearer {auth.token().access_token}"]
    assert len(server.token_requests) == 1


@pytest.mark.parametrize("way", ASYNC_WAYS, ids=named)
async def test_an_async_call_carries_the_token_however_auth_is_passed(
    way: AsyncWay, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    assert (await way(auth, f"{server.url}/1.3/search/all/Gladiator")).status_code == 200
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
def test_a_failure_is_both_httpxs_and_ours_and_knows_the_request_that_was_to_be_sent(
    way: Way, failing: type[Exception], auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    with pytest.raises(httpx.RequestError) as caught:
        way(auth, f"{server.url}/status/200")
    assert isinstance(caught.value, failing)
    assert caught.value.request.url == f"{server.url}/status/200"
    assert server.api_requests == []


async def test_an_async_failure_is_the_same(
    failing: type[Exception], auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    with pytest.raises(httpx.RequestError) as caught:
        await async_auth_of_the_client(auth, f"{server.url}/status/200")
    assert isinstance(caught.value, failing)
    assert caught.value.request.url == f"{server.url}/status/200"
    assert server.api_requests == []


def test_each_call_gets_its_own_request_with_a_failure_that_is_remembered(
    server: MediaHoundServer,
) -> None:
    auth, failed = wrong(server), []
    for path in ("/status/200", "/status/204"):
        with pytest.raises(httpx.RequestError) as caught:
            auth_of_the_client(auth, server.url + path)
        failed.append(caught.value.request.url.path)
    assert failed == ["/status/200", "/status/204"]


def test_the_endpoints_words_are_on_the_error(server: MediaHoundServer) -> None:
    with pytest.raises(mh.InvalidClientError, match="MEDIAHOUND_CLIENT_SECRET") as caught:
        wrong(server).token()
    assert (caught.value.status, caught.value.error) == (401, "invalid_client")
    assert caught.value.error_description == "Bad client credentials"


def test_httpxs_own_error_is_the_cause_where_there_was_no_answer(
    server: MediaHoundServer,
) -> None:
    auth = MediaHoundAuth(**server.credentials, timeout=5)
    server.stop()
    number = int(server.url.rpartition(":")[2])
    with ports.held(number), pytest.raises(mh.TokenEndpointUnavailable) as caught:
        auth_of_the_client(auth, f"{server.url}/status/200")
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


async def test_token_and_atoken_give_the_token_that_calls_carry(
    auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    token = await auth.atoken()
    await async_auth_of_the_client(auth, f"{server.url}/status/200")
    assert auth.token() == token == await auth.atoken()
    assert carried(server) == [token.authorization]
    assert len(server.token_requests) == 1


async def test_renew_and_arenew_ask_now_and_calls_carry_what_they_got(client_id: str) -> None:
    with MediaHoundServer(client_id=client_id, return_same_token=False) as server:
        auth = MediaHoundAuth(**server.credentials)
        tokens = [auth.token(), auth.renew(), await auth.arenew()]
        assert len({token.access_token for token in tokens}) == len(server.token_requests) == 3
        auth_of_the_client(auth, f"{server.url}/status/200")
        assert carried(server) == [tokens[-1].authorization]


async def test_a_failed_renewal_leaves_the_token_at_hand_in_use(
    auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    token = auth.token()
    server.respond_to_token_requests(2, status=400, body={"error": "bad_day"})
    with pytest.raises(httpx.RequestError, match="bad_day"):
        auth.renew()
    with pytest.raises(httpx.RequestError, match="bad_day"):
        await auth.arenew()
    assert auth_of_the_client(auth, f"{server.url}/status/200").status_code == 200
    assert carried(server) == [token.authorization]


def test_after_forget_the_next_call_asks_for_another_token(
    server: MediaHoundServer,
) -> None:
    store = mh.MemoryStore()
    auth = MediaHoundAuth(**server.credentials, store=store)
    key = Grant(server.client_id, server.client_secret, server.token_url).key()
    token = auth.token()
    assert store.load(key) == token
    auth.forget()
    assert store.load(key) is None
    auth_of_the_client(auth, f"{server.url}/status/200")
    assert len(server.token_requests) == 2


def test_a_client_secret_callable_that_fails_is_httpxs_error_in_forget_too(
    server: MediaHoundServer,
) -> None:
    def fail() -> str:
        raise KeyError("vault")

    auth = MediaHoundAuth(server.client_id, fail, token_url=server.token_url)
    with pytest.raises(httpx.RequestError, match="client_secret"):
        auth.token()
    with pytest.raises(httpx.RequestError, match="client_secret"):
        auth.forget()


@pytest.fixture
def tls(client_id: str) -> Iterator[tuple[MediaHoundServer, ssl.SSLContext]]:
    authority = trustme.CA()
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(serving)
    authority.configure_trust(trusting)
    with MediaHoundServer(client_id=client_id, ssl_context=serving) as server:
        yield server, trusting


async def test_the_token_is_requested_with_the_given_clients_tls_settings(
    tls: tuple[MediaHoundServer, ssl.SSLContext],
) -> None:
    server, trusting = tls
    with httpx.Client(verify=trusting) as client:
        auth = MediaHoundAuth(**server.credentials, client=client)
        async with httpx.AsyncClient(verify=trusting, auth=auth) as calls:
            assert (await calls.get(f"{server.url}/status/200")).status_code == 200


def test_a_certificate_nobody_vouches_for_fails_the_call_at_once(
    tls: tuple[MediaHoundServer, ssl.SSLContext],
) -> None:
    with pytest.raises(mh.TokenEndpointUnavailable, match="certificate verify failed") as caught:
        MediaHoundAuth(**tls[0].credentials).token()
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


def test_of_the_given_client_nothing_but_the_transport_is_used(server: MediaHoundServer) -> None:
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
