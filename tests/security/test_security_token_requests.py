"""Attempts to have the client secret sent elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from libraries import HTTPX, HTTPX2, SYNC, Library

import mediahound_auth.requests
from mediahound_auth import InvalidClientError, InvalidTokenResponse, Token
from mediahound_auth.testing import MediaHoundServer

# Gets a token from this server, and another one if asked again.
GetToken = Callable[[MediaHoundServer], Token]


@pytest.fixture(params=SYNC, ids=str)
def library(request: pytest.FixtureRequest) -> Library:
    """Those without an event loop: a token request is made by a thread, whoever waits for it."""
    chosen: Library = request.param
    return chosen


def plain(library: Library, server: MediaHoundServer) -> Token:
    token: Token = library.auth(server).renew()
    return token


def with_a_busy_client(library: Library, server: MediaHoundServer) -> Token:
    """The session or client has settings of its own that are not meant for token requests."""
    headers = {"Authorization": "Basic c3RyYW5nZXI=", "X-Own": "1"}
    with library.own() as own:
        [busy] = own.values()
        if library.is_requests:
            busy.auth = ("stranger", "unknown")
        else:
            busy.auth = library.module.BasicAuth("stranger", "unknown")
            busy.base_url = "https://elsewhere.example/"
            busy.follow_redirects = True
        busy.headers.update(headers)
        busy.params = {"own": "1"}
        busy.cookies.set("own", "1")
        token: Token = library.auth(server, **own).renew()
        return token


@pytest.fixture(params=[plain, with_a_busy_client])
def get_token(request: pytest.FixtureRequest, library: Library) -> GetToken:
    return partial(request.param, library)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["elsewhere", "same origin"])
def test_a_redirect_of_the_token_endpoint_is_not_followed(
    status: int,
    where: str,
    get_token: GetToken,
    server: MediaHoundServer,
    elsewhere: MediaHoundServer,
) -> None:
    target = elsewhere.token_url if where == "elsewhere" else f"{server.url}/collect"
    server.respond_to_token_requests(1, status=status, headers={"Location": target})
    with pytest.raises(InvalidTokenResponse, match="redirect") as caught:
        get_token(server)
    assert caught.value.status == status
    assert len(server.token_requests) == 1
    assert server.api_requests == elsewhere.token_requests == elsewhere.api_requests == []


@pytest.mark.parametrize(
    "location", ["http://[", "//", "https://a b:x/", "\u00e9"], ids=["[", "//", "blank", "latin-1"]
)
def test_a_redirect_of_the_token_endpoint_to_an_invalid_url_is_reported_as_a_redirect(
    location: str, get_token: GetToken, server: MediaHoundServer
) -> None:
    server.respond_to_token_requests(1, status=302, headers={"Location": location})
    with pytest.raises(InvalidTokenResponse, match="redirect"):
        get_token(server)
    assert len(server.token_requests) == 1


def assert_as_documented(server: MediaHoundServer) -> None:
    """Every token request so far is the documented one, with nothing added to it."""
    basic = base64.b64encode(f"{server.client_id}:{server.client_secret}".encode()).decode()
    form = f"client_id={server.client_id}&client_secret={server.client_secret}"
    assert server.token_requests
    for request in server.token_requests:
        assert request.path == "/1.3/security/oauth/token"
        assert request.headers.get_all("Authorization") == [f"Basic {basic}"]
        assert request.headers["Cookie"] is request.headers["X-Own"] is None
        assert request.body.decode() == f"grant_type=client_credentials&{form}"


def test_a_token_request_has_nothing_of_the_session_or_client_that_sends_it(
    get_token: GetToken, server: MediaHoundServer
) -> None:
    get_token(server)
    assert_as_documented(server)


@pytest.fixture
def stranger_in_netrc(
    server: MediaHoundServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A .netrc with an entry for the host, which requests is seen to read."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login stranger password unknown\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    requests.get(f"{server.url}/echo", timeout=10)
    stranger = base64.b64encode(b"stranger:unknown").decode()
    assert server.api_requests.pop().headers["Authorization"] == f"Basic {stranger}"


@pytest.mark.usefixtures("stranger_in_netrc")
def test_a_netrc_does_not_replace_the_credentials(
    get_token: GetToken, server: MediaHoundServer
) -> None:
    get_token(server)
    assert_as_documented(server)


def call(library: Library, server: MediaHoundServer) -> int:
    return int(library.get(f"{server.url}/echo", library.auth(server)).status_code)


@pytest.mark.usefixtures("stranger_in_netrc")
def test_a_netrc_does_not_replace_the_token(library: Library, server: MediaHoundServer) -> None:
    assert call(library, server) == 200
    assert_as_documented(server)


def test_a_cookie_of_the_token_endpoint_does_not_come_back_to_it(
    library: Library, server: MediaHoundServer
) -> None:
    token = {"access_token": "t", "token_type": "bearer", "expires_in": 60}
    server.respond_to_token_requests(
        2, status=200, body=token, headers={"Set-Cookie": "a=1; Path=/"}
    )
    with library.own() as own:
        auth = library.auth(server, **own)
        auth.renew()
        auth.renew()
    assert len(server.token_requests) == 2
    assert_as_documented(server)


def test_hooks_of_a_session_see_no_token_request(server: MediaHoundServer) -> None:
    seen: list[object] = []
    with requests.Session() as session:
        session.hooks["response"].append(lambda response, **_: seen.append(response))
        options: dict[str, Any] = {**server.credentials, "session": session}
        mediahound_auth.requests.MediaHoundAuth(**options).token()
    assert seen == []


ONLY_HTTPX = pytest.mark.parametrize("library", [HTTPX, HTTPX2], indirect=True, ids=str)


@ONLY_HTTPX
def test_hooks_of_a_client_see_no_token_request(library: Library, server: MediaHoundServer) -> None:
    seen: list[object] = []
    with library.module.Client() as client:
        client.event_hooks = {"request": [seen.append], "response": [seen.append]}
        library.auth(server, client=client).token()
    assert seen == []


@ONLY_HTTPX
def test_a_client_that_raises_for_status_by_itself_changes_no_error(
    library: Library, server: MediaHoundServer
) -> None:
    def raise_for_status(response: Any) -> None:
        response.raise_for_status()

    with library.module.Client(event_hooks={"response": [raise_for_status]}) as client:
        auth = library.auth(server, client_secret="wrong", client=client)
        with pytest.raises(InvalidClientError, match="Bad client credentials"):
            auth.token()


@pytest.mark.parametrize(
    "access_token",
    ["t\r\nX-Evil: 1", "t\nX-Evil: 1", "t\r", "t X-Evil", "t\x00", "t\u2028X-Evil: 1", "t\x85"],
    ids=repr,
)
def test_an_access_token_cannot_add_headers(
    access_token: str, library: Library, server: MediaHoundServer
) -> None:
    body = {"access_token": access_token, "token_type": "bearer", "expires_in": 60}
    server.respond_to_token_requests(1, status=200, body=body)
    with pytest.raises(InvalidTokenResponse) as caught:
        call(library, server)
    assert "X-Evil" not in str(caught.value)
    assert server.api_requests == []
