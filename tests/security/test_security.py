"""Where a token may go: attempts to get it elsewhere, over real sockets, with every adapter."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests

import mediahound_auth.httpx
import mediahound_auth.requests
from mediahound_auth import ConfigurationError, MemoryStore
from mediahound_auth.testing import MediaHoundServer

ADAPTERS = [mediahound_auth.requests, mediahound_auth.httpx]
ADAPTER_IDS = ["requests", "httpx"]

Headers = dict[str, str] | None


def get_with_requests(options: dict[str, Any], urls: list[str], headers: Headers) -> list[int]:
    auth = mediahound_auth.requests.MediaHoundAuth(**options)
    return [requests.get(u, auth=auth, headers=headers, timeout=10).status_code for u in urls]


def get_with_httpx(options: dict[str, Any], urls: list[str], headers: Headers) -> list[int]:
    auth = mediahound_auth.httpx.MediaHoundAuth(**options)
    with httpx.Client(auth=auth) as client:
        return [client.get(url, headers=headers).status_code for url in urls]


def get_with_async_httpx(options: dict[str, Any], urls: list[str], headers: Headers) -> list[int]:
    auth = mediahound_auth.httpx.MediaHoundAuth(**options)

    async def get() -> list[int]:
        async with httpx.AsyncClient(auth=auth) as client:
            return [(await client.get(url, headers=headers)).status_code for url in urls]

    return asyncio.run(get())


class Client:
    """Makes calls with one auth object for `server`."""

    def __init__(self, get: Callable[..., list[int]], server: MediaHoundServer) -> None:
        self._get = get
        self._server = server

    def get(self, *urls: str, headers: Headers = None, **options: Any) -> list[int]:
        """The statuses of the answers."""
        return self._get({**self._server.credentials, **options}, list(urls), headers)


@pytest.fixture(
    params=[get_with_requests, get_with_httpx, get_with_async_httpx],
    ids=["requests", "httpx", "async httpx"],
)
def client(request: pytest.FixtureRequest, server: MediaHoundServer) -> Client:
    return Client(request.param, server)


@pytest.fixture
def elsewhere() -> Iterator[MediaHoundServer]:
    """A foreign origin. It answers 401 to whatever comes without a token of its own."""
    with MediaHoundServer(client_id="somebody else") as elsewhere:
        yield elsewhere


def authorizations(server: MediaHoundServer) -> list[str | None]:
    return [call.headers["Authorization"] for call in server.api_requests]


def by_name(server: MediaHoundServer) -> str:
    """The same server under another name, and so another origin."""
    return server.url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("own", [None, "Bearer of-my-own"], ids=["no header", "a header"])
def test_a_call_to_a_foreign_origin_passes_untouched_and_its_401_triggers_nothing(
    own: str | None, client: Client, server: MediaHoundServer, elsewhere: MediaHoundServer
) -> None:
    headers = None if own is None else {"Authorization": own}
    assert client.get(f"{elsewhere.url}/echo", headers=headers) == [401]
    assert authorizations(elsewhere) == [own]
    assert server.token_requests == elsewhere.token_requests == []


def test_the_first_call_to_each_foreign_origin_logs_a_warning_that_names_the_option(
    client: Client,
    server: MediaHoundServer,
    elsewhere: MediaHoundServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    foreign = [elsewhere.url, by_name(elsewhere), by_name(server)]
    assert client.get(*[f"{url}/{n}" for n in range(3) for url in foreign]) == [401] * 9
    said = [record.getMessage() for record in caplog.records if record.name == "mediahound_auth"]
    assert len(said) == 3
    for url, line in zip(foreign, said, strict=True):
        assert f"origins=['{url}']" in line


def prepare_with_requests(urls: list[str]) -> None:
    auth = mediahound_auth.requests.MediaHoundAuth("id", "secret", store=MemoryStore())
    for url in urls:
        requests.Request("GET", url, auth=auth).prepare()


def prepare_with_httpx(urls: list[str]) -> None:
    auth = mediahound_auth.httpx.MediaHoundAuth("id", "secret", store=MemoryStore())
    for url in urls:
        next(auth.sync_auth_flow(httpx.Request("GET", url)))


@pytest.mark.parametrize("prepare", [prepare_with_requests, prepare_with_httpx], ids=ADAPTER_IDS)
def test_warnings_about_foreign_origins_are_bounded(
    prepare: Callable[[list[str]], None], caplog: pytest.LogCaptureFixture
) -> None:
    prepare([f"https://host-{number}.example/" for number in range(500)])
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert 10 <= len(caplog.records) <= 100


def test_an_origin_that_the_option_names_gets_the_token(
    client: Client, server: MediaHoundServer
) -> None:
    url = f"{by_name(server)}/echo"
    assert client.get(url) == [401]
    assert client.get(url, origins=[by_name(server).upper()]) == [200]


LURES = {
    "user name": "http://127.0.0.1:{here}@127.0.0.1:{there}/",
    "user name and password": "http://a:b@127.0.0.1:{there}/",
    "backslash": "http://127.0.0.1:{there}\\@127.0.0.1:{here}/",
    "slashes in the path": "http://127.0.0.1:{there}//127.0.0.1:{here}/",
    "fragment": "http://127.0.0.1:{there}#@127.0.0.1:{here}/",
    "query": "http://127.0.0.1:{there}?@127.0.0.1:{here}/",
    "capitals": "HTTP://LOCALHOST:{there}/#http://127.0.0.1:{here}/",
}


@pytest.mark.parametrize("lure", LURES.values(), ids=LURES)
def test_no_spelling_of_a_url_lures_the_token_to_a_foreign_origin(
    lure: str, client: Client, server: MediaHoundServer, elsewhere: MediaHoundServer
) -> None:
    here, there = (origin.url.rpartition(":")[2] for origin in (server, elsewhere))
    url = lure.format(here=here, there=there)
    try:
        client.get(url)
    except (httpx.InvalidURL, requests.RequestException):
        assert elsewhere.api_requests == []
    # Whichever of the two the library takes it for: a token is for the one that knows it.
    sent = [value or "" for value in authorizations(elsewhere)]
    assert not [value for value in sent if value.startswith("Bearer")]
    assert sent or all(call.status == 200 for call in server.api_requests)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=ADAPTER_IDS)
@pytest.mark.parametrize(
    "options",
    [
        {"token_url": "http://api.mediahound.com/1.3/security/oauth/token"},
        {"token_url": "http://127.0.0.1.example/token"},
        {"token_url": "http://localhost.example/token"},
        {"origins": ["http://api.mediahound.com"]},
    ],
    ids=str,
)
def test_http_is_refused_beyond_loopback(adapter: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="https"):
        adapter.MediaHoundAuth("id", "secret", **options)


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com/no-scheme", "/relative"])
def test_a_url_that_the_library_cannot_send_is_left_to_the_library(
    url: str, client: Client, server: MediaHoundServer
) -> None:
    with pytest.raises((httpx.UnsupportedProtocol, requests.RequestException)):
        client.get(url)
    assert server.token_requests == []
