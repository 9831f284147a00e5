"""The process is suspended during a renewal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from libraries import PATIENCE, Library
from timing import AGEING, LIFETIME, wait_for_renewals

from mediahound_auth import TokenEndpointUnavailable
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._core import runtime
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer


class Machine:
    """A machine that can be suspended.

    Attributes:
        unix, monotonic: by how many seconds its clocks are ahead of those of the test.
        monotonic_goes_on: what its monotonic clock does while it is suspended.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, monotonic_goes_on: bool) -> None:
        self.unix = self.monotonic = 0.0
        self.monotonic_goes_on = monotonic_goes_on
        monkeypatch.setattr(runtime, "now", lambda: time.time() + self.unix)
        monkeypatch.setattr(runtime, "monotonic", lambda: time.monotonic() + self.monotonic)

    def suspend(self, seconds: float = 3600) -> None:
        self.unix += seconds
        if self.monotonic_goes_on:
            self.monotonic += seconds

    def spend(self, seconds: float) -> None:
        """Time passes while it is awake."""
        self.unix += seconds
        self.monotonic += seconds


@pytest.fixture(params=[False, True], ids=["monotonic stands still", "monotonic goes on"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch, request.param)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """One whose processes are stopped (SIGSTOP): its clocks go on, and callers notice."""
    return Machine(monkeypatch, True)


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """One that sleeps: its monotonic clock stands still, and so does the time of callers."""
    return Machine(monkeypatch, False)


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    outcomes: list[Any] = []

    def run() -> None:
        try:
            outcomes.append(call())
        except Exception as error:
            outcomes.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcomes


def look_at_the_clock(auth: Any) -> None:
    """Wake the thread that waits for the renewal, as its time limit does."""
    renewal = source_of(auth).shared.renewal
    assert renewal is not None
    with renewal._done._condition:
        renewal._done._condition.notify_all()


@pytest.mark.parametrize("method", ["token", "renew"])
def test_the_first_call_after_a_suspended_renewal_starts_another_one(
    method: str, server: MediaHoundServer, machine: Machine
) -> None:
    auth = RequestsAuth(**server.credentials, timeout=20)
    with server.hold_token_requests() as hold:
        thread, _ = in_thread(auth.token)
        hold.wait_for(1)
        machine.suspend()
        after, outcomes = in_thread(getattr(auth, method))
        hold.wait_for(2)
        hold.release()
        after.join()
        thread.join()
    assert [token.access_token for token in outcomes] == [auth.token().access_token]


def test_a_call_that_waited_meanwhile_starts_another_renewal(
    library: Library, server: MediaHoundServer, stopped: Machine
) -> None:
    # An event loop has a clock of its own, which says when the time of a task is up.
    timeout = 4.0 if library.backend else PATIENCE
    with library(server, timeout=timeout) as (auth, call), server.hold_token_requests() as hold:
        thread, outcomes = in_thread(lambda: call("GET", f"{server.url}/status/200"))
        hold.wait_for(1)
        stopped.suspend()
        look_at_the_clock(auth)
        hold.wait_for(2)
        hold.release()
        thread.join()
    assert outcomes[0].status_code == 200


def test_a_call_that_waited_while_the_machine_slept_starts_another_renewal(
    library: Library, server: MediaHoundServer, asleep: Machine
) -> None:
    with library(server, timeout=2.0) as (_, call), server.hold_token_requests() as hold:
        thread, outcomes = in_thread(lambda: call("GET", f"{server.url}/status/200"))
        hold.wait_for(1)
        asleep.suspend()  # the connection is dead: the first renewal fails at its time limit
        hold.wait_for(2)
        hold.release()
        thread.join()
    assert outcomes[0].status_code == 200


@pytest.mark.parametrize("method", ["renew", "call"])
def test_a_call_that_replaces_a_token_while_the_process_was_stopped_gets_its_token(
    method: str, server: MediaHoundServer, stopped: Machine
) -> None:
    auth = RequestsAuth(**server.credentials, timeout=PATIENCE)
    auth.token()
    server.revoke_tokens()
    wait_for_renewals()
    with server.hold_token_requests() as hold:
        if method == "renew":
            thread, outcomes = in_thread(lambda: auth.renew() and 200)
        else:
            get = requests.get
            thread, outcomes = in_thread(
                lambda: get(f"{server.url}/status/200", auth=auth, timeout=20).status_code
            )
        hold.wait_for(1)
        stopped.suspend()
        look_at_the_clock(auth)
        hold.wait_for(2)
        hold.release()
        thread.join()
    assert outcomes == [200]


@pytest.mark.parametrize("method", ["token", "renew"])
def test_an_endpoint_that_does_not_respond_afterwards_is_given_up_all_the_same(
    method: str, server: MediaHoundServer, stopped: Machine
) -> None:
    auth = RequestsAuth(**server.credentials, timeout=PATIENCE)
    with server.hold_token_requests() as hold:
        thread, outcomes = in_thread(getattr(auth, method))
        for number in (1, 2):
            hold.wait_for(number)
            stopped.suspend()
            look_at_the_clock(auth)
        thread.join()
    assert isinstance(outcomes[0], TokenEndpointUnavailable)


def test_the_first_call_after_a_suspended_background_renewal_starts_another_one(
    client_id: str, machine: Machine
) -> None:
    options: Any = {"lifetime": LIFETIME, "clock": lambda: runtime.now()}
    with MediaHoundServer(client_id=client_id, return_same_token=False, **options) as server:
        auth = RequestsAuth(**server.credentials, timeout=20)
        first = auth.token()
        with server.hold_token_requests() as hold:
            machine.suspend(AGEING)
            assert auth.token() == first
            hold.wait_for(1)
            machine.suspend()
            thread, outcomes = in_thread(auth.token)
            hold.wait_for(2)
            hold.release()
            thread.join()
        assert outcomes != [first]
        assert [token.access_token for token in outcomes] == [auth.token().access_token]
