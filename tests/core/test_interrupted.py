"""Exceptions of signal handlers are told apart from errors of the network."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest
import requests
from endless import OK, UNAUTHORIZED, EndlessServer
from timing import eventually

import mediahound_auth.httpx
import mediahound_auth.requests
from mediahound_auth._adapters import httpx_flow
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._adapters.token_transport import callers_timeout
from mediahound_auth._core import runtime
from mediahound_auth._core.grant import TokenRequest
from mediahound_auth.testing import MediaHoundServer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


class Alarm:
    """Handlers of each kind. All of them raise `error`."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def method(self, *_: object) -> None:
        raise self.error

    def __call__(self, *_: object) -> None:
        raise self.error

    def function(self) -> Callable[..., None]:
        def handler(*_: object) -> None:
            raise self.error

        return handler


HANDLERS: dict[str, Callable[[Alarm], Any]] = {
    "method": lambda alarm: alarm.method,
    "object": lambda alarm: alarm,
    "function": Alarm.function,
    "partial": lambda alarm: partial(alarm.method, "x"),
}


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    """What raises when SIGUSR1 comes."""
    alarm = Alarm(TimeoutError("mine"))
    before = signal.signal(signal.SIGUSR1, alarm)
    yield alarm
    signal.signal(signal.SIGUSR1, before)


def translated(read: Callable[[], None]) -> None:
    """Do what HTTP libraries do with a TimeoutError."""
    try:
        read()
    except TimeoutError as error:
        # urllib3's retries raise with the traceback of the original.
        outer = requests.ReadTimeout("timed out").with_traceback(error.__traceback__)
        raise outer from error


@pytest.mark.parametrize("kind", HANDLERS)
def test_an_exception_of_a_signal_handler_is_found_behind_the_librarys_error(
    kind: str, alarm: Alarm
) -> None:
    signal.signal(signal.SIGUSR1, HANDLERS[kind](alarm))
    with pytest.raises(requests.ReadTimeout) as caught:
        translated(partial(signal.raise_signal, signal.SIGUSR1))
    assert runtime.raised_by_signal_handler(caught.value) is alarm.error
    assert runtime.raised_by_signal_handler(alarm.error) is alarm.error


@pytest.mark.usefixtures("alarm")
def test_a_network_timeout_is_not_taken_for_an_exception_of_a_signal_handler() -> None:
    def time_out() -> None:
        raise TimeoutError("timed out")

    with pytest.raises(requests.ReadTimeout) as caught:
        translated(time_out)
    caught.value.__context__ = caught.value.__cause__
    assert runtime.raised_by_signal_handler(caught.value) is None


@pytest.mark.parametrize("error", [TimeoutError("mine"), ValueError("mine")])
def test_an_exception_of_a_signal_handler_is_raised_and_not_shared(
    error: Exception, alarm: Alarm, server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.DaemonThread, "start", lambda _: False)
    alarm.error = error
    auth = mediahound_auth.requests.MediaHoundAuth(**server.credentials)
    source = source_of(auth)
    send = source._send

    def send_interrupted(request: TokenRequest, timeout: float) -> Any:
        source._send = send
        try:
            signal.raise_signal(signal.SIGUSR1)
        except TimeoutError as error:  # as requests does
            raise mediahound_auth.requests.TokenEndpointUnavailable(str(timeout)) from error
        raise AssertionError(request)

    source._send = send_interrupted
    with pytest.raises(type(error), match="mine") as caught:
        auth.token()
    assert caught.value is error
    assert caught.value.__context__ is None
    assert auth.token()
    assert len(server.token_requests) == 1


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (TimeoutError("mine"), True),
        (TimeoutError(), True),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), False),
        (TimeoutError("timed out"), False),
        (TimeoutError("The read operation timed out"), False),
    ],
    ids=repr,
)
def test_a_timeout_of_the_callers_own_is_told_from_that_of_a_socket(
    error: TimeoutError, own: bool
) -> None:
    assert (callers_timeout(requests.ReadTimeout(error)) is error) is own


@pytest.mark.parametrize("library", [requests, httpx])
@pytest.mark.usefixtures("alarm")
def test_a_timeout_of_the_callers_own_ends_the_wait_for_the_body_of_a_401(
    library: Any, server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter: Any = getattr(mediahound_auth, library.__name__)
    for module in (mediahound_auth.requests, httpx_flow):
        monkeypatch.setattr(module, "PATIENCE_FOR_401", 20.0)

    def respond(_: str) -> Iterator[bytes]:
        yield UNAUTHORIZED + b"Content-Length: 1000\r\n\r\n"
        eventually(lambda: len(server.token_requests) == 2)
        time.sleep(0.2)  # by now it reads the body
        os.kill(os.getpid(), signal.SIGUSR1)
        yield OK

    with EndlessServer(respond) as api:
        auth = adapter.MediaHoundAuth(**server.credentials, origins=[api.url])
        auth.token()
        server.revoke_tokens()
        with pytest.raises(TimeoutError, match="mine"):
            library.get(f"{api.url}/x", auth=auth, timeout=20)
    assert len(api.requests) == 1
