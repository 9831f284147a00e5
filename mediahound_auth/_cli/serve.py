"""`mediahound-auth serve`: a stand-in for MediaHound, and what makes other programs use it."""

from __future__ import annotations

import shlex
import signal
import threading

from mediahound_auth.errors import ConfigurationError
from mediahound_auth.testing import MediaHoundServer

__all__ = ["serve"]


def serve(server: MediaHoundServer) -> None:
    """Start it, print `export` lines, and serve until Ctrl-C or SIGTERM.

    Raises:
        ConfigurationError: its port is taken.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        server.start()
    except OSError as error:
        raise ConfigurationError(f"--port: {error.strerror}") from None
    try:
        for variable, value in server.environment.items():
            print(f"export {variable}={shlex.quote(value)}")
        print(f"# A stand-in for MediaHound, at {server.url} until Ctrl-C.", flush=True)
        while not stop.wait(0.5):  # on Windows, a wait without end cannot be interrupted
            pass
    finally:
        server.stop()
