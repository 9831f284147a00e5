"""Calls in Pyodide, which has no threads and no sockets: see the script `pyodide`.

Each transport is a function. The token endpoint behind them issues a token for each request; the
API accepts the latest one.
"""

# ruff: noqa: D102, F704  # Pyodide runs this file in an event loop
from __future__ import annotations

import io
import platform
import threading

import httpx
import requests
from requests.adapters import BaseAdapter

from mediahound_auth import TokenEndpointUnavailable
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth

ORIGIN = "https://api.mediahound.com"
CREDENTIALS = ("MyClientId", "MyClientSecret")

token_requests: list[bytes] = []


def respond(path: str, authorization: str) -> tuple[int, bytes]:
    """The status and the body of a response."""
    if path.endswith("/token"):
        assert authorization == "Basic TXlDbGllbnRJZDpNeUNsaWVudFNlY3JldA=="
        token_requests.append(b"")
        token = f'{{"access_token": "token-{len(token_requests)}", "token_type": "bearer",'
        return 200, f'{token} "expires_in": 3600}}'.encode()
    accepted = authorization == f"Bearer token-{len(token_requests)}"
    return (200, b"{}") if accepted and path != "/revoked" else (401, b"")


def revoke() -> None:
    """Let the API reject the token at hand."""
    token_requests.append(b"")


class Adapter(BaseAdapter):
    """The transport of requests."""

    def send(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> requests.Response:
        response = requests.Response()
        status, body = respond(request.path_url, request.headers["Authorization"])
        response.status_code, response.raw = status, io.BytesIO(body)
        response.headers["Content-Type"] = "application/json"
        response.request, response.url, response.connection = request, request.url, self
        return response

    def close(self) -> None:
        pass


def send(request: httpx.Request) -> httpx.Response:
    """The transport of httpx."""
    status, body = respond(request.url.path, request.headers["Authorization"])
    return httpx.Response(status, content=body, headers={"Content-Type": "application/json"})


try:
    threading.Thread(target=print).start()
    raise AssertionError("there are threads")
except RuntimeError as error:
    print(f"Python {platform.python_version()}: {error}")

session = requests.Session()
session.mount("https://", Adapter())
session.auth = RequestsAuth(*CREDENTIALS, session=session)
assert session.get(f"{ORIGIN}/1").status_code == 200
revoke()
assert session.get(f"{ORIGIN}/2").status_code == 200
print("requests: ok, and after a 401")

transport = httpx.MockTransport(send)
sender = httpx.Client(transport=transport)
auth = HttpxAuth(*CREDENTIALS, scope="httpx", client=sender)
with httpx.Client(transport=transport, auth=auth) as client:
    assert client.get(f"{ORIGIN}/1").status_code == 200
    revoke()
    assert client.get(f"{ORIGIN}/2").status_code == 200
print("httpx: ok, and after a 401")

auth = HttpxAuth(*CREDENTIALS, scope="tasks", client=sender)
async with httpx.AsyncClient(transport=transport, auth=auth) as tasks:
    try:
        await tasks.get(f"{ORIGIN}/1")
        raise AssertionError("a task has got a token")
    except TokenEndpointUnavailable as unavailable:
        print(f"httpx async: {unavailable}")
    auth.token()
    assert (await tasks.get(f"{ORIGIN}/2")).status_code == 200
    revoke()
    assert (await tasks.get(f"{ORIGIN}/3")).status_code == 401
    auth.renew()
    assert (await tasks.get(f"{ORIGIN}/4")).status_code == 200
print("httpx async: ok with a token that token() or renew() has fetched")
