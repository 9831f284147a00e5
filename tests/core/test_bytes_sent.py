"""The bytes that are sent: the documented token request, and the token of API requests."""

from __future__ import annotations

import base64
import json
import socket
import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from libraries import Library

from mediahound_auth import MemoryStore
from mediahound_auth.testing import ClientAuth, MediaHoundServer

# MediaHound's own example.
CLIENT_ID, CLIENT_SECRET = "MyClientId", "MyClientSecret"
BASIC = b"Authorization: Basic TXlDbGllbnRJZDpNeUNsaWVudFNlY3JldA=="
FORM = b"grant_type=client_credentials&client_id=MyClientId&client_secret=MyClientSecret"

# All that the library may add, so that a request can be sent at all.
HTTP_NEEDS = {"host", "user-agent", "accept-encoding", "connection", "content-length"}

Call = Callable[[str, dict[str, Any]], int]


@pytest.fixture
def call(library: Library) -> Call:
    def call(url: str, options: dict[str, Any]) -> int:
        auth = library.MediaHoundAuth(**options, store=MemoryStore())
        return int(library.get(url, auth).status_code)

    return call


def lines_and_body(raw: bytes) -> tuple[list[bytes], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


def names(lines: list[bytes]) -> set[str]:
    return {line.partition(b":")[0].decode().lower() for line in lines[1:]}


def token_request_as_sent(
    call: Call, form: ClientAuth, client_id: str, client_secret: str, **options: str
) -> tuple[list[bytes], bytes]:
    """The head, in lines, and the body of the one token request that a call causes."""
    with MediaHoundServer(
        client_id=client_id, client_secret=client_secret, client_auth=form
    ) as server:
        credentials = {**server.credentials, "client_auth": form, **options}
        assert call(f"{server.url}/1.3/search/all/Gladiator", credentials) == 200
        [request] = server.token_requests
    return lines_and_body(request.raw)


def test_the_token_request_is_the_documented_one(call: Call) -> None:
    lines, body = token_request_as_sent(call, "mediahound", CLIENT_ID, CLIENT_SECRET)
    assert lines[0] == b"POST /1.3/security/oauth/token HTTP/1.1"
    assert BASIC in lines
    assert b"Accept: application/json" in lines
    assert b"Content-Type: application/x-www-form-urlencoded" in lines
    assert body == FORM
    assert names(lines) - HTTP_NEEDS == {"authorization", "accept", "content-type"}
    assert len(lines) == 1 + len(names(lines)), "no header is sent twice"


def test_client_secret_basic_is_that_of_rfc_6749(call: Call) -> None:
    lines, body = token_request_as_sent(call, "client_secret_basic", CLIENT_ID, CLIENT_SECRET)
    assert BASIC in lines
    assert b"Accept: application/json" in lines
    assert b"Content-Type: application/x-www-form-urlencoded" in lines
    assert body == b"grant_type=client_credentials"


def test_client_secret_post_has_the_secret_in_the_body_only(call: Call) -> None:
    lines, body = token_request_as_sent(call, "client_secret_post", CLIENT_ID, CLIENT_SECRET)
    assert names(lines) - HTTP_NEEDS == {"accept", "content-type"}
    assert body == FORM


AWKWARD_ID, AWKWARD_SECRET = "Zoë's client & co", "p%ss:wörd+/= 雪"


@pytest.mark.parametrize(
    ("form", "userinfo"),
    [
        ("mediahound", f"{AWKWARD_ID}:{AWKWARD_SECRET}"),
        ("client_secret_basic", f"{quote(AWKWARD_ID, safe='')}:{quote(AWKWARD_SECRET, safe='')}"),
    ],
    ids=["mediahound: raw UTF-8", "client_secret_basic: form-urlencoded"],
)
def test_awkward_characters_in_the_header_are_encoded_as_the_form_of_authentication_wants(
    call: Call, form: ClientAuth, userinfo: str
) -> None:
    lines, _ = token_request_as_sent(call, form, AWKWARD_ID, AWKWARD_SECRET)
    assert b"Authorization: Basic " + base64.b64encode(userinfo.encode()) in lines


@pytest.mark.parametrize("form", ["mediahound", "client_secret_post"])
def test_awkward_characters_in_the_body_are_percent_encoded(call: Call, form: ClientAuth) -> None:
    _, body = token_request_as_sent(call, form, AWKWARD_ID, AWKWARD_SECRET)
    assert body.isascii()
    assert parse_qsl(body.decode(), strict_parsing=True) == [
        ("grant_type", "client_credentials"),
        ("client_id", AWKWARD_ID),
        ("client_secret", AWKWARD_SECRET),
    ]


@pytest.mark.parametrize("form", ["mediahound", "client_secret_basic", "client_secret_post"])
def test_a_scope_is_requested_in_the_body(call: Call, form: ClientAuth) -> None:
    _, body = token_request_as_sent(call, form, CLIENT_ID, CLIENT_SECRET, scope="public_profile")
    assert ("scope", "public_profile") in parse_qsl(body.decode(), strict_parsing=True)


def test_an_api_call_carries_the_token_in_its_header_and_nowhere_else(
    call: Call, server: MediaHoundServer
) -> None:
    assert call(f"{server.url}/1.3/search/all/Gladiator", {**server.credentials}) == 200
    [request] = server.api_requests
    lines, body = lines_and_body(request.raw)
    [authorization] = [line for line in lines if line.lower().startswith(b"authorization:")]
    name, scheme, token = authorization.split(b" ")
    assert (name, scheme) == (b"Authorization:", b"Bearer")
    assert uuid.UUID(token.decode())
    assert lines[0] == b"GET /1.3/search/all/Gladiator HTTP/1.1"
    assert request.raw.count(token) == 1
    assert body == b""


def test_a_bare_socket_receives_the_documented_request(call: Call) -> None:
    received = bytearray()

    def answer(connection: socket.socket, content: bytes) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % len(content) + content
        )

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.settimeout(30)
        with connection:
            while not received.endswith(FORM):
                data = connection.recv(65536)
                assert data, "the client hung up before it had sent the documented body"
                received.extend(data)
            answer(connection, json.dumps({"access_token": "t", "token_type": "bearer"}).encode())
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            answer(connection, b"{}")

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(30)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        options = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "token_url": f"{url}/1.3/security/oauth/token",
            "timeout": 30,
        }
        status = call(f"{url}/1.3/search/all/Gladiator", options)
        thread.join()
    assert status == 200
    lines, body = lines_and_body(bytes(received))
    assert lines[0] == b"POST /1.3/security/oauth/token HTTP/1.1"
    assert {
        BASIC,
        b"Accept: application/json",
        b"Content-Type: application/x-www-form-urlencoded",
        b"Content-Length: %d" % len(FORM),
    } <= set(lines)
    assert body == FORM
