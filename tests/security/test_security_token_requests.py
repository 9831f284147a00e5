"""Where the client secret may go: to the token endpoint as configured, whatever is in the way."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

import mediahound_auth.httpx
import mediahound_auth.requests
from mediahound_auth import InvalidClientError, InvalidTokenResponse, Token
from mediahound_auth.testing import MediaHoundServer

# Gets a token from this server, and another one if asked again.
GetToken = Callable[[MediaHoundServer], Token]


def get_with_requests(server: MediaHoundServer) -> Token:
    options: dict[str, Any] = {**server.credentials}
    return mediahound_auth.requests.MediaHoundAuth(**options).renew()


def get_with_httpx(server: MediaHoundServer) -> Token:
    options: dict[str, Any] = {**server.credentials}
    return mediahound_auth.httpx.MediaHoundAuth(**options).renew()


def get_with_a_busy_session(server: MediaHoundServer) -> Token:
    """The session has settings of its own that are not meant for token requests."""
    with requests.Session() as session:
        session.auth = ("stranger", "unknown")
        session.headers.update({"Authorization": "Basic c3RyYW5nZXI=", "X-Own": "1"})
        session.params = {"own": "1"}
        session.cookies.set("own", "1")
        options: dict[str, Any] = {**server.credentials, "session": session}
        return mediahound_auth.requests.MediaHoundAuth(**options).renew()


def get_with_a_busy_client(server: MediaHoundServer) -> Token:
    """The client has settings of its own that are not meant for token requests."""
    with httpx.Client(
        auth=("stranger", "unknown"),
        headers={"Authorization": "Basic c3RyYW5nZXI=", "X-Own": "1"},
        params={"own": "1"},
        cookies={"own": "1"},
        base_url="https://elsewhere.example/",
        follow_redirects=True,
    ) as client:
        options: dict[str, Any] = {**server.credentials, "client": client}
        return mediahound_auth.httpx.MediaHoundAuth(**options).renew()


@pytest.fixture(
    params=[get_with_requests, get_with_httpx, get_with_a_busy_session, get_with_a_busy_client],
    ids=["requests", "httpx", "requests with session=", "httpx with client="],
)
def get_token(request: pytest.FixtureRequest) -> GetToken:
    chosen: GetToken = request.param
    return chosen


@pytest.fixture
def elsewhere() -> Iterator[MediaHoundServer]:
    with MediaHoundServer(client_id="somebody else") as elsewhere:
        yield elsewhere


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
def test_a_redirect_of_the_token_endpoint_to_nowhere_is_told_as_a_redirect(
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
def test_a_netrc_does_not_replace_the_client_s_credentials(
    get_token: GetToken, server: MediaHoundServer
) -> None:
    get_token(server)
    assert_as_documented(server)


def call_with_requests(server: MediaHoundServer) -> int:
    options: dict[str, Any] = {**server.credentials}
    auth = mediahound_auth.requests.MediaHoundAuth(**options)
    return requests.get(f"{server.url}/echo", auth=auth, timeout=10).status_code


def call_with_httpx(server: MediaHoundServer) -> int:
    options: dict[str, Any] = {**server.credentials}
    auth = mediahound_auth.httpx.MediaHoundAuth(**options)
    return httpx.get(f"{server.url}/echo", auth=auth).status_code


CALLS = pytest.mark.parametrize(
    "call", [call_with_requests, call_with_httpx], ids=["requests", "httpx"]
)
Call = Callable[[MediaHoundServer], int]


@CALLS
@pytest.mark.usefixtures("stranger_in_netrc")
def test_a_netrc_does_not_replace_the_token(call: Call, server: MediaHoundServer) -> None:
    assert call(server) == 200
    assert_as_documented(server)


@pytest.mark.parametrize("adapter", ["requests", "httpx"])
def test_a_cookie_of_the_token_endpoint_does_not_come_back_to_it(
    adapter: str, server: MediaHoundServer
) -> None:
    token = {"access_token": "t", "token_type": "bearer", "expires_in": 60}
    server.respond_to_token_requests(
        2, status=200, body=token, headers={"Set-Cookie": "a=1; Path=/"}
    )
    with requests.Session() as session, httpx.Client() as client:
        options: dict[str, Any] = {**server.credentials}
        if adapter == "requests":
            auth = mediahound_auth.requests.MediaHoundAuth(**options, session=session)
            auth.renew()
            auth.renew()
        else:
            flow = mediahound_auth.httpx.MediaHoundAuth(**options, client=client)
            flow.renew()
            flow.renew()
    assert len(server.token_requests) == 2
    assert_as_documented(server)


def test_hooks_of_a_session_see_no_token_request(server: MediaHoundServer) -> None:
    seen: list[object] = []
    with requests.Session() as session:
        session.hooks["response"].append(lambda response, **_: seen.append(response))
        options: dict[str, Any] = {**server.credentials, "session": session}
        mediahound_auth.requests.MediaHoundAuth(**options).token()
    assert seen == []


def test_hooks_of_a_client_see_no_token_request(server: MediaHoundServer) -> None:
    seen: list[object] = []
    hooks = {"request": [seen.append], "response": [seen.append]}
    with httpx.Client(event_hooks=hooks) as client:
        options: dict[str, Any] = {**server.credentials, "client": client}
        mediahound_auth.httpx.MediaHoundAuth(**options).token()
    assert seen == []


def test_a_client_that_raises_for_status_by_itself_changes_no_error(
    server: MediaHoundServer,
) -> None:
    def raise_for_status(response: httpx.Response) -> None:
        response.raise_for_status()

    with httpx.Client(event_hooks={"response": [raise_for_status]}) as client:
        options: dict[str, Any] = {**server.credentials, "client_secret": "wrong", "client": client}
        with pytest.raises(InvalidClientError, match="Bad client credentials"):
            mediahound_auth.httpx.MediaHoundAuth(**options).token()


@pytest.mark.parametrize(
    "access_token",
    ["t\r\nX-Evil: 1", "t\nX-Evil: 1", "t\r", "t X-Evil", "t\x00", "t\u2028X-Evil: 1", "t\x85"],
    ids=repr,
)
@CALLS
def test_an_access_token_cannot_bring_headers_of_its_own(
    access_token: str, call: Call, server: MediaHoundServer
) -> None:
    body = {"access_token": access_token, "token_type": "bearer", "expires_in": 60}
    server.respond_to_token_requests(1, status=200, body=body)
    with pytest.raises(InvalidTokenResponse) as caught:
        call(server)
    assert "X-Evil" not in str(caught.value)
    assert server.api_requests == []
