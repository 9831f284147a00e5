"""Event hooks of httpx that raise before the auth flow has seen the response."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import httpx
import httpx2
import pytest

import mediahound_auth.httpx
import mediahound_auth.httpx2
from mediahound_auth.testing import MediaHoundServer

pytestmark = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
each_backend = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def auth_for(library: Any, server: MediaHoundServer) -> Any:
    return getattr(mediahound_auth, library.__name__).MediaHoundAuth(**server.credentials)


def raise_for_status(response: Any) -> None:
    response.raise_for_status()


async def raise_for_status_async(response: Any) -> None:
    response.raise_for_status()


def raise_something(response: Any) -> None:
    if response.status_code == 401:
        raise LookupError("of the user's own")


@pytest.mark.parametrize("hook", [raise_for_status, raise_something])
def test_the_call_after_one_whose_hook_raised_has_another_token(
    library: Any, hook: Any, server: MediaHoundServer
) -> None:
    hooks = {"response": [hook]}
    with library.Client(auth=auth_for(library, server), event_hooks=hooks) as client:
        client.get(f"{server.url}/status/200")
        server.revoke_tokens()
        with pytest.raises((library.HTTPStatusError, LookupError)):
            client.get(f"{server.url}/status/200")
        for _ in range(3):
            assert client.get(f"{server.url}/status/200").status_code == 200
    assert len(server.token_requests) == 2


@each_backend
def test_an_event_hook_that_raises_in_a_task_costs_one_token_request(
    library: Any, backend: str, server: MediaHoundServer
) -> None:
    async def main() -> None:
        hooks = {"response": [raise_for_status_async]}
        async with library.AsyncClient(auth=auth_for(library, server), event_hooks=hooks) as client:
            await client.get(f"{server.url}/status/200")
            server.revoke_tokens()
            with pytest.raises(library.HTTPStatusError):
                await client.get(f"{server.url}/status/200")
            for _ in range(3):
                assert (await client.get(f"{server.url}/status/200")).status_code == 200

    anyio.run(main, backend=backend)
    assert len(server.token_requests) == 2


def test_a_hook_that_raises_for_another_status_costs_no_token_request(
    library: Any, server: MediaHoundServer
) -> None:
    hooks = {"response": [raise_for_status]}
    with library.Client(auth=auth_for(library, server), event_hooks=hooks) as client:
        for _ in range(3):
            with pytest.raises(library.HTTPStatusError):
                client.get(f"{server.url}/status/403")
    assert len(server.token_requests) == 1


def test_a_call_that_finds_no_connection_costs_no_token_request(
    library: Any, server: MediaHoundServer
) -> None:
    auth = auth_for(library, server)
    auth.token()

    def break_off(_: Any) -> Any:
        raise library.ReadError("of the transport")

    with library.Client(auth=auth, transport=library.MockTransport(break_off)) as client:
        for _ in range(3):
            with pytest.raises(library.ReadError):
                client.get(f"{server.url}/status/200")
    assert len(server.token_requests) == 1


@each_backend
def test_a_task_that_is_cancelled_costs_no_token_request(
    library: Any, backend: str, server: MediaHoundServer
) -> None:
    auth = auth_for(library, server)
    scopes: list[Any] = []

    async def cancelled(_: Any) -> Any:
        if backend == "trio":
            scopes[-1].cancel()
        else:
            task = asyncio.current_task()
            assert task
            task.cancel()
        await anyio.sleep_forever()

    async def main() -> None:
        await auth.atoken()
        transport = library.MockTransport(cancelled)
        async with library.AsyncClient(auth=auth, transport=transport) as client:
            for _ in range(3):
                with anyio.CancelScope() as scope:
                    scopes.append(scope)
                    try:
                        await client.get(f"{server.url}/status/200")
                    except asyncio.CancelledError:
                        task = asyncio.current_task()
                        assert task
                        task.uncancel()
        await auth.atoken()

    anyio.run(main, backend=backend)
    assert len(server.token_requests) == 1


@each_backend
def test_a_task_whose_call_breaks_off_costs_no_token_request(
    library: Any, backend: str, server: MediaHoundServer
) -> None:
    auth = auth_for(library, server)

    async def break_off(_: Any) -> Any:
        raise library.ReadError("of the transport")

    async def main() -> None:
        transport = library.MockTransport(break_off)
        async with library.AsyncClient(auth=auth, transport=transport) as client:
            for _ in range(3):
                with pytest.raises(library.ReadError):
                    await client.get(f"{server.url}/status/200")

    anyio.run(main, backend=backend)
    assert len(server.token_requests) == 1
