"""Programs of a few lines, run by a Python of their own or a warm one against a fake server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import warm

from mediahound_auth.testing import MediaHoundServer

ROOT = Path(__file__).parents[2]

Env = Mapping[str, str]
NOTHING: Env = {}


def environment(server: MediaHoundServer, variables: Env) -> dict[str, str]:
    """What a program gets whose token requests go to `server`, at SERVER."""
    # Not under coverage if it starts cold: that takes its time, and gevent's threads break it.
    inherited = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    given = {"SERVER": server.url, **server.environment, **variables}
    path = os.pathsep.join([str(ROOT), given.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**inherited, **given, "PYTHONPATH": path}


@contextmanager
def started(
    *command: str | Path, server: MediaHoundServer, fds: Sequence[int] = (), env: Env = NOTHING
) -> Iterator[subprocess.Popen[str]]:
    """A program with pipes, which inherits `fds`. It is killed in the end."""
    with subprocess.Popen(
        command,
        env=environment(server, env),
        pass_fds=fds,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def forked(
    script: str, *arguments: str | Path, server: MediaHoundServer, env: Env = NOTHING
) -> Iterator[warm.Program]:
    """A script that need not start cold. It is killed in the end."""
    program = warm.Program("-c", [script, *map(str, arguments)], environment(server, env))
    try:
        yield program
    finally:
        if program.returncode is None:
            program.send_signal(signal.SIGKILL)
            program.communicate()


def printed(
    script: str,
    server: MediaHoundServer,
    *arguments: str | Path,
    env: Env = NOTHING,
    cold: bool = False,
) -> str:
    """What a script prints, which must end well.

    It is `cold` where an interpreter's start, end or environment is what is tested.
    """
    program: subprocess.Popen[str] | warm.Program
    if cold:
        with started(sys.executable, "-c", script, *arguments, server=server, env=env) as program:
            out, errors = program.communicate(timeout=60)
    else:
        with forked(script, *arguments, server=server, env=env) as program:
            out, errors = program.communicate()
    assert program.returncode == 0, errors
    return out.strip()
