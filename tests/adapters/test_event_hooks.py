"""Event hooks of httpx that raise before the auth flow has seen the response."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
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


async def raise_an_error_of_the_library(response: Any) -> None:
    if response.status_code == 401:
        module = sys.modules[type(response).__module__.partition(".")[0]]
        raise module.RequestError("", request=response.request)


class OddError(LookupError):
    """An exception with a `response` of another kind."""

    response: Any = "not a response"


class ErrorWithoutResponse(LookupError):
    """An exception whose `response` cannot be read."""

    @property
    def response(self) -> None:
        raise ValueError("no response")


# Exceptions of a hook, which gets the library and the response.
RAISED: dict[str, Callable[[Any, Any], BaseException]] = {
    "LookupError": lambda *_: LookupError("of the user's own"),
    "one of the library": lambda library, response: library.ReadError("", request=response.request),
    "SystemExit": lambda *_: SystemExit(),
    "with another response": lambda *_: OddError(),
    "without its response": lambda *_: ErrorWithoutResponse(),
}


@pytest.mark.parametrize("raised", ["HTTPStatusError", *RAISED])
def test_the_call_after_one_whose_hook_raised_has_another_token(
    library: Any, raised: str, server: MediaHoundServer
) -> None:
    errors: list[BaseException] = []

    def hook(response: Any) -> None:
        if response.status_code == 401:
            if raised in RAISED:
                errors.append(RAISED[raised](library, response))
                raise errors[-1]
            response.raise_for_status()

    with library.Client(auth=auth_for(library, server), event_hooks={"response": [hook]}) as client:
        client.get(f"{server.url}/status/200")
        server.revoke_tokens()
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            client.get(f"{server.url}/status/200")
        assert [caught.value] == errors or type(caught.value) is library.HTTPStatusError
        for _ in range(3):
            assert client.get(f"{server.url}/status/200").status_code == 200
    assert len(server.token_requests) == 2


@each_backend
@pytest.mark.parametrize("hook", [raise_for_status_async, raise_an_error_of_the_library])
def test_an_event_hook_that_raises_in_a_task_costs_one_token_request(
    library: Any, hook: Any, backend: str, server: MediaHoundServer
) -> None:
    async def main() -> None:
        hooks = {"response": [hook]}
        async with library.AsyncClient(auth=auth_for(library, server), event_hooks=hooks) as client:
            await client.get(f"{server.url}/status/200")
            server.revoke_tokens()
            with pytest.raises((library.HTTPStatusError, library.RequestError)):
                await client.get(f"{server.url}/status/200")
            for _ in range(3):
                assert (await client.get(f"{server.url}/status/200")).status_code == 200

    anyio.run(main, backend=backend)
    assert len(server.token_requests) == 2


def test_a_401_of_another_api_in_a_hook_costs_no_token_request(
    library: Any, server: MediaHoundServer, elsewhere: MediaHoundServer
) -> None:
    def hook(_: Any) -> None:
        response = library.get(f"{elsewhere.url}/status/200")
        response.raise_for_status()

    auth = auth_for(library, server)
    auth.token()
    with library.Client(auth=auth, event_hooks={"response": [hook]}) as client:
        for _ in range(3):
            with pytest.raises(library.HTTPStatusError):
                client.get(f"{server.url}/status/200")
    auth.token()
    assert len(server.token_requests) == 1


def test_the_401_is_found_in_the_error_where_no_frame_has_it(
    library: Any, server: MediaHoundServer
) -> None:
    class Raising(library.HTTPTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            self.latest = super().handle_request(request)
            if self.latest.status_code == 401:
                self.latest.request = request
                raise library.HTTPStatusError("401", request=request, response=self.latest)
            return self.latest

    with library.Client(auth=auth_for(library, server), transport=Raising()) as client:
        client.get(f"{server.url}/status/200")
        server.revoke_tokens()
        with pytest.raises(library.HTTPStatusError):
            client.get(f"{server.url}/status/200")
        assert client.get(f"{server.url}/status/200").status_code == 200
    assert len(server.token_requests) == 2


def test_all_calls_after_one_whose_hook_raised_wait_for_one_token_request(
    library: Any, server: MediaHoundServer
) -> None:
    hooks = {"response": [raise_for_status]}
    with (
        library.Client(auth=auth_for(library, server), event_hooks=hooks) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        client.get(f"{server.url}/status/200")
        server.revoke_tokens()
        with pytest.raises(library.HTTPStatusError):
            client.get(f"{server.url}/status/200")
        with server.hold_token_requests() as held:
            first = pool.submit(client.get, f"{server.url}/status/200")
            held.wait_for(1)
            others = [pool.submit(client.get, f"{server.url}/status/200") for _ in range(7)]
            wait(others, timeout=0.2)
        assert {call.result().status_code for call in (first, *others)} == {200}
    assert len(server.token_requests) == 2


@pytest.mark.parametrize("kind", ["request", "response"])
def test_a_hook_that_raises_without_a_401_costs_no_token_request(
    library: Any, kind: str, server: MediaHoundServer
) -> None:
    def hook(_: Any) -> None:
        raise LookupError("of the user's own")

    auth = auth_for(library, server)
    auth.token()
    with library.Client(auth=auth, event_hooks={kind: [hook]}) as client:
        for _ in range(3):
            with pytest.raises(LookupError):
                client.get(f"{server.url}/status/403")
    auth.token()
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
