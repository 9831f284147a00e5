"""Programs as users run them, with a home of their own, with or without a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import warm
from timing import wait_until_blocked

BIN = Path(sys.executable).parent

# Programs that need not start cold.
WARM = ("mediahound-auth", "http")

# Makes standard input the terminal that Ctrl-C comes from and getpass opens, then runs a program.
ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Done(NamedTuple):
    """What a program has done."""

    code: int
    out: str
    err: str


class Shell:
    """Runs programs in a folder, with nothing of MediaHound in their environment but what is given.

    Attributes:
        environment: what they get.
    """

    def __init__(self, home: Path, variables: Mapping[str, str]) -> None:
        kept = {name: value for name, value in os.environ.items() if "MEDIAHOUND" not in name}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        homes = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "HTTPIE_CONFIG_DIR": str(home)}
        # Wide enough that no help is wrapped in the middle of what a test looks for.
        usual = {"PATH": path, "COLUMNS": "200", "PYTHONUNBUFFERED": ""}
        self.environment = {**kept, **usual, **homes, **variables}
        # HTTPie must not look for a newer one of itself on the internet.
        (home / "config.json").write_text('{"disable_update_warnings": true}')

    def run(self, *command: str, given: str | bytes = b"", **variables: str) -> Done:
        """Run a program to its end, with `given` as its standard input."""
        given = given.encode() if isinstance(given, str) else given
        if command[0] in WARM and "PYTHONPATH" not in variables:
            program = self.start(*command, **variables)
            out, err = program.communicate(given)
            assert program.returncode is not None
            return Done(program.returncode, out, err)
        done = subprocess.run(
            command,
            env={**self.environment, **variables},
            input=given,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, program: str, *arguments: str, **variables: str) -> warm.Program:
        """Start one of the programs that need not start cold."""
        return warm.Program(str(BIN / program), arguments, {**self.environment, **variables})


class Terminal:
    """A program on a terminal of its own, all but its standard output.

    Attributes:
        shown: what the terminal has shown so far.
    """

    def __init__(self, shell: Shell, *command: str) -> None:
        self._open_checked, theirs = pty.openpty()
        environment = {**shell.environment, "TERM": "dumb"}
        self._process: warm.Program | subprocess.Popen[str]
        if command[0] in WARM:
            self._process = warm.Program(
                str(BIN / command[0]), command[1:], environment, terminal=theirs
            )
        else:
            self._process = subprocess.Popen(
                [sys.executable, "-c", ON_TERMINAL, *command],
                env=environment,
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=theirs,
                start_new_session=True,
                text=True,
            )
        os.close(theirs)
        self.shown = ""

    def see(self, text: str) -> None:
        """Wait until it has shown this."""
        while text not in self.shown:
            self.shown += os.read(self._open_checked, 1024).decode()

    def type(self, text: str) -> None:
        """Type this, once the program waits for something. Ctrl-C interrupts that."""
        wait_until_blocked(self._process.pid)
        os.write(self._open_checked, text.encode())

    def end(self) -> Done:
        """What it has done when it ended, with all that was shown in place of errors."""
        out, _ = self._process.communicate(timeout=60)
        try:
            while more := os.read(self._open_checked, 1024).decode():
                self.shown += more
        except OSError:
            pass  # so ends a terminal that nobody writes to any more
        os.close(self._open_checked)
        assert self._process.returncode is not None
        return Done(self._process.returncode, out, self.shown)
