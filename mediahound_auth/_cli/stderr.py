"""What a program tells whoever runs it: a line at a time, on standard error."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["printable", "say", "say_warnings", "waiting"]

# Seconds for which a command may wait and say nothing.
PATIENCE = 2.0


def printable(text: str) -> str:
    """`text` in one line, without what a terminal acts on: escape and bidirectional characters."""
    return "".join(char if char.isprintable() else " " for char in text)


def say(program: str, message: str) -> None:
    """Print `message` as one line that begins with the program's name."""
    print(f"{program}: {printable(' '.join(message.split()))}", file=sys.stderr)


@contextmanager
def waiting(program: str, what: str, timeout: float) -> Iterator[None]:
    """Tell a terminal after PATIENCE seconds what is waited for."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield
        return
    message = f"waiting for {what}, for {timeout:g} s at most (Ctrl-C to stop)"
    timer = threading.Timer(PATIENCE, say, (program, message))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def say_warnings(program: str) -> None:
    """From now on, say what this package logs as a warning: a store that fails, above all.

    That there is no token is left out: the error that ends the program says so.
    """
    logging.getLogger("mediahound_auth").addHandler(_Lines(program))


class _Lines(logging.Handler):
    def __init__(self, program: str) -> None:
        super().__init__(logging.WARNING)
        self._program = program

    def emit(self, record: logging.LogRecord) -> None:
        if vars(record)["event"] != "renewal":
            # Less the hint at origins=, which no program has.
            message, _, _ = record.getMessage().partition("; to allow it")
            say(self._program, f"warning: {message}")
