"""Limits of responses with transports and adapters of users."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from endless import OK, EndlessServer
from requests.adapters import HTTPAdapter
from urllib3.response import HTTPResponse

import mediahound_auth.httpx
import mediahound_auth.requests
from mediahound_auth import TokenEndpointUnavailable
from mediahound_auth._adapters.token_transport import BoundedBackend, ResponseBounds, with_values
from mediahound_auth.testing import MediaHoundServer

TOKEN = b'{"access_token": "t", "token_type": "bearer", "expires_in": 60}'
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(TOKEN) + TOKEN


def test_a_token_request_goes_over_a_unix_socket(tmp_path: Path, client_id: str) -> None:
    path = str(tmp_path / "s")

    def serve() -> None:
        client, _ = listener.accept()
        with client, client.makefile("rb") as reader:
            while reader.readline().strip():
                pass
            client.sendall(RESPONSE)
            reader.read()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
            url = "http://localhost/token"
            auth = mediahound_auth.httpx.MediaHoundAuth(
                client_id, "secret", token_url=url, client=client
            )
            assert auth.token().access_token == "t"
        thread.join()


class Sleeper:
    """A network backend that only notes how long it is to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_a_pause_between_connection_attempts_ends_at_the_time_limit() -> None:
    sleeper = Sleeper()
    BoundedBackend(sleeper, ResponseBounds(20.0)).sleep(3600.0)
    assert 0 < sleeper.slept[0] <= 20.0
    with pytest.raises(TimeoutError):
        BoundedBackend(sleeper, ResponseBounds(0.0)).sleep(1.0)


class Plain:
    """An object of the user's."""

    def __init__(self) -> None:
        self.count = 0
        self.limit = 3
        self.ended = False

    def step(self) -> int:
        self.count += 1
        return self.limit

    def __del__(self) -> None:
        self.ended = True


def test_an_object_with_other_values_shares_all_others_with_the_original() -> None:
    plain = Plain()
    other = with_values(plain, limit=5)
    assert other.step() == 5
    assert plain.step() == 3
    assert plain.count == other.count == 2
    del other
    assert not plain.ended


class WithoutResponseClass:
    """A connection that is none of http.client's."""

    def __init__(self, **options: Any) -> None:
        raise ConnectionError(f"no way to {options['host']}")


def test_a_connection_of_another_kind_is_used_as_it_is(client_id: str) -> None:
    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
            pool.ConnectionCls = WithoutResponseClass
            return pool

    with requests.Session() as session:
        session.mount("http://", Adapter())
        auth = mediahound_auth.requests.MediaHoundAuth(
            client_id, "secret", token_url="http://localhost/t", session=session, timeout=0.2
        )
        with pytest.raises(TokenEndpointUnavailable):
            auth.token()


@pytest.mark.parametrize("read1", [True, False], ids=["urllib3 2", "urllib3 1"])
@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "encoded"])
def test_the_history_has_a_short_401_unless_it_is_encoded(
    server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch, read1: bool, encoded: bool
) -> None:
    header = b"Content-Encoding: identity\r\n" if encoded else b""
    rejection = b"HTTP/1.1 401 Unauthorized\r\n%bContent-Length: 2\r\n\r\nno" % header
    if not read1:
        monkeypatch.delattr(HTTPResponse, "read1")
        monkeypatch.delattr(HTTPResponse.__mro__[1], "read1")
    seen: list[str] = []

    def answer(line: str) -> list[bytes]:
        seen.append(line)
        return [rejection] if len(seen) == 1 else [OK]

    with EndlessServer(answer) as api, requests.Session() as session:
        auth = mediahound_auth.requests.MediaHoundAuth(**server.credentials, origins=[api.url])
        auth.token()
        server.revoke_tokens()
        response = session.get(f"{api.url}/x", auth=auth, timeout=20)
        assert response.text == "ok"
        assert response.history[0].content == (b"no" if read1 and not encoded else b"")
        assert api.connections == (1 if read1 else 2)


def test_a_401_that_a_hook_has_read_keeps_its_body(server: MediaHoundServer) -> None:
    class Reading(mediahound_auth.requests.MediaHoundAuth):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.hooks["response"].append(read)
            return super().__call__(request)

    def read(response: requests.Response, **_: Any) -> None:
        assert response.content

    auth = Reading(**server.credentials)
    auth.token()
    server.revoke_tokens()
    response = requests.get(f"{server.url}/status/200", auth=auth, timeout=20)
    assert response.status_code == 200
    assert b"invalid_token" in response.history[0].content


def test_a_401_that_an_event_hook_has_read_keeps_its_body(server: MediaHoundServer) -> None:
    auth = mediahound_auth.httpx.MediaHoundAuth(**server.credentials)
    auth.token()
    server.revoke_tokens()
    hooks = {"response": [httpx.Response.read]}
    with httpx.Client(auth=auth, event_hooks=hooks) as client:
        response = client.get(f"{server.url}/status/200")
    assert response.status_code == 200
    assert b"invalid_token" in response.history[0].content
