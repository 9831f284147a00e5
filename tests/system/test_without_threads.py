"""Machines where threads do not run or cannot be started."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from libraries import BOTH, Library
from scripts import forked
from timing import wait_until_blocked

import mediahound_auth as mh
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._core import lifecycle, runtime
from mediahound_auth._core.grant import TokenRequest
from mediahound_auth._core.renewal import run_steps
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.stores import FileStore, MemoryStore
from mediahound_auth.testing import MediaHoundServer


@pytest.fixture
def start() -> Callable[[threading.Thread], None]:
    """Starts threads of a test where the package's cannot be started."""
    return threading.Thread.start


@pytest.fixture(params=["never runs", "cannot be had"])
def no_threads(
    request: pytest.FixtureRequest,
    server: MediaHoundServer,  # noqa: ARG001  # to be started before
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From now on the only threads that start are those of the `server`'s connections."""
    start = threading.Thread.start

    def do_not(thread: threading.Thread) -> None:
        if getattr(getattr(thread, "_target", None), "__name__", "") == "process_request_thread":
            start(thread)
        elif request.param == "cannot be had":
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", do_not)


@BOTH
@pytest.mark.usefixtures("no_threads")
def test_without_threads_the_caller_requests_the_token_itself(
    library: Library, server: MediaHoundServer
) -> None:
    with library(server) as (_, call):
        assert call("GET", f"{server.url}/status/200").status_code == 200
    assert len(server.token_requests) == 1


def test_the_caller_takes_over_within_half_of_its_timeout() -> None:
    for budget, patience in ((0.5, 0.25), (1.0, 0.5), (30.0, lifecycle.THREAD_START_TIMEOUT)):
        now = runtime.monotonic()
        made = source_of(HttpxAuth(f"id-{budget}", "secret", timeout=budget))._join()
        assert 0 <= made._thread.begins_by - now - patience < 5


@pytest.mark.usefixtures("no_threads")
def test_a_caller_whose_timeout_is_over_makes_no_token_request(server: MediaHoundServer) -> None:
    renewal = source_of(HttpxAuth(**server.credentials, timeout=0.001))._join()
    renewal.deadline = renewal.started
    renewal.wait(20)
    assert renewal.outcome is None
    assert server.token_requests == []


@pytest.mark.usefixtures("no_threads")
def test_without_threads_the_store_is_used(
    server: MediaHoundServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "THREAD_START_TIMEOUT", 0.01)
    for _ in range(2):  # as in two processes: each store is a new one
        store = FileStore(tmp_path / "tokens")
        assert HttpxAuth(**server.credentials, store=store).token().access_token
    assert len(server.token_requests) == 1


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_without_threads_a_task_gets_a_response_or_an_unavailable_error(
    backend: str, server: MediaHoundServer
) -> None:
    auth = HttpxAuth(**server.credentials, timeout=0.3)

    async def call() -> Any:
        async with httpx.AsyncClient(auth=auth) as client:
            try:
                return (await client.get(f"{server.url}/status/200")).status_code
            except httpx.RequestError as error:
                return type(error)

    outcome = anyio.run(call, backend=backend)
    assert outcome == 200 or issubclass(outcome, mh.TokenEndpointUnavailable)


@pytest.fixture
def failing_starts(
    server: MediaHoundServer,  # noqa: ARG001  # to be started before
    monkeypatch: pytest.MonkeyPatch,
) -> list[int]:
    """How often no thread of the package can be started, from now on; each time counts it down."""
    start, left = threading.Thread.start, [0]

    def do(thread: threading.Thread) -> None:
        if thread.name.startswith("mediahound-auth") and left[0]:
            left[0] -= 1
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", do)
    return left


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@BACKENDS
def test_a_task_gets_its_token_once_a_thread_can_be_started(
    backend: str, server: MediaHoundServer, failing_starts: list[int]
) -> None:
    failing_starts[0] = 2
    auth = HttpxAuth(**server.credentials, timeout=20)
    assert anyio.run(auth.atoken, backend=backend)
    assert failing_starts == [0]
    assert len(server.token_requests) == 1


@BACKENDS
def test_a_task_gets_an_error_soon_if_no_thread_can_be_started(
    backend: str,
    server: MediaHoundServer,
    failing_starts: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifecycle, "THREAD_START_TIMEOUT", 0.1)
    failing_starts[0] = 1_000_000
    auth = HttpxAuth(**server.credentials, timeout=20)
    started = runtime.monotonic()
    with pytest.raises(mh.TokenEndpointUnavailable, match="no thread could be started"):
        anyio.run(auth.atoken, backend=backend)
    assert runtime.monotonic() - started < 10
    assert server.token_requests == []
    failing_starts[0] = 0
    assert anyio.run(auth.atoken, backend=backend)


def test_a_task_shares_the_token_request_of_a_thread_that_took_over(
    server: MediaHoundServer, failing_starts: list[int]
) -> None:
    failing_starts[0] = 1_000_000
    auth = HttpxAuth(**server.credentials, timeout=20)

    async def main() -> None:
        with server.hold_token_requests() as hold:
            caller = threading.Thread(target=auth.token)
            caller.start()
            await anyio.to_thread.run_sync(hold.wait_for, 1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(auth.atoken)
                await anyio.lowlevel.checkpoint()
                hold.release()
        caller.join()

    anyio.run(main)
    assert len(server.token_requests) == 1


def test_where_daemon_threads_are_disabled_another_thread_requests_the_token(
    server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = threading.Thread.__init__

    def refuse(thread: threading.Thread, *args: Any, **options: Any) -> None:
        if options.get("name", "").startswith("mediahound-auth") and options.get("daemon"):
            raise RuntimeError("daemon threads are disabled in this (sub)interpreter")
        make(thread, *args, **options)

    monkeypatch.setattr(threading.Thread, "__init__", refuse)
    auth = HttpxAuth(**server.credentials)
    assert anyio.run(auth.atoken)


@pytest.mark.usefixtures("start", "no_threads")
def test_ctrl_c_during_a_renewal_in_the_caller_is_not_recorded_as_a_failure(
    server: MediaHoundServer, start: Callable[[threading.Thread], None]
) -> None:
    auth = HttpxAuth(**server.credentials, timeout=20)
    source = source_of(auth)
    send, interrupting, interrupt = source._send, threading.Event(), threading.Event()

    def send_interrupted(request: TokenRequest, timeout: float) -> Any:
        source._send = send
        interrupting.set()
        interrupt.wait(20)
        raise KeyboardInterrupt(len(request.body), timeout)

    source._send = send_interrupted
    tokens: list[object] = []

    def wait_for_it() -> None:
        interrupting.wait(20)
        steps = source.get_token()
        renewal, timeout = next(steps)  # it has joined the renewal
        interrupt.set()
        renewal.wait(timeout)
        tokens.append(run_steps(steps))

    waiting = threading.Thread(target=wait_for_it)
    start(waiting)
    with pytest.raises(KeyboardInterrupt):
        auth.token()
    waiting.join()
    assert tokens == [auth.token()]
    assert len(server.token_requests) == 1


@pytest.mark.usefixtures("no_threads")
def test_ctrl_c_during_a_renewal_in_the_caller_is_raised_and_shows_no_secret(
    server: MediaHoundServer,
) -> None:
    def interrupt(request: TokenRequest, _: float) -> Any:
        body = request.body  # as in the frames of an HTTP library
        raise KeyboardInterrupt(len(body))

    auth = HttpxAuth(**server.credentials)
    source_of(auth)._send = interrupt
    with pytest.raises(KeyboardInterrupt) as caught:
        auth.token()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert server.client_secret not in "".join(shown.format())


# Signals are handled in the main thread, where pytest has a handler of its own: hence the programs.
ALARM = """
import os, signal, sys, threading
from mediahound_auth.{library} import MediaHoundAuth

def start(thread):
    raise RuntimeError("can't start new thread")

threading.Thread.start = start

class Mine(Exception):
    pass

class Alarm:
    def __init__(self, error):
        self.error = error

    def on_signal(self, *_):
        raise self.error("mine")

    def __call__(self, *_):
        self.on_signal()

alarm = Alarm({error})
signal.signal(signal.SIGALRM, {handler})
auth = MediaHoundAuth(timeout=120)
try:
    auth.token()
except {error} as error:
    print(type(error).__name__, error, error.__cause__, flush=True)
input()
print(auth.token() is not None)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGALRM")
@pytest.mark.parametrize("library", ["requests", "httpx"])
@pytest.mark.parametrize(
    ("error", "handler"),
    [
        ("TimeoutError", "alarm.on_signal"),
        ("Mine", "alarm"),
        ("Mine", "functools.partial(alarm.on_signal)"),
        ("KeyboardInterrupt", "lambda *_: alarm.on_signal()"),
    ],
)
def test_an_exception_of_a_signal_handler_is_raised_and_not_recorded_as_a_failure(
    library: str, error: str, handler: str, server: MediaHoundServer
) -> None:
    script = "import functools" + ALARM.format(library=library, error=error, handler=handler)
    with forked(script, server=server) as process:
        with server.hold_token_requests() as hold:
            hold.wait_for(1)
            wait_until_blocked(process.pid)
            process.send_signal(signal.SIGALRM)
            said = process.stdout.readline()
            assert said == f"{error} mine None\n", said or process.communicate()[1]
        said, errors = process.communicate(b"\n")
        assert said == "True\n", errors
    assert len(server.token_requests) == 2


class Breaking(MemoryStore):
    """A store that loads and does nothing else."""

    def save(self, key: str, token: mh.Token) -> None:
        raise OSError(28, "No space left on device", key, None, str(token.expires_at))


@pytest.mark.usefixtures("no_threads")
def test_a_store_that_raises_does_not_interrupt_the_renewal(
    server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "THREAD_START_TIMEOUT", 0.01)
    assert HttpxAuth(**server.credentials, store=Breaking()).token().access_token


@pytest.mark.parametrize("no_threads", ["cannot be had"], indirect=True)
@pytest.mark.usefixtures("no_threads")
def test_where_no_thread_can_be_started_a_task_forgets_its_token(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    store = FileStore(tmp_path / "tokens")
    auth = HttpxAuth(**server.credentials, store=store)
    auth.token()
    anyio.run(auth.aforget)
    assert not [*(tmp_path / "tokens").glob("*.json")]
    auth.token()
    assert len(server.token_requests) == 2
