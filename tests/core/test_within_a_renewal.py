"""Code of users that runs within a renewal: callables, stores, log handlers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import pytest
from timing import AGEING, Clock, eventually, server_of_new_tokens, wait_for_renewals

from mediahound_auth import ConfigurationError, MemoryStore, Token, TokenRequestError
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer

BOTH = pytest.mark.parametrize("kind", [RequestsAuth, HttpxAuth])

app: ContextVar[Any] = ContextVar("app")


class App:
    """What a web framework keeps in a context variable while it serves a request."""

    def __init__(self, secret: str) -> None:
        self.secret = secret


@contextlib.contextmanager
def serving(secret: str) -> Iterator[None]:
    reset = app.set(App(secret))
    try:
        yield
    finally:
        app.reset(reset)


def with_callable(kind: type[Any], server: MediaHoundServer, secret: Any, **options: Any) -> Any:
    return kind(server.client_id, secret, token_url=server.token_url, timeout=20, **options)


# The context


@BOTH
def test_a_renewal_sees_the_context_variables_of_its_caller(
    kind: type[Any], server: MediaHoundServer
) -> None:
    auth = with_callable(kind, server, lambda: app.get().secret)
    with pytest.raises(ConfigurationError, match="LookupError"):
        auth.token()
    with serving(server.client_secret):
        assert auth.renew()


def test_a_renewal_sees_the_context_variables_without_sniffio(
    server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "sniffio", raising=False)
    with serving(server.client_secret):
        assert with_callable(RequestsAuth, server, lambda: app.get().secret).token()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_renewal_of_a_task_sees_its_context_variables_and_can_run_an_event_loop(
    backend: str, server: MediaHoundServer
) -> None:
    async def read_secret() -> str:
        return str(app.get().secret)

    auth = with_callable(HttpxAuth, server, lambda: anyio.run(read_secret))

    with serving(server.client_secret):
        assert anyio.run(auth.atoken, backend=backend)


def test_a_background_renewal_sees_the_context_variables_of_its_caller(
    client_id: str, clock: Clock
) -> None:
    with server_of_new_tokens(client_id, clock) as server:
        auth = with_callable(RequestsAuth, server, lambda: app.get().secret)
        with serving(server.client_secret):
            auth.token()
            clock.advance(AGEING)
            auth.token()
        eventually(lambda: len(server.token_requests) == 2)


def test_a_store_sees_the_context_variables_of_the_caller(server: MediaHoundServer) -> None:
    seen: list[str] = []

    class Store(MemoryStore):
        def load(self, key: str) -> Token | None:
            seen.append(app.get().secret)
            return super().load(key)

    auth = with_callable(RequestsAuth, server, server.client_secret, store=Store())
    with serving("something"):
        auth.token()
    assert set(seen) == {"something"}


def test_a_renewal_that_has_ended_keeps_no_context(server: MediaHoundServer) -> None:
    auth = RequestsAuth(**server.credentials)
    with serving("something"):
        served = weakref.ref(app.get())
        auth.token()
    wait_for_renewals()
    gc.collect()
    assert served() is None


# A call that needs the token that is being requested


def in_this_thread(call: Callable[[], object]) -> None:
    call()


def in_a_task(call: Callable[[], object]) -> None:
    asyncio.run(asyncio.to_thread(call))


@BOTH
@pytest.mark.parametrize("way", [in_this_thread, in_a_task])
@pytest.mark.parametrize("method", ["token", "renew"])
def test_a_callable_that_needs_the_token_itself_fails_at_once(
    kind: type[Any], way: Any, method: str, server: MediaHoundServer
) -> None:
    def secret() -> str:
        way(getattr(auth, method))
        raise AssertionError("there is no token")

    auth = with_callable(kind, server, secret)
    started = time.monotonic()
    with pytest.raises(ConfigurationError, match="callable raised") as caught:
        auth.token()
    assert time.monotonic() - started < 10
    assert "needed while it was being requested" in str(caught.value.__cause__)
    assert server.token_requests == []


def test_a_callable_that_awaits_the_token_itself_fails_at_once(server: MediaHoundServer) -> None:
    auth: HttpxAuth
    auth = with_callable(HttpxAuth, server, lambda: str(asyncio.run(auth.atoken())))
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(auth.atoken())
    assert "needed while it was being requested" in str(caught.value.__cause__)


def test_a_callable_that_needs_the_token_through_another_client_fails_at_once(
    server: MediaHoundServer,
) -> None:
    def secret_of_other() -> str:
        auth.token()
        return server.client_secret

    other: RequestsAuth
    auth = with_callable(RequestsAuth, server, lambda: other.token().access_token)
    other = with_callable(RequestsAuth, server, secret_of_other, scope="another")
    with pytest.raises(ConfigurationError, match="callable raised ConfigurationError"):
        auth.token()


def test_a_callable_may_use_the_current_token(client_id: str, clock: Clock) -> None:
    used: list[Token] = []

    def secret() -> str:
        if server.token_requests:
            used.append(auth.token())
        return server.client_secret

    with server_of_new_tokens(client_id, clock) as server:
        auth = with_callable(RequestsAuth, server, secret)
        first = auth.token()
        clock.advance(AGEING)
        assert auth.token() == first
        eventually(lambda: used)
        wait_for_renewals()
        assert auth.renew() not in used[:1] == [first]


@BOTH
@pytest.mark.parametrize("failing", [False, True])
def test_a_log_handler_that_makes_a_call_delays_no_renewal(
    kind: type[Any], failing: bool, server: MediaHoundServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    errors: list[str] = []

    class Handler(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            try:
                auth.token()
            except TokenRequestError as error:
                errors.append(str(error))

    log, handler = logging.getLogger("mediahound_auth"), Handler()
    auth = kind(**server.credentials, timeout=20)
    if failing:
        server.respond_to_token_requests(1, status=400, body={"error": "bad_day"})
    started = time.monotonic()
    log.addHandler(handler)
    try:
        with contextlib.suppress(TokenRequestError):
            auth.token()
    finally:
        log.removeHandler(handler)
    wait_for_renewals()
    assert time.monotonic() - started < 10
    assert "needed while it was being requested" in errors[0]  # token_request, at DEBUG
    assert len(server.token_requests) == 1


@contextlib.contextmanager
def handling(handler: logging.Handler) -> Iterator[None]:
    """`handler` gets all records but those of the server, which is in this process, too."""
    logs = [logging.getLogger(name) for name in ("application", "mediahound_auth", "urllib3")]
    for log in logs:
        log.addHandler(handler)
    try:
        yield
    finally:
        for log in logs:
            log.removeHandler(handler)


@BOTH
def test_a_log_handler_that_calls_while_it_holds_its_lock_delays_no_renewal(
    kind: type[Any], server: MediaHoundServer, caplog: pytest.LogCaptureFixture
) -> None:
    """While a handler works, its lock keeps all other threads from logging."""
    caplog.set_level(logging.DEBUG)
    tokens: list[Token] = []

    class Shipping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "application":
                tokens.append(auth.token())

    auth, handler = kind(**server.credentials, timeout=20), Shipping()
    started = time.monotonic()
    with handling(handler):
        logging.getLogger("application").warning("something to ship")
    assert time.monotonic() - started < 10
    assert tokens == [auth.token()]
    assert len(server.token_requests) == 1


def test_a_store_that_makes_a_call_delays_no_renewal(server: MediaHoundServer) -> None:
    class Remote(MemoryStore):
        """A store behind the API that its tokens are for."""

        def load(self, key: str) -> Token | None:
            auth.token()
            return super().load(key)

    auth = RequestsAuth(**server.credentials, store=Remote(), timeout=20)
    started = time.monotonic()
    assert auth.token()
    assert time.monotonic() - started < 10


def test_a_thread_that_outlives_its_renewal_waits_for_the_next_one(
    server: MediaHoundServer,
) -> None:
    go_on = threading.Event()
    tokens: list[Token] = []

    def secret() -> str:
        if not threads:
            context = copy_context()
            threads.append(threading.Thread(target=context.run, args=(later,)))
            threads[0].start()
        return server.client_secret

    def later() -> None:
        go_on.wait(20)
        tokens.append(auth.renew())

    threads: list[threading.Thread] = []
    auth = with_callable(RequestsAuth, server, secret)
    auth.token()
    wait_for_renewals()
    go_on.set()
    threads[0].join()
    assert tokens
    assert len(server.token_requests) == 2


def test_renew_during_the_first_renewal_sends_no_second_request(
    server: MediaHoundServer,
) -> None:
    auth = with_callable(RequestsAuth, server, lambda: server.client_secret)
    with server.hold_token_requests() as hold:
        threads = [threading.Thread(target=method) for method in (auth.token, auth.renew)]
        threads[0].start()
        hold.wait_for(1)
        threads[1].start()
        hold.release()
        for thread in threads:
            thread.join()
    assert len(server.token_requests) == 1
