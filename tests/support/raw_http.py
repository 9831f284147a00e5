"""MediaHoundServer seen from the other end of a socket: requests by hand, without our package."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from mediahound_auth.testing import MediaHoundServer

TOKEN_PATH = "/1.3/security/oauth/token"
# The request that MediaHound documents, as curl puts it on the wire.
DOCUMENTED_BODY = b"grant_type=client_credentials&client_id=MyClientId&client_secret=MyClientSecret"
DOCUMENTED_REQUEST = (
    b"POST /1.3/security/oauth/token HTTP/1.1\r\n"
    b"Host: 127.0.0.1\r\n"
    b"Authorization: Basic TXlDbGllbnRJZDpNeUNsaWVudFNlY3JldA==\r\n"
    b"Accept: application/json\r\n"
    b"Content-Length: 79\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
    b"\r\n" + DOCUMENTED_BODY
)


class Reply(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def read_reply(connection: http.client.HTTPConnection) -> Reply:
    response = connection.getresponse()
    return Reply(response.status, response.headers, response.read())


def connect(server: MediaHoundServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port or 0, timeout=10)


def connect_socket(server: MediaHoundServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=10)


def call(
    server: MediaHoundServer,
    path: str,
    *,
    method: str = "GET",
    token: str | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    headers = dict(headers or {})
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    with contextlib.closing(connect(server)) as connection:
        connection.request(method, path, body, headers)
        return read_reply(connection)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def post_form(
    server: MediaHoundServer, form: Mapping[str, str], authorization: str | None = None
) -> Reply:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if authorization is not None:
        headers["Authorization"] = authorization
    return call(server, TOKEN_PATH, method="POST", body=urlencode(form).encode(), headers=headers)


def ask(server: MediaHoundServer, **changes: str) -> Reply:
    """Ask for a token as MediaHound documents, apart from `changes` to the form."""
    form = {
        "grant_type": "client_credentials",
        "client_id": server.client_id,
        "client_secret": server.client_secret,
    }
    return post_form(server, form | changes, basic(f"{server.client_id}:{server.client_secret}"))


def get_token(server: MediaHoundServer) -> str:
    token = ask(server).json["access_token"]
    assert isinstance(token, str)
    return token


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.123

    def __call__(self) -> float:
        return self.now
