"""Memory: renewals, failures and states of unused clients are released."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import threading
import time
import tracemalloc
import weakref
from typing import Any

import httpx
import pytest

from mediahound_auth import MemoryStore, TokenRequestError
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._core import runtime
from mediahound_auth._core.shared_state import MOST_KEPT, SharedTokenState
from mediahound_auth.httpx import MediaHoundAuth

TOKEN = {"access_token": "t" * 1500, "token_type": "bearer", "expires_in": 3600}


def test_a_renewal_that_is_over_keeps_nothing_of_the_tasks_that_waited_for_it() -> None:
    event = runtime.Event()

    async def main() -> None:
        waiting = [asyncio.ensure_future(event.wait_async(time.monotonic() + 60)) for _ in range(9)]
        await asyncio.sleep(0)  # they wait
        event.wake()
        await asyncio.gather(*waiting)
        for _ in range(5_000):
            await event.wait_async(time.monotonic() + 60)

    asyncio.run(main())
    assert not event._wakers


@pytest.fixture
def no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest keeps every log record, and the failure with it."""
    monkeypatch.setattr(logging.getLogger("mediahound_auth"), "disabled", True)


def join_our_threads() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("mediahound-auth "):
            thread.join(20)


class Heavy:
    """What a transport may have in its frame."""


class Failing(httpx.BaseTransport):
    def __init__(self) -> None:
        self.seen: list[weakref.ref[Heavy]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        heavy = Heavy()
        self.seen.append(weakref.ref(heavy))
        raise ValueError(f"no transport for {request.method}")


@pytest.mark.usefixtures("no_log")
def test_a_failure_that_is_remembered_keeps_no_frame_of_a_transport(client_id: str) -> None:
    transport = Failing()
    with httpx.Client(transport=transport) as client:
        auth = MediaHoundAuth(client_id, "secret", client=client)
        with pytest.raises(TokenRequestError) as caught:
            auth.token()
        assert isinstance(caught.value.__cause__, ValueError)  # the caller's own has it all
        del caught
        join_our_threads()
        gc.collect()
        assert source_of(auth).shared.state.failure is not None
        assert [seen() for seen in transport.seen] == [None]


@pytest.mark.usefixtures("no_log")
def test_a_failure_that_is_remembered_keeps_no_frame_of_a_callable(client_id: str) -> None:
    seen: list[weakref.ref[Heavy]] = []

    def secret() -> str:
        heavy = Heavy()
        seen.append(weakref.ref(heavy))
        raise LookupError("no vault")

    auth = MediaHoundAuth(client_id, secret)
    with pytest.raises(ValueError, match="LookupError") as caught:
        auth.token()
    del caught
    join_our_threads()
    gc.collect()
    assert source_of(auth).shared.state.failure is not None
    assert [reference() for reference in seen] == [None]


def states() -> int:
    gc.collect()
    return sum(type(thing) is SharedTokenState for thing in gc.get_objects())


def test_the_state_of_2_000_clients_without_auth_objects_is_dropped() -> None:
    def make(first: int, number: int) -> None:
        for n in range(first, first + number):
            MediaHoundAuth(f"client {n}", f"secret {n}" + "x" * 5000)

    before = states()
    make(0, 200)
    gc.collect()
    tracemalloc.start()
    try:
        make(200, 2_000)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert states() <= before + MOST_KEPT
    assert grown < 2 * MOST_KEPT * 7000  # those that are kept have replaced others


def test_clients_that_have_had_tokens_leave_no_thread_or_descriptor_behind() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(TOKEN).encode()))

    descriptors = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        for n in range(30):
            options: dict[str, Any] = {"client": client, "store": MemoryStore()}
            MediaHoundAuth(f"tenant {n}", "secret", **options).token()
    join_our_threads()
    assert not [t for t in threading.enumerate() if t.name.startswith("mediahound-auth ")]
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 5
