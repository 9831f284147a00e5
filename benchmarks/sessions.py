"""What all cases do: serve, open a session, call with it, put what came of it into words."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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
def serving_elsewhere() -> Iterator[tuple[Credentials, str]]:
    """The same in a process of its own: what to get a token with, and a URL to call."""
    spawn = multiprocessing.get_context("spawn")  # the threads of this one do not survive a fork
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there,))
    process.start()
    there.close()
    try:
        yield here.recv()
    finally:
        here.close()  # which ends the other one
        process.join()


def _serve(connection: Connection) -> None:
    with serving() as server:
        connection.send((server.credentials, api(server)))
        with suppress(EOFError):
            connection.recv()


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
