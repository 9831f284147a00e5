"""What runs in the processes of a `fleet.Fleet`: a parent, which forks the workers.

Each worker has an auth object and a session of its own, does what it is told over a socket, and
tells what its store was asked for while it was at it.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Before anything takes hold of it: the workers' clock can be put forward.
_real_time = time.time
_ahead = 0.0
time.time = lambda: _real_time() + _ahead

# What the first grant of a process imports: here, so that it eats into nobody's time budget.
import oauthlib.oauth2  # noqa: E402, F401
import requests  # noqa: E402

from mediahound_auth import Store, Token  # noqa: E402
from mediahound_auth._core import lifecycle  # noqa: E402
from mediahound_auth.requests import MediaHoundAuth  # noqa: E402
from mediahound_auth.stores.file import FileStore  # noqa: E402
from mediahound_auth.stores.redis import RedisStore  # noqa: E402

# A machine that stands still for seconds is not a store that hangs.
lifecycle.STORE_TIMEOUT = 20.0


class Link:
    """The socket to the test: a JSON array in each line, from any thread."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._lock = threading.Lock()

    def tell(self, event: str, **details: object) -> None:
        line = json.dumps([event, details]).encode() + b"\n"
        with self._lock:
            self._socket.sendall(line)

    def commands(self) -> Iterator[list[Any]]:
        with self._socket.makefile("rb") as lines:
            for line in lines:
                yield json.loads(line)


class Told:
    """A store that tells what it is asked for."""

    def __init__(self, store: Store, link: Link) -> None:
        self._store, self._tell = store, link.tell

    def load(self, key: str) -> Token | None:
        self._tell("load")
        return self._store.load(key)

    def save(self, key: str, token: Token) -> None:
        self._tell("save")
        self._store.save(key, token)

    def discard(self, key: str) -> None:
        self._tell("discard")
        self._store.discard(key)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        self._tell("locking")
        try:
            with self._store.lock(key, timeout):
                self._tell("locked")
                yield
        finally:
            self._tell("unlocked")


class Warnings(logging.Handler):
    """Tells each warning."""

    def __init__(self, link: Link) -> None:
        super().__init__(logging.WARNING)
        self._tell = link.tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell("warning", message=record.getMessage())


def work(link: Link) -> None:
    """Do what the test says until it hangs up."""
    global _ahead
    logging.getLogger("mediahound_auth").addHandler(Warnings(link))
    session, url = requests.Session(), ""
    link.tell("ready", pid=os.getpid())
    for command, *arguments in link.commands():
        match command, arguments:
            case "join", [kind, place, credentials, timeout, url]:
                store = Told({"file": FileStore, "redis": RedisStore}[kind](place), link)
                session.close()
                session = requests.Session()
                session.auth = MediaHoundAuth(**credentials, store=store, timeout=timeout)
                _ahead = 0.0
                link.tell("joined")
            case "call", []:
                response = session.get(url)
                carried = response.request.headers["Authorization"]
                link.tell("done", status=response.status_code, carried=carried)
            case "rest", []:
                # Whatever goes on in the background, there is nothing else here that could.
                for thread in set(threading.enumerate()) - {threading.current_thread()}:
                    thread.join()
                link.tell("rested")
            case "put the clock forward", [seconds]:
                _ahead = seconds
                link.tell("put forward")
            case "write no more than", [octets]:
                limits = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (octets, limits[1]))
                link.tell("limited")
            case _:
                raise ValueError(command)


def main() -> None:
    """Fork the workers, before there is anything to share, and wait for their end."""
    port, workers = map(int, sys.argv[1:])
    for _ in range(workers):
        if os.fork() == 0:
            link = Link(port)
            try:
                work(link)
            except BaseException:
                link.tell("crashed", trace=traceback.format_exc())
            os._exit(0)
    for _ in range(workers):
        os.wait()


if __name__ == "__main__":
    main()
