"""What tools show of an exception: those that print the variables of a traceback, as they do."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any
from unittest import mock

import pytest
import rich.traceback
import structlog.tracebacks
from _pytest._code import code as pytest_code

# It would import them, to see what they have patched and what it can extend: half a second.
with pytest.MonkeyPatch.context() as patch:
    for name in ("gevent", "eventlet", "django"):
        patch.setitem(sys.modules, name, None)
    import sentry_sdk
    import sentry_sdk.spotlight
    import sentry_sdk.transport
    import sentry_sdk.utils


def with_pytest(error: BaseException) -> str:
    """With and without -vv. A traceback without --showlocals is a part of both."""
    caught = pytest.ExceptionInfo.from_exception(error)
    # Source lines hold no values, and pytest parses the whole file for each of them.
    with mock.patch.object(pytest_code.TracebackEntry, "getsource", return_value=None):
        shown = [
            str(caught.getrepr(funcargs=True, showlocals=True, truncate_locals=cut))
            for cut in (True, False)
        ]
    return "\n".join(shown)


def capture_locals(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def with_rich(error: BaseException) -> str:
    # What it lays out: names and values of variables, of which it shows 80 characters each.
    trace = rich.traceback.Traceback.extract(
        type(error), error, error.__traceback__, show_locals=True
    )
    return "\n".join(
        f"{stack.exc_type}: {stack.exc_value}\n{name} = {value.render(max_width=100_000)}"
        for stack in trace.stacks
        for frame in stack.frames
        for name, value in (frame.locals or {}).items()
    )


def with_structlog(error: BaseException) -> str:
    transform = structlog.tracebacks.ExceptionDictTransformer(max_frames=1000)
    return json.dumps(transform((type(error), error, error.__traceback__)), ensure_ascii=False)


class _Kept(sentry_sdk.transport.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.envelopes: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.envelopes.append(envelope)


@cache
def _sentry() -> tuple[sentry_sdk.Client, _Kept]:
    kept = _Kept()
    # Its integrations would stay in the process; they have no part in the event of an exception.
    # Source lines hold no values.
    client = sentry_sdk.Client(
        dsn="https://key@localhost/1",
        transport=kept,
        default_integrations=False,
        include_source_context=False,
    )
    return client, kept


def with_sentry(error: BaseException) -> str:
    client, kept = _sentry()
    kept.envelopes.clear()
    event, hint = sentry_sdk.utils.event_from_exception(error, client_options=client.options)
    client.capture_event(event, hint=hint)
    client.flush()
    [envelope] = kept.envelopes
    return json.dumps(envelope.get_event(), ensure_ascii=False)


TOOLS: dict[str, Callable[[BaseException], str]] = {
    "pytest": with_pytest,
    "capture_locals": capture_locals,
    "rich": with_rich,
    "structlog": with_structlog,
    "sentry-sdk": with_sentry,
}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """`error`, and what it came from, as far as tracebacks go."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def where_shown(error: BaseException, private: Sequence[str]) -> list[tuple[str, str]]:
    """Which tools show one of `private`, and where."""
    assert error.__traceback__ is not None
    found = []
    for tool, show in TOOLS.items():
        text = show(error)
        assert type(error).__name__ in text
        lines = [line for line in text.splitlines() if any(value in line for value in private)]
        found += [(tool, line.strip()[:400]) for line in lines]
    return found
