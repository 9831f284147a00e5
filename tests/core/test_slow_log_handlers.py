"""Log handlers that are slow or interrupted while a failed renewal is logged."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import pytest
from timing import let_time_run_out

from mediahound_auth import TokenEndpointUnavailable, TokenRequestError
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._core.renewal import Outcome, Renewal, Steps, run_steps
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer

BOTH = pytest.mark.parametrize("kind", [RequestsAuth, HttpxAuth])

OutOfTime = tuple[Any, Renewal, list[Steps[Outcome]]]


class Telling(logging.Handler):
    """Does something when a renewal for this client is said to have failed."""

    def __init__(self, client_id: str, then: Callable[[], object]) -> None:
        super().__init__()
        self._which = (client_id, "renewal", logging.WARNING)
        self._then = then

    def emit(self, record: logging.LogRecord) -> None:
        said = vars(record)
        if (said["client_id"], said["event"], record.levelno) == self._which:
            self._then()


@contextmanager
def telling(client_id: str, then: Callable[[], object]) -> Iterator[None]:
    logger, handler = logging.getLogger("mediahound_auth"), Telling(client_id, then)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@pytest.fixture
def out_of_time(kind: type[Any], server: MediaHoundServer) -> Iterator[OutOfTime]:
    """An auth object whose renewal does not end, and two callers whose time limits are over."""
    asked, over = threading.Event(), threading.Event()

    def secret() -> str:
        asked.set()
        over.wait(30)
        raise LookupError("no caller waits any more")

    credentials: dict[str, Any] = {**server.credentials, "client_secret": secret}
    auth = kind(**credentials)
    callers = [source_of(auth).get_token() for _ in range(2)]
    [renewal] = {next(steps)[0] for steps in callers}
    let_time_run_out(renewal, asked)
    yield auth, renewal, callers
    over.set()


@BOTH
def test_a_slow_log_handler_delays_no_caller_beyond_its_time_limit(
    out_of_time: OutOfTime, client_id: str
) -> None:
    auth, _, steps_of_callers = out_of_time
    slow = threading.Event()

    def token(steps: Steps[Outcome]) -> object:
        return auth._token_of(run_steps(steps))

    with ThreadPoolExecutor(2) as pool, telling(client_id, lambda: slow.wait(30)):
        callers = [pool.submit(token, steps) for steps in steps_of_callers]
        done, held_up = wait(callers, 20, FIRST_COMPLETED)
        assert (len(done), len(held_up)) == (1, 1)
        slow.set()
        assert {type(caller.exception(20)) for caller in callers} == {
            auth._error_types[TokenEndpointUnavailable]
        }


@pytest.mark.parametrize("kind", [RequestsAuth])
def test_an_interrupted_log_handler_leaves_no_caller_waiting(
    out_of_time: OutOfTime, client_id: str
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    _, renewal, [interrupted, other] = out_of_time
    with telling(client_id, interrupt), pytest.raises(KeyboardInterrupt):
        run_steps(interrupted)
    assert renewal._done.wait(0.0)
    assert isinstance(run_steps(other), TokenEndpointUnavailable)


@BOTH
def test_a_caller_that_comes_while_a_background_failure_is_logged_may_request_a_token(
    kind: type[Any], server: MediaHoundServer
) -> None:
    told, slow = threading.Event(), threading.Event()

    def take_time() -> None:
        told.set()
        slow.wait(30)

    auth = kind(**server.credentials, timeout=20)
    token = auth.token()
    server.respond_to_token_requests(1, status=400, body={"error": "bad_day"})
    source_of(auth).shared.state = source_of(auth).shared.state._replace(renew_at=0.0)
    with telling(server.client_id, take_time):
        assert auth.token() == token
        assert told.wait(20)
        source_of(auth).shared.state = source_of(auth).shared.state._replace(
            renew_at=0.0, token=None
        )
        assert auth.token() != token
        slow.set()


@BOTH
def test_a_call_in_a_log_handler_does_not_wait_for_a_renewal_that_waits_to_log(
    kind: type[Any], server: MediaHoundServer
) -> None:
    auth, outcomes = kind(**server.credentials, timeout=20), []

    class Calling(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "application":
                outcomes.append(auth.token())

    package, application = logging.getLogger("mediahound_auth"), logging.getLogger("application")
    handler, level = Calling(), package.level
    package.setLevel(logging.DEBUG)
    for logger in (package, application):
        logger.addHandler(handler)
    try:
        with ThreadPoolExecutor(2) as pool, server.hold_token_requests() as hold:
            other = pool.submit(auth.token)
            hold.wait_for(1)
            logged = pool.submit(application.critical, "a record")
            hold.wait_for(2)
            hold.release()
            logged.result(20)
            outcomes.append(other.result(20))
    finally:
        package.setLevel(level)
        for logger in (package, application):
            logger.removeHandler(handler)
    assert len(outcomes) == 2


class Calling(logging.Handler):
    """Makes one call for its first record."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__()
        self.outcomes: list[object] = []
        self._call: Callable[[], object] | None = call

    def emit(self, _: logging.LogRecord) -> None:
        call, self._call = self._call, None
        if call:
            try:
                self.outcomes.append(call())
            except Exception as error:
                self.outcomes.append(error)


@contextmanager
def handling(name: str, handler: logging.Handler) -> Iterator[logging.Logger]:
    logger = logging.getLogger(name)
    level = logger.level
    # At DEBUG, the threads of the fake server would log to a handler of the root logger.
    logger.setLevel(logging.DEBUG if name else logging.INFO)
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.mark.parametrize("name", ["", "mediahound_auth", "urllib3", "httpcore", "application"])
@BOTH
def test_a_call_in_a_handler_of_any_logger_gets_its_token(
    name: str, kind: type[Any], server: MediaHoundServer
) -> None:
    auth = kind(**server.credentials, timeout=20)
    handler = Calling(auth.token)
    started = time.monotonic()
    with handling(name, handler) as logger:
        logger.critical("a record")
    assert handler.outcomes == [auth.token()]
    assert len(server.token_requests) == 1
    assert time.monotonic() - started < 10


@BOTH
def test_a_call_while_a_handler_flushes_gets_its_token(
    kind: type[Any], server: MediaHoundServer
) -> None:
    auth = kind(**server.credentials, timeout=20)

    class Flushing(logging.Handler):
        def flush(self) -> None:
            self.acquire()
            try:
                self.outcome = auth.token()
            finally:
                self.release()

    handler = Flushing()
    with handling("mediahound_auth", handler):
        handler.flush()
    assert handler.outcome == auth.token()


def test_a_task_in_a_log_handler_that_gets_no_record_of_ours_has_its_token(
    server: MediaHoundServer,
) -> None:
    auth = HttpxAuth(**server.credentials, timeout=20)
    handler = Calling(lambda: asyncio.run(auth.atoken()))
    with handling("application", handler) as logger:
        logger.critical("a record")
    assert handler.outcomes == [auth.token()]


@pytest.mark.parametrize("name", ["", "mediahound_auth", "httpcore"])
def test_a_task_in_a_log_handler_hears_at_once_that_no_token_can_be_requested(
    name: str, server: MediaHoundServer
) -> None:
    auth = HttpxAuth(**server.credentials, timeout=20)
    handler = Calling(lambda: asyncio.run(auth.atoken()))
    started = time.monotonic()
    with handling(name, handler) as logger:
        logger.critical("a record")
    [error] = handler.outcomes
    assert isinstance(error, TokenRequestError)
    assert "a log handler has made a call with this auth object" in str(error)
    assert time.monotonic() - started < 10
    assert auth.token()
