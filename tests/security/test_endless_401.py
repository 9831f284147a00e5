"""A 401 with a body that does not end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
import httpx2
import pytest
import requests
import trio
from endless import BODIES, OK, EndlessServer

import mediahound_auth.httpx
import mediahound_auth.httpx2
import mediahound_auth.requests
from mediahound_auth._adapters import httpx_flow
from mediahound_auth.testing import MediaHoundServer

MIB = 1 << 20
PLENTY = 20.0
# The status of a streamed GET, and how many bytes of its body a caller finds who stops reading
# early. The arguments: the URL, the options of the auth object, whether its token requests are
# sent by the session or client itself.
Call = Callable[[str, dict[str, Any], bool], tuple[int, list[int]]]


def by_requests(url: str, options: dict[str, Any], own: bool) -> tuple[int, list[int]]:
    with requests.Session() as session:
        if own:
            options["session"] = session
        auth = mediahound_auth.requests.MediaHoundAuth(**options)
        with session.get(url, auth=auth, stream=True, timeout=PLENTY) as response:
            return response.status_code, [past.status_code for past in response.history]


def by_sync(library: Any, auth_module: Any) -> Call:
    def call(url: str, options: dict[str, Any], own: bool) -> tuple[int, list[int]]:
        with library.Client(timeout=PLENTY) as client:
            if own:
                options["client"] = client
            auth = auth_module.MediaHoundAuth(**options)
            with client.stream("GET", url, auth=auth) as response:
                return response.status_code, [past.status_code for past in response.history]

    return call


def by_async(library: Any, auth_module: Any, run: Callable[..., Any]) -> Call:
    def call(url: str, options: dict[str, Any], own: bool) -> tuple[int, list[int]]:
        async def main() -> tuple[int, list[int]]:
            async with library.AsyncClient(timeout=PLENTY) as client:
                auth = auth_module.MediaHoundAuth(**options)
                async with client.stream("GET", url, auth=auth) as response:
                    return response.status_code, [past.status_code for past in response.history]

        if not own:
            result: tuple[int, list[int]] = run(main)
            return result
        with library.Client() as sender:
            options["client"] = sender
            result = run(main)
            return result

    return call


def run_asyncio(main: Callable[..., Any]) -> Any:
    return asyncio.run(main())


CALLS: dict[str, Call] = {
    "requests": by_requests,
    "httpx": by_sync(httpx, mediahound_auth.httpx),
    "httpx2": by_sync(httpx2, mediahound_auth.httpx2),
    "asyncio": by_async(httpx, mediahound_auth.httpx, run_asyncio),
    "trio": by_async(httpx, mediahound_auth.httpx, trio.run),
    "httpx2 asyncio": by_async(httpx2, mediahound_auth.httpx2, run_asyncio),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    return CALLS[request.param]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the second that is spent on a body which does not come."""
    for module in (mediahound_auth.requests, httpx_flow):
        monkeypatch.setattr(module, "PATIENCE_FOR_401", 0.1)


@pytest.fixture(params=BODIES)
def api(request: pytest.FixtureRequest) -> Iterator[EndlessServer]:
    """It rejects the first token that it sees, in its own way, and accepts all others."""
    seen: list[str] = []

    def answer(line: str) -> Iterable[bytes]:
        seen.append(line)
        return BODIES[request.param]() if len(seen) == 1 else [OK]

    with EndlessServer(answer) as api:
        yield api


@pytest.mark.parametrize("own", [False, True], ids=["", "own transport"])
def test_the_retry_comes_soon_whatever_the_body_of_the_401(
    api: EndlessServer, server: MediaHoundServer, call: Call, own: bool
) -> None:
    options: dict[str, Any] = {**server.credentials, "origins": [api.url]}
    mediahound_auth.requests.MediaHoundAuth(**options).token()
    server.revoke_tokens()  # or there is no other token to retry with
    assert call(f"{api.url}/x", options, own)[0] == 200
    api.wait_until_closed()
    assert len(api.requests) == 2
    assert api.sent < 24 * MIB  # what fits into the buffers of the sockets


@pytest.mark.parametrize("own", [False, True], ids=["", "own transport"])
def test_a_401_that_is_returned_to_a_caller_who_streams_has_not_been_read(
    api: EndlessServer, server: MediaHoundServer, call: Call, own: bool
) -> None:
    options: dict[str, Any] = {**server.credentials, "origins": [api.url]}
    mediahound_auth.requests.MediaHoundAuth(**options).token()  # which the renewal returns again
    assert call(f"{api.url}/x", options, own) == (401, [])
    api.wait_until_closed()
    assert api.sent < 24 * MIB
