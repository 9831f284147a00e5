"""Which functions of the package a call passes through, traced while it runs with requests.

Only calls of named functions and lambdas count: comprehensions do not, and a generator counts once,
however often it is resumed. `testing` and `_cli` do not count either.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from inspect import CO_GENERATOR
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import NamedTuple
from unittest.mock import patch

import requests

from docs.architecture import PACKAGE, ROOT
from mediahound_auth._core import runtime
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores import MemoryStore
from mediahound_auth.testing import MediaHoundServer
from mediahound_auth.token import Token


class Call(NamedTuple):
    """A call of a function of the package.

    Attributes:
        stack: the modules whose functions are running in this thread, the function's own last.
            Functions of one module that call each other are one entry.
        function: the function's name.
        entering: whether another module called it, or nothing in the package did.
        generator: whether it is a generator, which need not be resumed by what called it.
    """

    stack: tuple[str, ...]
    function: str
    entering: bool
    generator: bool

    @property
    def module(self) -> str:
        """The module that the function is in."""
        return self.stack[-1]


class Trace:
    """The calls that each thread has made, in order."""

    def __init__(self) -> None:
        """Start with none. This thread is the caller's."""
        self.caller: list[Call] = []
        self.threads = {threading.current_thread(): self.caller}
        self._generators: set[FrameType] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Note a call, if it is one; for `sys.setprofile`."""
        if event != "call" or not _module(frame) or frame in self._generators:
            return
        modules = [module for module in map(_module, _below(frame)) if module]
        generator = bool(frame.f_code.co_flags & CO_GENERATOR)
        if generator:
            self._generators.add(frame)
        call = Call(
            stack=tuple(module for module, _ in groupby(reversed(modules))),
            function=frame.f_code.co_qualname.replace("<locals>.", ""),
            entering=modules[:1] != modules[1:2],
            generator=generator,
        )
        self.threads.setdefault(threading.current_thread(), []).append(call)

    @property
    def renewal(self) -> list[Call]:
        """The calls of all threads but the caller's."""
        return [call for calls in [*self.threads.values()][1:] for call in calls]

    def done(self) -> None:
        """Let go of the generators, which are remembered to count each once."""
        self._generators.clear()


def _below(frame: FrameType | None) -> Iterator[FrameType]:
    while frame:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str | None:
    name = frame.f_code.co_name
    return None if name[0] == "<" and name != "<lambda>" else _named(frame.f_code.co_filename)


@cache
def _named(file: str) -> str | None:
    path = Path(file)
    if not path.is_relative_to(ROOT / PACKAGE):
        return None
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    # Masked text is a str: its methods are no steps of a call.
    return None if parts[0] in ("testing", "_cli") or parts[-1] == "masked" else ".".join(parts)


def traced(prepare: Callable[[MediaHoundServer], MediaHoundAuth]) -> Trace:
    """One call with what `prepare` returns, and the renewal that it starts."""
    trace = Trace()
    caller, wait = threading.current_thread(), runtime.Event.wait

    def wait_for_thread(event: runtime.Event, until: float) -> bool:
        # Otherwise chance decides which of the two threads records the outcome.
        if threading.current_thread() is caller:
            join_renewals()
        return wait(event, until)

    with (
        MediaHoundServer() as server,
        patch.dict(os.environ, no_proxy="127.0.0.1"),
        patch.object(runtime.Event, "wait", wait_for_thread),
    ):
        auth = prepare(server)
        # Without metrics, whatever else this process does.
        metrics = sys.modules.pop("opentelemetry.metrics", None)
        threading.setprofile(trace)
        sys.setprofile(trace)
        try:
            response = requests.get(f"{server.url}/1.3/search/all/Gladiator", auth=auth, timeout=30)
        finally:
            sys.setprofile(None)
            join_renewals()
            threading.setprofile(None)
            trace.done()
            if metrics:
                sys.modules["opentelemetry.metrics"] = metrics
        response.raise_for_status()
    return trace


def join_renewals() -> None:
    """Wait for renewals in the background."""
    for thread in threading.enumerate():
        if thread.name.startswith("mediahound-auth"):
            thread.join(10)


def cold(server: MediaHoundServer) -> MediaHoundAuth:
    """No token is at hand."""
    auth = MediaHoundAuth(**server.credentials)
    auth.forget()  # a token of an earlier server at the same port
    return auth


def rejected(server: MediaHoundServer) -> MediaHoundAuth:
    """The token at hand has been revoked."""
    auth = cold(server)
    auth.token()
    server.revoke_tokens()
    return auth


class _Due(MemoryStore):
    """A store with a token in it that expires soon."""

    def __init__(self, token: Token) -> None:
        super().__init__()
        now = time.time()
        self._token = token.replace(requested_at=now - 9900, expires_at=now + 100)

    def load(self, key: str) -> Token:  # noqa: ARG002
        return self._token


def due(server: MediaHoundServer) -> MediaHoundAuth:
    """The token at hand is due for renewal."""
    auth = MediaHoundAuth(**server.credentials, store=_Due(cold(server).token()))
    auth.token()
    join_renewals()
    return auth


CALLS = {
    "No token at hand": cold,
    "The API rejects the token (401)": rejected,
    "The token is due for renewal": due,
}


@cache
def traces() -> dict[str, Trace]:
    """One trace for each of `CALLS`, of a process that has imported everything."""
    for prepare in CALLS.values():
        traced(prepare)
    return {title: traced(prepare) for title, prepare in CALLS.items()}


def page() -> str:
    """The paths, as Markdown."""
    parts = []
    for title, trace in traces().items():
        parts.append(f"### {title}\n")
        for thread, calls in trace.threads.items():
            where = "caller's thread" if calls is trace.caller else f"thread `{thread.name}`"
            modules = len({call.module for call in calls})
            parts.append(f"In the {where}, {len(calls)} calls of functions in {modules} modules:\n")
            parts.append("\n".join(["```text", *_path(calls), "```", ""]))
    return "\n".join(parts)


def _path(calls: list[Call]) -> Iterator[str]:
    entering = [call for call in calls if call.entering]
    for stack, group in groupby(entering, key=lambda call: call.stack):
        functions = dict.fromkeys(call.function for call in group)
        yield f"{'  ' * (len(stack) - 1)}{stack[-1]}: {', '.join(functions)}"
