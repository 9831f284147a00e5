"""Python programs as forks of a process that has imported what they need.

A program that starts cold takes a quarter of a second of the processor, for imports most of it.
Where a cold start is not what is tested, its fork does the same in a tenth of that, with an
environment, arguments and standard streams of its own. It runs the program's file from the start,
or a script.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import sys
import termios
import threading
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from types import ModuleType

# What programs import, but for what one of these imports itself.
PRELOADED = ["requests", "httpx", "oauthlib.oauth2", "typer._adapters"]
PRELOADED += [f"mediahound_auth.{name}" for name in ("httpx", "requests", "stores.file", "testing")]
PRELOADED += [f"mediahound_auth._cli.{name}" for name in ("app", "check")]
PRELOADED += ["argparse", "curses", "getpass", "mailbox", "multidict", "netrc", "pprint"]
PRELOADED += [f"pygments.formatters.{name}" for name in ("terminal", "terminal256")]
PRELOADED += [f"pygments.lexers.{name}" for name in ("special", "text")]


@cache
def forker() -> socket.socket:
    """The socket of this file, run, which forks programs until nobody has the socket any more.

    Forks of a process share the one that it has started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        os.set_inheritable(theirs.fileno(), True)
        command = [sys.executable, __file__, str(theirs.fileno())]
        # Not by subprocess, which warns in each fork that the process of its parent still runs.
        pid = os.posix_spawn(sys.executable, command, os.environ)

    def end() -> None:
        ours.close()
        os.waitpid(pid, 0)

    atexit.register(end)
    return ours


class Program:
    """One that runs: what tests use of subprocess.Popen, with text.

    Attributes:
        stdout: what it prints, as it comes.
        returncode: None until `communicate` has returned.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        terminal: int | None = None,
    ) -> None:
        """Start a program: a file, or "-c" and a script as the first of its arguments.

        With `terminal`, the descriptor of one, that is its standard input and standard error, and
        where Ctrl-C comes from.
        """
        pipes = [os.pipe() for _ in range(4)]
        (stdin, self._stdin), (self._out, stdout), (self._err, stderr), (asked, ask) = pipes
        self._status, status = socket.socketpair()
        streams = [stdin, stdout, stderr] if terminal is None else [terminal, stdout, terminal]
        with status:
            # One byte, which is sent or received as a whole, whoever else does so.
            socket.send_fds(forker(), [b"!"], [*streams, status.fileno(), asked])
        for fd in (stdin, stdout, stderr, asked):
            os.close(fd)
        with os.fdopen(ask, "w") as request:
            json.dump([[program, *arguments], dict(env), terminal is not None], request)
        self._answers = self._status.makefile("r")
        self.pid = int(self._answers.readline())
        self.stdout = io.TextIOWrapper(os.fdopen(self._out, "rb"))
        self.returncode: int | None = None

    def communicate(self, given: bytes = b"", timeout: float = 60) -> tuple[str, str]:
        """What it prints from here on, to standard output and to standard error."""
        errors: list[str] = []

        def read_errors() -> None:
            with os.fdopen(self._err, "rb") as stderr:
                errors.append(stderr.read().decode())

        def feed() -> None:
            with contextlib.suppress(BrokenPipeError), os.fdopen(self._stdin, "wb") as stdin:
                stdin.write(given)

        threads = [threading.Thread(target=work) for work in (read_errors, feed)]
        alarm = threading.Timer(timeout, self.send_signal, [signal.SIGKILL])
        for thread in (*threads, alarm):
            thread.start()
        with self.stdout, self._status, self._answers:
            printed = self.stdout.read()
            self.returncode = int(self._answers.readline())
        alarm.cancel()
        for thread in (*threads, alarm):
            thread.join()
        return printed, errors[0]

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _serve(requests: socket.socket) -> None:
    """Fork what is asked for. For each, a child waits that tells how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, and they end this
    while True:
        octet, fds, _, _ = socket.recv_fds(requests, 1, 5)
        if not octet:
            return
        if os.fork() == 0:
            requests.close()
            _run_and_tell(fds)
        for fd in fds:
            os.close(fd)
        # Those that have told all there is to tell.
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def _run_and_tell(fds: list[int]) -> None:
    *streams, told, asked = fds
    with os.fdopen(asked) as request:
        command, environment, on_terminal = json.load(request)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
            os.close(fd)
        if on_terminal:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        _become(command, environment)
        return
    for fd in streams:
        os.close(fd)
    with os.fdopen(told, "w", buffering=1) as answers:
        print(pid, file=answers)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers)
    os._exit(0)


def _become(command: list[str], environment: dict[str, str]) -> None:
    """Run the program as if this process had been started for it.

    What an interpreter reads at its start (PYTHONPATH, PYTHONWARNINGS), and how it ends by an
    exception or Ctrl-C, need a cold start.
    """
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    code: object = None
    try:
        if command[0] == "-c":
            sys.argv = ["-c", *command[2:]]
            sys.modules["__main__"] = main = ModuleType("__main__")
            exec(command[1], main.__dict__)
        else:
            sys.argv = command
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    # What an interpreter does at its end, but for the clearing of all modules, which takes time.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    # Not what this file's folder has, but what programs see that are started by their names.
    sys.path[:] = [folder for folder in sys.path if folder != os.path.dirname(__file__)]
    for _name in PRELOADED:
        with contextlib.suppress(ModuleNotFoundError):  # the oldest versions lack some
            importlib.import_module(_name)
    gc.freeze()  # what is not looked at is not copied by forks
    _serve(socket.socket(fileno=int(sys.argv[1])))
