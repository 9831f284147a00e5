"""`mediahound-auth serve`: run a fake server, and print or set its environment variables."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mediahound_auth._cli.options import PROGRAM
from mediahound_auth._cli.stderr import say
from mediahound_auth.errors import ConfigurationError
from mediahound_auth.testing import MediaHoundServer

__all__ = ["run", "serve"]


def serve(server: MediaHoundServer) -> None:
    """Start `server`, print `export` lines, and serve until Ctrl-C or SIGTERM.

    Raises:
        ConfigurationError: The port is in use.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _started(server):
        for variable, value in _environment(server).items():
            print(f"export {variable}={shlex.quote(value)}")
        print(f"# Press Ctrl-C to stop the fake MediaHound server at {server.url}", flush=True)
        while not stop.wait(0.5):  # on Windows, Ctrl-C does not interrupt a wait without a timeout
            pass


def run(server: MediaHoundServer, command: Sequence[str]) -> int:
    """Start `server`, run `command` with its environment variables, and return the exit status.

    Raises:
        ConfigurationError: The port is in use, or the command cannot be run.
    """
    with _started(server):
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches the command as well
        try:
            program = subprocess.Popen(command, env={**os.environ, **_environment(server)})
        except OSError as error:
            raise ConfigurationError(f"cannot run the command: {error.strerror}") from None
        signal.signal(signal.SIGTERM, lambda *_: program.terminate())
        status = program.wait()
        rejected = any(request.status != 200 for request in server.token_requests)
        if not (server.api_requests or rejected) and (status or not server.token_requests):
            say(
                PROGRAM,
                "warning: the command sent no API request to the fake server. If it calls "
                f"https://api.mediahound.com, replace that by {server.url} (MEDIAHOUND_API_URL)",
            )
        return status if status >= 0 else 128 - status  # as shells report a signal


def _environment(server: MediaHoundServer) -> dict[str, str]:
    """Return the variables for programs. The package does not read MEDIAHOUND_API_URL."""
    return {**server.environment, "MEDIAHOUND_API_URL": server.url}


@contextmanager
def _started(server: MediaHoundServer) -> Iterator[None]:
    try:
        server.start()
    except OSError as error:
        raise ConfigurationError(f"--port: {error.strerror}") from None
    try:
        yield
    finally:
        server.stop()
