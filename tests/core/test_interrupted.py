"""Exceptions of signal handlers are told apart from errors of the network."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import requests
from endless import OK, UNAUTHORIZED, EndlessServer
from timing import eventually, wait_until_blocked
from urllib3.exceptions import HTTPError

import mediahound_auth.httpx
import mediahound_auth.requests
from mediahound_auth._adapters import httpx_flow
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._adapters.token_transport import callers_exception
from mediahound_auth._core import runtime
from mediahound_auth._core.grant import TokenRequest
from mediahound_auth.stores import MemoryStore
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
    handlers = runtime.SignalHandlers()
    assert handlers.raised(caught.value) is alarm.error
    assert handlers.raised(alarm.error) is alarm.error


@pytest.mark.usefixtures("alarm")
def test_a_network_timeout_is_not_taken_for_an_exception_of_a_signal_handler() -> None:
    def time_out() -> None:
        raise TimeoutError("timed out")

    with pytest.raises(requests.ReadTimeout) as caught:
        translated(time_out)
    caught.value.__context__ = caught.value.__cause__
    assert runtime.SignalHandlers().raised(caught.value) is None


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
        (TimeoutError("timed out"), False),
        (TimeoutError("The read operation timed out"), False),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), False),
        (ConnectionResetError("Connection lost"), False),
    ],
    ids=repr,
)
def test_a_timeout_of_the_callers_own_is_told_from_that_of_a_socket(
    error: OSError, own: bool
) -> None:
    outer = HTTPError("of urllib3")
    outer.__cause__ = error
    assert (callers_exception(outer, runtime.SignalHandlers()) is error) is own


def test_an_exception_that_the_caller_was_handling_before_is_not_taken_for_a_new_one(
    alarm: Alarm,
) -> None:
    try:
        signal.raise_signal(signal.SIGUSR1)
    except TimeoutError:
        handlers = runtime.SignalHandlers()
        with pytest.raises(HTTPError) as caught:
            raise HTTPError("of urllib3")  # noqa: B904  # with this context
        assert caught.value.__context__ is alarm.error
        assert callers_exception(caught.value, handlers) is None
    else:
        pytest.fail("no exception")


def test_a_function_that_is_a_handler_as_well_is_not_taken_for_one(alarm: Alarm) -> None:
    def both(*_: object) -> None:
        raise alarm.error

    signal.signal(signal.SIGUSR1, both)
    with pytest.raises(TimeoutError):
        both("a file", 5)
    assert runtime.SignalHandlers().raised(alarm.error) is None


def test_a_signal_handler_that_uninstalls_itself_is_known_from_before(alarm: Alarm) -> None:
    def once(*_: object) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        raise alarm.error

    signal.signal(signal.SIGUSR1, once)
    before = runtime.SignalHandlers()
    with pytest.raises(requests.ReadTimeout) as caught:
        translated(partial(signal.raise_signal, signal.SIGUSR1))
    assert before.raised(caught.value) is alarm.error


@pytest.mark.parametrize(
    "error",
    [TimeoutError("mine"), TimeoutError("timed out"), OSError("x"), requests.Timeout("x")],
    ids=repr,
)
@pytest.mark.parametrize("library", [requests, httpx])
def test_an_exception_of_a_signal_handler_ends_the_wait_for_the_body_of_a_401(
    library: Any,
    error: Exception,
    alarm: Alarm,
    server: MediaHoundServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alarm.error = error
    adapter: Any = getattr(mediahound_auth, library.__name__)
    for module in (mediahound_auth.requests, httpx_flow):
        monkeypatch.setattr(module, "PATIENCE_FOR_401", 20.0)

    def respond(_: str) -> Iterator[bytes]:
        yield UNAUTHORIZED + b"Content-Length: 1000\r\n\r\n"
        eventually(lambda: len(server.token_requests) == 2)
        time.sleep(0.2)  # by now it reads the body
        wait_until_blocked(os.getpid())
        os.kill(os.getpid(), signal.SIGUSR1)
        yield OK

    with EndlessServer(respond) as api:
        auth = adapter.MediaHoundAuth(**server.credentials, origins=[api.url])
        auth.token()
        server.revoke_tokens()
        with pytest.raises(type(error)) as caught:
            library.get(f"{api.url}/x", auth=auth, timeout=20)
        assert caught.value is error
    assert len(api.requests) == 1


def test_where_no_thread_runs_a_time_limit_ends_the_wait_for_the_lock_of_a_store(
    alarm: Alarm, server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.DaemonThread, "start", lambda _: False)
    alarm.error = TimeoutError("mine")

    class Locked(MemoryStore):
        @contextmanager
        def lock(self, *_: object) -> Iterator[None]:
            signal.raise_signal(signal.SIGUSR1)
            yield

    auth = mediahound_auth.requests.MediaHoundAuth(**server.credentials, store=Locked())
    with pytest.raises(TimeoutError, match="mine"):
        auth.token()


@pytest.mark.usefixtures("alarm")
def test_an_interrupted_forget_does_not_wait_for_the_store(server: MediaHoundServer) -> None:
    begun, end = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        def discard(self, _: str) -> None:
            begun.set()
            end.wait(30)

    def interrupt() -> None:
        begun.wait(20)
        wait_until_blocked(os.getpid())
        os.kill(os.getpid(), signal.SIGUSR1)

    auth = mediahound_auth.requests.MediaHoundAuth(**server.credentials, store=Slow(), timeout=40)
    thread = threading.Thread(target=interrupt)
    thread.start()
    operations: list[str] = []
    monitored = runtime.Worker.call

    def call(worker: runtime.Worker, function: Any, timeout: float) -> Any:
        operations.append(function.func.__name__)
        return monitored(worker, function, timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime.Worker, "call", call)
        with pytest.raises(TimeoutError, match="mine"):
            auth.forget()
    thread.join()
    end.set()
    assert operations == ["discard"]
