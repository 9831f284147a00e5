"""Calls on asyncio and trio: the event loop is not blocked, and cancelling is safe."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import to_thread
from anyio.lowlevel import checkpoint

import mediahound_auth as mh
from mediahound_auth.testing import MediaHoundServer

if TYPE_CHECKING:  # at run time, the fixtures: httpx and httpx2
    import httpx

    from mediahound_auth.httpx import MediaHoundAuth

pytestmark = pytest.mark.anyio


@pytest.fixture
def auth(MediaHoundAuth: Any, server: MediaHoundServer) -> Any:
    return MediaHoundAuth(**server.credentials)


def queue(httpx: Any) -> Any:
    """A transport with 4 requests at a time: httpx takes its time with hundreds in its pool."""
    places = anyio.Semaphore(4)

    class Queue(httpx.AsyncHTTPTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            async with places:
                response = await super().handle_async_request(request)
                await response.aread()
                return response

    return Queue(limits=httpx.Limits(keepalive_expiry=None))


@pytest.fixture
async def client(httpx: Any, auth: MediaHoundAuth) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(auth=auth, timeout=None, transport=queue(httpx)) as client:
        yield client


async def test_1000_tasks_on_a_cold_start_cause_one_token_request(
    httpx: Any, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    tasks = 1_000
    sent = []

    def api(request: Any) -> Any:
        sent.append(request.headers["Authorization"])
        return httpx.Response(200)

    # 1,000 calls over a network would be a test of httpx, and take seconds.
    async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(api)) as client:
        with server.hold_token_requests() as hold:
            async with anyio.create_task_group() as group:
                for _ in range(tasks):
                    group.start_soon(client.get, f"{server.url}/status/200")
                await to_thread.run_sync(hold.wait_for, 1)
                hold.release()
    assert sent == [f"Bearer {auth.token().access_token}"] * tasks
    assert len(server.token_requests) == 1


async def test_100_tasks_whose_token_was_revoked_cause_one_token_request(
    client: httpx.AsyncClient, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    statuses = []

    async def call() -> None:
        statuses.append((await client.get(f"{server.url}/status/200")).status_code)

    await auth.atoken()
    server.revoke_tokens()
    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(call)
    assert statuses == [200] * 100
    assert len(server.token_requests) == 2


async def test_the_loop_goes_on_while_a_token_is_requested(
    client: httpx.AsyncClient, server: MediaHoundServer
) -> None:
    finished = []

    async def call() -> None:
        finished.append(await client.get(f"{server.url}/status/200"))

    with server.hold_token_requests() as hold:
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await to_thread.run_sync(hold.wait_for, 1)
            # A loop that waited for the token would come to none of these, nor to the release.
            for _ in range(1_000):
                await checkpoint()
            assert finished == []
            hold.release()
    assert [response.status_code for response in finished] == [200]


async def test_the_event_loop_runs_while_a_rejected_token_is_replaced(
    client: httpx.AsyncClient, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    await auth.atoken()
    server.revoke_tokens()
    with server.hold_token_requests() as hold:
        async with anyio.create_task_group() as group:
            group.start_soon(client.get, f"{server.url}/status/200")
            await to_thread.run_sync(hold.wait_for, 1)
            for _ in range(1_000):
                await checkpoint()
            assert [call.status for call in server.api_requests] == [401]
            hold.release()
    assert [call.status for call in server.api_requests] == [401, 200]


async def test_cancelling_the_first_task_does_not_affect_the_others(
    client: httpx.AsyncClient, server: MediaHoundServer
) -> None:
    statuses = []

    async def call() -> None:
        statuses.append((await client.get(f"{server.url}/status/200")).status_code)

    with server.hold_token_requests() as hold:
        async with anyio.create_task_group() as others:
            async with anyio.create_task_group() as first:
                first.start_soon(call)
                await to_thread.run_sync(hold.wait_for, 1)
                for _ in range(10):
                    others.start_soon(call)
                for _ in range(100):
                    await checkpoint()
                first.cancel_scope.cancel()
            assert statuses == []
            hold.release()
    assert statuses == [200] * 10
    assert len(server.token_requests) == 1


async def test_a_call_that_is_rejected_while_a_renewal_brings_its_token_back_gets_another_one(
    client: httpx.AsyncClient, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    token = (await auth.atoken()).access_token
    statuses = []

    async def call() -> None:
        statuses.append((await client.get(f"{server.url}/status/200")).status_code)

    answer = {"access_token": token, "token_type": "bearer", "expires_in": 100}
    server.respond_to_token_requests(1, status=200, body=answer)
    with server.hold_token_requests() as hold:
        async with anyio.create_task_group() as group:
            group.start_soon(auth.arenew)
            await to_thread.run_sync(hold.wait_for, 1)
            server.revoke_tokens()
            group.start_soon(call)
            while [call.status for call in server.api_requests] != [401]:
                await checkpoint()
            for _ in range(1_000):
                await checkpoint()
            hold.release()
    assert statuses == [200]
    assert len(server.token_requests) == 3


async def test_a_deadline_of_the_callers_own_is_kept(
    client: httpx.AsyncClient, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    with server.hold_token_requests() as hold:
        with anyio.move_on_after(0.1) as scope:
            await client.get(f"{server.url}/status/200")
        assert scope.cancelled_caught
        assert server.api_requests == []
        hold.release()
    assert (await client.get(f"{server.url}/status/200")).status_code == 200
    assert auth.token() == await auth.atoken()
    assert len(server.token_requests) == 1


async def test_a_task_waits_no_longer_than_its_time_limit(
    MediaHoundAuth: Any, httpx: Any, server: MediaHoundServer
) -> None:
    auth = MediaHoundAuth(**server.credentials, timeout=0.3)
    asked_at = time.monotonic()
    with server.hold_token_requests():
        async with httpx.AsyncClient(auth=auth) as client:
            with pytest.raises(httpx.RequestError) as caught:
                await client.get(f"{server.url}/status/200")
    assert isinstance(caught.value, mh.TokenEndpointUnavailable)
    assert time.monotonic() - asked_at < 10


async def test_a_failure_is_shared_by_all_tasks_that_waited_and_each_gets_its_own_exception(
    httpx: Any, client: httpx.AsyncClient, server: MediaHoundServer
) -> None:
    server.respond_to_token_requests(math.inf, status=400, body={"error": "bad_day"})
    errors = []

    async def call(number: int) -> None:
        with pytest.raises(mh.TokenRequestError, match="bad_day") as caught:
            await client.get(f"{server.url}/{number}")
        assert isinstance(caught.value, httpx.RequestError)
        assert caught.value.request.url.path == f"/{number}"
        errors.append(caught.value)

    with server.hold_token_requests() as hold:
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(call, number)
            await to_thread.run_sync(hold.wait_for, 1)
            hold.release()
    assert len({id(error) for error in errors}) == 100
    assert len(server.token_requests) == 1


async def test_a_call_with_a_valid_token_needs_no_thread(
    client: httpx.AsyncClient,
    auth: MediaHoundAuth,
    server: MediaHoundServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await auth.atoken()
    await client.get(f"{server.url}/status/200")  # the server has its thread for this connection
    monkeypatch.setattr(threading.Thread, "start", None)
    assert (await client.get(f"{server.url}/status/200")).status_code == 200


LOOPS = list(itertools.product(["asyncio", "trio"], repeat=2))


async def get(httpx: Any, auth: MediaHoundAuth, server: MediaHoundServer) -> Any:
    async with httpx.AsyncClient(auth=auth) as client:
        return (await client.get(f"{server.url}/status/200")).status_code


@pytest.mark.parametrize(("first", "second"), LOOPS)
def test_a_second_loop_works_after_the_first_has_closed(
    httpx: Any, first: str, second: str, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    for backend in (first, second):
        assert anyio.run(get, httpx, auth, server, backend=backend) == 200
        server.revoke_tokens()
    assert anyio.run(get, httpx, auth, server, backend=first) == 200
    assert len(server.token_requests) == 3


@pytest.mark.parametrize(("first", "second"), LOOPS)
def test_a_second_loop_takes_over_when_the_first_closes_in_the_middle_of_a_token_request(
    httpx: Any,
    first: str,
    second: str,
    auth: MediaHoundAuth,
    server: MediaHoundServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with server.hold_token_requests() as hold:

        async def give_up() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(get, httpx, auth, server)
                await to_thread.run_sync(hold.wait_for, 1)
                group.cancel_scope.cancel()

        async def go_on() -> int:
            statuses = []

            async def call() -> Any:
                statuses.append(await get(httpx, auth, server))

            async with anyio.create_task_group() as group:
                group.start_soon(call)
                for _ in range(100):
                    await checkpoint()
                hold.release()
            [status] = statuses
            return int(status)

        anyio.run(give_up, backend=first)
        assert anyio.run(go_on, backend=second) == 200
    assert len(server.token_requests) == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
