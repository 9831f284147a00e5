"""Many threads and clients at the same time: one token request."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import anyio
import httpx
import pytest
import requests
from libraries import SYNC, Library
from timing import wait_until_blocked

import mediahound_auth as mh
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer

THREADS = 64
EACH = pytest.mark.parametrize("library", SYNC, indirect=True, ids=str)


@contextmanager
def threads(n: int, work: Callable[[int], Any]) -> Iterator[list[Future[Any]]]:
    """Threads that do `work(0)` to `work(n - 1)`; the block runs once they all have begun."""
    begun = threading.Barrier(n + 1)

    def begin(number: int) -> Any:
        begun.wait(10)
        return work(number)

    pool = ThreadPoolExecutor(n)
    futures = [pool.submit(begin, number) for number in range(n)]
    try:
        begun.wait(10)
        yield futures
    except BaseException:
        pool.shutdown(wait=False)
        raise
    pool.shutdown()


@EACH
def test_64_threads_on_a_cold_start_cause_one_token_request(
    library: Library, server: MediaHoundServer
) -> None:
    with library(server) as (auth, call):
        with (
            server.hold_token_requests() as hold,
            threads(THREADS, lambda _: call("GET", server.url)) as calls,
        ):
            hold.wait_for(1)
            assert server.api_requests == []
            hold.release()
        assert [call.result().status_code for call in calls] == [200] * THREADS
        authorization = auth.token().authorization
    assert {call.headers["Authorization"] for call in server.api_requests} == {authorization}
    assert len(server.token_requests) == 1


@EACH
def test_a_token_revoked_under_64_calls_is_replaced_by_one_request_and_all_bodies_are_whole(
    library: Library, server: MediaHoundServer
) -> None:
    bodies = [b"%02d" % number * 20_000 for number in range(THREADS)]
    with library(server) as (auth, call):
        auth.token()
        url = f"{server.url}/echo"
        with (
            server.hold_api_requests() as hold,
            threads(THREADS, lambda number: call("POST", url, bodies[number])) as calls,
        ):
            hold.wait_for(THREADS)
            server.revoke_tokens()
            hold.release()
        answers = [call.result() for call in calls]
    assert [answer.status_code for answer in answers] == [200] * THREADS
    digests = [hashlib.sha256(body).hexdigest() for body in bodies]
    assert [answer.json()["sha256"] for answer in answers] == digests
    assert len(server.token_requests) == 2


def test_one_auth_object_in_threads_and_event_loops_of_all_kinds_makes_one_token_request(
    server: MediaHoundServer,
) -> None:
    auth = HttpxAuth(**server.credentials)
    same_credentials = RequestsAuth(**server.credentials)
    url = f"{server.url}/status/200"

    async def tasks() -> None:
        async with (
            httpx.AsyncClient(auth=auth, timeout=None) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(10):
                group.start_soon(client.get, url)

    def sync_client() -> None:
        with httpx.Client(auth=auth, timeout=None) as client:
            client.get(url)

    work: list[Callable[[], object]] = [
        lambda: anyio.run(tasks, backend="asyncio"),
        lambda: anyio.run(tasks, backend="asyncio"),
        lambda: anyio.run(tasks, backend="trio"),
        *[sync_client] * 5,
        *[lambda: requests.get(url, auth=same_credentials)] * 5,
    ]
    with (
        server.hold_token_requests() as hold,
        threads(len(work), lambda number: work[number]()) as calls,
    ):
        hold.wait_for(1)
        hold.release()
    for call in calls:
        call.result()
    assert [call.status for call in server.api_requests] == [200] * 40
    assert len(server.token_requests) == 1


def secret_of_a_vault() -> str:
    return "MyClientSecret"


@pytest.mark.parametrize(
    "secret", ["MyClientSecret", secret_of_a_vault], ids=["secret", "callable"]
)
def test_an_auth_object_made_anew_for_each_call_costs_one_token_request(
    secret: str | Callable[[], str], server: MediaHoundServer
) -> None:
    def call(_: int) -> None:
        auth = RequestsAuth(server.client_id, secret, token_url=server.token_url)
        for _ in range(3):
            assert requests.get(f"{server.url}/status/200", auth=auth).status_code == 200

    with threads(10, call) as calls:
        pass
    for future in calls:
        future.result()
    assert len(server.token_requests) == 1


@EACH
def test_a_failure_is_shared_by_all_who_waited_and_each_gets_an_exception_of_its_own(
    library: Library, server: MediaHoundServer
) -> None:
    # Whoever comes too late to wait is not to ask either.
    headers = {"Retry-After": "60"}
    server.respond_to_token_requests(
        math.inf, status=400, body={"error": "bad_day"}, headers=headers
    )
    with library(server) as (_, call):
        with (
            server.hold_token_requests() as hold,
            threads(THREADS, lambda _: call("GET", server.url)) as calls,
        ):
            hold.wait_for(1)
            hold.release()
        errors = [call.exception() for call in calls]
    assert {type(error).__mro__[1] for error in errors} == {mh.TokenRequestError}
    assert len({id(error) for error in errors}) == THREADS
    assert len(server.token_requests) == 1


def test_interrupting_the_first_thread_does_not_affect_the_others(
    server: MediaHoundServer,
) -> None:
    auth = RequestsAuth(**server.credentials)
    main = threading.get_ident()

    def interrupt_and_wait(_: int) -> mh.Token:
        hold.wait_for(1)
        wait_until_blocked(os.getpid())
        signal.pthread_kill(main, signal.SIGINT)
        return auth.token()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with server.hold_token_requests() as hold, threads(1, interrupt_and_wait) as [waiting]:
            with pytest.raises(KeyboardInterrupt):
                auth.token()
            hold.release()
    finally:
        signal.signal(signal.SIGINT, before)
    assert waiting.result() == auth.token()
    assert len(server.token_requests) == 1


@EACH
def test_while_a_call_is_in_progress_other_calls_get_tokens_and_responses(
    library: Library, server: MediaHoundServer
) -> None:
    with MediaHoundServer() as other, library(server, origins=[other.url]) as (auth, call):
        other.respond_to_api_requests(math.inf, status=204)
        with (
            server.hold_api_requests() as hold,
            threads(1, lambda _: call("GET", f"{server.url}/status/200")) as [in_flight],
        ):
            hold.wait_for(1)
            assert call("GET", f"{other.url}/status/204").status_code == 204
            auth.forget()
            assert call("GET", f"{other.url}/status/204").status_code == 204
            auth.renew()
            assert not in_flight.done()
            hold.release()
        assert in_flight.result().status_code == 200
    assert len(server.token_requests) == 3


@EACH
def test_no_caller_waits_beyond_its_own_time_limit_for_another_callers_renewal(
    library: Library, server: MediaHoundServer
) -> None:
    with library(server, timeout=20) as (patient, _), library(server, timeout=0.3) as (hasty, _):
        with (
            server.hold_token_requests() as hold,
            threads(1, lambda _: patient.token()) as [waiting],
        ):
            hold.wait_for(1)
            with pytest.raises(mh.TokenEndpointUnavailable, match=r"0\.3 s"):
                hasty.token()
            assert not waiting.done()
            hold.release()
        assert waiting.result() == hasty.token()
    assert len(server.token_requests) == 1
