"""What all cases do: serve, open a session, call with it, put what came of it into words."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import requests

from mediahound_auth.testing import Credentials, MediaHoundServer

if TYPE_CHECKING:
    from benchmarks.contenders import Contender

# Seconds, enough that a call waits for its token and is not cut short by anything else.
PATIENCE = 60.0

CALLER_FETCHES = "caller fetches"


@contextmanager
def serving(**options: Any) -> Iterator[MediaHoundServer]:
    """A server for a client that nobody knows yet.

    It takes the Basic header and nothing else, because that is what all contenders can send.
    """
    client_id = f"client-{uuid.uuid4()}"
    with MediaHoundServer(
        client_id=client_id, client_auth="client_secret_basic", **options
    ) as server:
        yield server


@contextmanager
def serving_elsewhere(
    *, token_delay: float = 0.0, **options: Any
) -> Iterator[tuple[Credentials, str]]:
    """The same in a process of its own: what to get a token with, and a URL to call."""
    with _elsewhere(_serve, token_delay, options) as served:
        yield served


@contextmanager
def slow_api(seconds: float) -> Iterator[str]:
    """The origin of an API in a process of its own, which takes that long to respond to a call.

    It takes any token.
    """
    with _elsewhere(_serve_slowly, seconds) as origin:
        yield origin


@contextmanager
def _elsewhere(serve: Callable[..., None], *arguments: object) -> Iterator[Any]:
    spawn = multiprocessing.get_context("spawn")  # the threads of this one do not survive a fork
    here, there = spawn.Pipe()
    process = spawn.Process(target=serve, args=(there, *arguments))
    process.start()
    there.close()
    try:
        yield here.recv()
    finally:
        here.close()  # which ends the other one
        process.join()


def _serve(connection: Connection, token_delay: float, options: dict[str, Any]) -> None:
    with serving(**options) as server:
        server.token_delay = token_delay
        connection.send((server.credentials, api(server)))
        with suppress(EOFError):
            connection.recv()


def _serve_slowly(connection: Connection, seconds: float) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(seconds)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connection.send(f"http://127.0.0.1:{server.server_port}")
        with suppress(EOFError):
            connection.recv()
        server.shutdown()


def api(server: MediaHoundServer) -> str:
    return f"{server.url}/1.3/search/all/Gladiator"


def plain_token(credentials: Credentials) -> str:
    """The Authorization header of a token, got with nothing but requests."""
    answer = requests.post(
        credentials["token_url"],
        {"grant_type": "client_credentials"},
        auth=(credentials["client_id"], credentials["client_secret"]),
        timeout=PATIENCE,
    )
    answer.raise_for_status()
    return f"Bearer {answer.json()['access_token']}"


def age_token(server: MediaHoundServer, seconds: float) -> float:
    """Have a token issued that `server` hands out for so many more seconds; return when it ends."""
    plain_token(server.credentials)
    server.expire_in(seconds)
    return time.monotonic() + seconds


class Opened:
    """A session whose caller has done what is left to a caller; calls block, whatever its kind.

    Attributes:
        session: the session or client itself.
    """

    def __init__(self, session: Any, runner: asyncio.Runner | None) -> None:
        self.session = session
        self._runner = runner

    def get(self, url: str) -> Any:
        """The response to one call."""
        if self._runner is None:
            return self.session.get(url)
        return self._runner.run(self.session.get(url))

    def call(self, url: str) -> str:
        """The status of one call, or what it raised."""
        try:
            return str(self.get(url).status_code)
        except Exception as error:
            return raised(error)


@contextmanager
def opened(
    contender: Contender,
    credentials: Credentials,
    runner: asyncio.Runner,
    *,
    budget: float = PATIENCE,
) -> Iterator[Opened]:
    """A session of `contender`; an asynchronous one lives on the event loop of `runner`."""
    session = contender.session(credentials, budget)
    if contender.kind == "httpx async":
        runner.run(session.__aenter__())
        try:
            if contender.fetch:
                runner.run(contender.fetch(session))
            yield Opened(session, runner)
        finally:
            runner.run(session.__aexit__(None, None, None))
        return
    with session:
        if contender.fetch:
            contender.fetch(session)
        yield Opened(session, None)


def raised(error: Exception) -> str:
    """What a call that raised `error` did."""
    return f"raise {type(error).__name__}"


def in_words(outcomes: Iterable[str]) -> str:
    """What came of many calls: "all 200", or "60 × 200, 4 × 401"."""
    counted = Counter(outcomes).most_common()
    if len(counted) == 1:
        return f"all {counted[0][0]}"
    return ", ".join(f"{n} × {outcome}" for outcome, n in counted)
