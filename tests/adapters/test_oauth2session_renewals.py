"""MediaHoundSession: background renewals and `token_updater=`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from oauth2sessions import search
from timing import AGEING, LIFETIME, Clock, eventually, server_of_new_tokens

from mediahound_auth.oauth2session import MediaHoundSession
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer


@pytest.fixture
def server(client_id: str, clock: Clock) -> Iterator[MediaHoundServer]:
    with server_of_new_tokens(client_id, clock) as server:
        yield server


def test_token_updater_gets_a_background_renewal_with_the_next_request(
    server: MediaHoundServer, clock: Clock
) -> None:
    told: list[object] = []
    session = MediaHoundSession(
        **server.credentials, token_updater=lambda token: told.append(token["access_token"])
    )
    search(session, server)
    old = session.access_token
    clock.advance(AGEING)
    with server.hold_token_requests() as hold:
        assert search(session, server) == 200  # and nobody waits
        hold.wait_for(1)
        assert (session.access_token, told) == (old, [old])
    eventually(lambda: session.access_token != old)
    assert search(session, server) == 200
    assert told == [old, session.access_token]
    assert len(server.token_requests) == 2


def test_an_expired_token_is_replaced_once_and_no_thread_sees_a_token_expired_error(
    server: MediaHoundServer, clock: Clock
) -> None:
    told: list[object] = []
    session = MediaHoundSession(**server.credentials, token_updater=told.append)
    first = session.fetch_token()["access_token"]
    clock.advance(LIFETIME + 1)
    assert session.token["expires_in"] == LIFETIME
    assert session.token["expires_at"] == clock.now - 1
    start = threading.Barrier(16)

    def call(_: int) -> int:
        start.wait(30)
        return search(session, server)

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(call, range(16))) == {200}
    assert session.access_token != first
    assert (len(server.token_requests), len(told)) == (2, 2)


def test_token_updater_gets_a_second_token_after_the_first(
    server: MediaHoundServer,
) -> None:
    told: list[object] = []
    telling, go_on = threading.Event(), threading.Event()

    def keep(token: dict[str, object]) -> None:
        telling.set()
        assert go_on.wait(30)
        told.append(token["access_token"])

    session = MediaHoundSession(**server.credentials, token_updater=keep)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(search, session, server)
        assert telling.wait(30)
        old = session.access_token
        MediaHoundAuth(**server.credentials).renew()
        assert search(session, server) == 200  # does not wait for the updater
        go_on.set()
        assert first.result(30) == 200
    assert told == [old, session.access_token]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_token_updater_is_called_in_a_child_that_was_forked_during_a_call_of_it(
    server: MediaHoundServer,
) -> None:
    telling, go_on = threading.Event(), threading.Event()
    parent, told = os.getpid(), []

    def keep(token: dict[str, Any]) -> None:
        if os.getpid() == parent:
            telling.set()
            assert go_on.wait(30)
        told.append(token)

    session = MediaHoundSession(**server.credentials, token_updater=keep)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(search, session, server)
        assert telling.wait(30)
        child = os.fork()
        if child == 0:
            os._exit(0 if search(session, server) == 200 and len(told) == 1 else 1)
        go_on.set()
        assert first.result(30) == 200
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
