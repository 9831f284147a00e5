"""What a command prints while it waits."""

from __future__ import annotations

import io
import sys
import threading

import pytest
from timing import eventually

from mediahound_auth._cli import stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_command_that_waits_says_so_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stderr, "PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with stderr.waiting("prog", "a token", 30.0):
        eventually(lambda: terminal.getvalue().endswith("\n"))
    expected = "prog: waiting for a token, for 30 s at most (Ctrl-C to stop)\n"
    assert terminal.getvalue() == expected
    monkeypatch.setattr(stderr, "PATIENCE", 60.0)
    with stderr.waiting("prog", "a token", 30.0):
        pass
    timers = (thread for thread in threading.enumerate() if isinstance(thread, threading.Timer))
    for timer in timers:
        timer.join()  # it has been cancelled
    assert terminal.getvalue() == expected
