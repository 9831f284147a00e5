"""Attempts to have the token sent to another origin."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from libraries import SYNC, Library

from mediahound_auth import ConfigurationError, MemoryStore
from mediahound_auth.testing import MediaHoundServer

EACH = pytest.mark.parametrize("library", SYNC, indirect=True, ids=str)

Headers = dict[str, str] | None


class Client:
    """Makes calls with one auth object for `server`."""

    def __init__(self, library: Library, server: MediaHoundServer) -> None:
        self._library = library
        self._server = server

    def get(self, *urls: str, headers: Headers = None, **options: Any) -> list[int]:
        """The statuses of the responses."""
        auth = self._library.auth(self._server, **options)
        with self._library.client(auth) as call:
            return [call("GET", url, headers=headers).status_code for url in urls]


@pytest.fixture
def client(library: Library, server: MediaHoundServer) -> Client:
    return Client(library, server)


def authorizations(server: MediaHoundServer) -> list[str | None]:
    return [call.headers["Authorization"] for call in server.api_requests]


def by_name(server: MediaHoundServer) -> str:
    """The same server under another name, and so another origin."""
    return server.url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("own", [None, "Bearer of-my-own"], ids=["no header", "a header"])
def test_a_call_to_another_origin_has_no_token_and_its_401_causes_no_renewal(
    own: str | None, client: Client, server: MediaHoundServer, elsewhere: MediaHoundServer
) -> None:
    headers = None if own is None else {"Authorization": own}
    assert client.get(f"{elsewhere.url}/echo", headers=headers) == [401]
    assert authorizations(elsewhere) == [own]
    assert server.token_requests == elsewhere.token_requests == []


def test_the_first_call_to_another_origin_logs_a_warning_that_names_the_option(
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


@EACH
def test_warnings_about_other_origins_are_limited(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    auth = library.MediaHoundAuth("id", "secret", store=MemoryStore())
    for number in range(500):
        request = library.module.Request("GET", f"https://host-{number}.example/")
        if library.is_requests:
            auth(request.prepare())
        else:
            next(auth.sync_auth_flow(request))
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert 10 <= len(caplog.records) <= 100


def test_an_origin_that_the_option_names_gets_the_token(
    client: Client, server: MediaHoundServer
) -> None:
    url = f"{by_name(server)}/echo"
    assert client.get(url) == [401]
    assert client.get(url, origins=[by_name(server).upper()]) == [200]


def invalid_url(library: Library) -> list[type[Exception]]:
    """What httpx raises for a URL that it does not understand, which is none of its errors."""
    return [] if library.is_requests else [library.module.InvalidURL]


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
def test_no_spelling_of_a_url_sends_the_token_to_another_origin(
    lure: str,
    library: Library,
    client: Client,
    server: MediaHoundServer,
    elsewhere: MediaHoundServer,
) -> None:
    here, there = (origin.url.rpartition(":")[2] for origin in (server, elsewhere))
    url = lure.format(here=here, there=there)
    try:
        client.get(url)
    except (library.error, *invalid_url(library)):
        assert elsewhere.api_requests == []
    # Whichever of the two the library takes it for: a token is for the one that knows it.
    sent = [value or "" for value in authorizations(elsewhere)]
    assert not [value for value in sent if value.startswith("Bearer")]
    assert sent or all(call.status == 200 for call in server.api_requests)


@EACH
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
def test_http_is_rejected_except_on_loopback(library: Library, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="https"):
        library.MediaHoundAuth("id", "secret", **options)


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com/no-scheme", "/relative"])
def test_a_url_that_the_library_cannot_send_is_left_to_the_library(
    url: str, library: Library, client: Client, server: MediaHoundServer
) -> None:
    with pytest.raises(library.error):
        client.get(url)
    assert server.token_requests == []
