"""The history of a response contains no token."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests

from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer

PATHS = {
    "a redirect": "/redirect?to=/echo",
    "two redirects": "/redirect?to=/redirect%3Fto%3D/echo",
    "no redirect": "/echo",
}


class Program:
    def __init__(self, library: str, server: MediaHoundServer) -> None:
        self.library = library
        self.auth: Any = (RequestsAuth if library == "requests" else HttpxAuth)(
            **server.credentials
        )

    def post(self, url: str) -> Any:
        if self.library == "requests":
            return requests.post(url, data=b"body", auth=self.auth, timeout=10)
        if self.library == "httpx":
            with httpx.Client(auth=self.auth, follow_redirects=True) as client:
                return client.post(url, content=b"body")

        async def post() -> Any:
            async with httpx.AsyncClient(auth=self.auth, follow_redirects=True) as client:
                return await client.post(url, content=b"body")

        return asyncio.run(post())


@pytest.mark.parametrize("revoked", [False, True], ids=["valid", "revoked"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("library", ["requests", "httpx", "async httpx"])
def test_no_request_in_the_history_has_a_token(
    library: str, path: str, revoked: bool, client_id: str
) -> None:
    with MediaHoundServer(client_id=client_id, return_same_token=False) as server:
        program = Program(library, server)
        program.auth.token()
        if revoked:
            server.revoke_tokens()
        response = program.post(f"{server.url}{path}")
        used = [call.headers["Authorization"] for call in server.api_requests]
    assert response.status_code == 200
    assert response.request.headers["Authorization"] == used[-1] == f"Bearer {token_of(program)}"
    assert set(history_of(response)) == ({"Bearer ***"} if len(used) > 1 else set())


def history_of(response: Any) -> Iterator[str]:
    # With requests, each response in a history has one, too.
    for earlier in response.history:
        yield earlier.request.headers["Authorization"]
        # In old versions of requests, a response is in its own history.
        if isinstance(earlier, requests.Response) and earlier is not response:
            yield from history_of(earlier)


def token_of(program: Program) -> str:
    return str(program.auth.token().access_token)
