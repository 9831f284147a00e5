"""What importing costs, beside importing the HTTP library itself: in fresh interpreters."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import mediahound_auth
from benchmarks.contenders import OURS, Contender
from benchmarks.scale import Scale
from benchmarks.sessions import serving
from benchmarks.table import Column, Row, Table

# Milliseconds for importing the HTTP library, and for importing what is measured after it.
IMPORT = """
import sys, time, warnings
warnings.simplefilter("ignore")
times = [time.perf_counter()]
for module in sys.argv[1:3]:
    __import__(module)
    times.append(time.perf_counter())
print(*((later - earlier) * 1000 for earlier, later in zip(times, times[1:])))
"""

# The same for the first token and for the second one.
FIRST_TOKEN = """
import importlib, sys, time
auth = importlib.import_module(sys.argv[1]).MediaHoundAuth(client_auth="client_secret_basic")
times = [time.perf_counter()]
for get in (auth.token, auth.renew):
    get()
    times.append(time.perf_counter())
print(*((later - earlier) * 1000 for earlier, later in zip(times, times[1:])))
"""


def import_time(contenders: Iterable[Contender], scale: Scale) -> Table:
    """What `import mediahound_auth.requests` adds to `import requests`."""
    modules = {contender.module: contender for contender in contenders}
    imports: dict[str, list[tuple[float, float]]] = {module: [] for module in modules}
    grants: dict[str, list[tuple[float, float]]] = {module: [] for module in modules}
    with tempfile.TemporaryDirectory() as folder, serving() as server:
        environment = _environment(Path(folder), server.environment)
        for _ in range(scale.imports + 1):  # the first one compiles what is not compiled yet
            for module, contender in modules.items():
                imports[module].append(_timed(environment, IMPORT, _library(contender), module))
                if contender.name == OURS:
                    grants[module].append(_timed(environment, FIRST_TOKEN, module))
    rows = []
    for module, contender in modules.items():
        library, added = map(min, zip(*imports[module][1:], strict=True))
        later = None
        if grants[module]:
            first, second = map(min, zip(*grants[module][1:], strict=True))
            later = max(0.0, first - second)
        values = (added, added / library, later)
        rows.append(Row(contender.name, _library(contender), values))
    columns = (
        Column("import adds", "{:.1f} ms", "requests 10 ms", {"requests": 10.0}),
        Column("beside the HTTP library", "{:.2f} ×"),
        Column("the first token adds", "{:.0f} ms"),
    )
    note = (
        "The time added after `import requests` or `import httpx` in a new interpreter, with"
        f" compiled modules. The shortest of {scale.imports} runs. mediahound-auth imports some"
        " modules only at the first token request; the others import everything at once."
    )
    return Table("Import", note, columns, rows)


def _library(contender: Contender) -> str:
    return contender.kind.partition(" ")[0]


def _environment(folder: Path, client: Mapping[str, str]) -> dict[str, str]:
    """An environment in which the package is installed as from a wheel: copied and compiled."""
    package = Path(mediahound_auth.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, folder / package.name, ignore=ignored)
    compileall.compile_dir(folder, quiet=1)
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **client, "PYTHONPATH": str(folder)}


def _timed(environment: dict[str, str], program: str, *arguments: str) -> tuple[float, float]:
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(
        command,
        env=environment,
        cwd=environment["PYTHONPATH"],
        capture_output=True,
        text=True,
        check=True,
    )
    earlier, later = map(float, done.stdout.split())
    return earlier, later
