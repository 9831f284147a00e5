"""Programs of a few lines, run by a Python of their own against a fake server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediahound_auth.testing import MediaHoundServer

ROOT = Path(__file__).parents[2]


def environment(server: MediaHoundServer, **variables: str) -> dict[str, str]:
    """What a program gets whose token requests go to `server`, at SERVER."""
    # Not under coverage, which takes its time, and of which threads of gevent know nothing.
    inherited = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {
        **inherited,
        **server.environment,
        "PYTHONPATH": path,
        "SERVER": server.url,
        **variables,
    }


@contextmanager
def started(
    *command: str | Path, server: MediaHoundServer, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A program with pipes. It is killed in the end."""
    with subprocess.Popen(
        command,
        env=environment(server, **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def printed(script: str, server: MediaHoundServer, *arguments: str | Path) -> str:
    """What a script prints, which must end well."""
    with started(sys.executable, "-c", script, *arguments, server=server) as process:
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return out.strip()
