"""Messages on standard error, one line each."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["printable", "say", "say_warnings", "waiting"]

# Seconds without output, after which a command says what it is waiting for.
PATIENCE = 2.0


def printable(text: str) -> str:
    """Return `text` in one line, with spaces for escape and bidirectional characters."""
    return "".join(char if char.isprintable() else " " for char in text)


def say(program: str, message: str) -> None:
    """Print `message` in one line, after the name of the program."""
    print(f"{program}: {printable(' '.join(message.split()))}", file=sys.stderr)


@contextmanager
def waiting(program: str, what: str, timeout: float) -> Iterator[None]:
    """After PATIENCE seconds, print on a terminal what the command is waiting for."""
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
    """From now on, print this package's log warnings, such as the failure of a store.

    A failed renewal is left out: its error ends the command, unless a token is at hand.
    """
    logging.getLogger("mediahound_auth").addHandler(_Lines(program))


class _Lines(logging.Handler):
    def __init__(self, program: str) -> None:
        super().__init__(logging.WARNING)
        self._program = program

    def emit(self, record: logging.LogRecord) -> None:
        if vars(record)["event"] != "renewal":
            # Without the hint at origins=, which commands do not have.
            message, _, _ = record.getMessage().partition("; to allow it")
            say(self._program, f"warning: {message}")
