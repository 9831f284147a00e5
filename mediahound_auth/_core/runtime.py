"""Threads, waits, locks and clocks: the one module of the core that knows them.

Everything else in the core asks this module. So a test can put a virtual clock and a seeded
scheduler in the place of the names that it imports, and run the real code in any order.

**The locks**, in the order in which one thread may take them:

1. A store's lock (`Store.lock`) excludes other renewals, as far as the store reaches. The thread of
   a renewal holds it from its look into the store until it has saved the new token.
2. `state_lock` guards every `SharedTokenState`, the table of them, and what callers change in a
   `Renewal`. It is held for a few statements: without I/O, logging, waiting or code of the
   user's. It is reentrant, since a signal handler may make a call of its own in the thread that
   holds it. The handler then finds the state before or after a statement, and both are valid. The
   thread of a renewal takes it only once its outcome is decided: the handler may wait for that.
3. The condition inside an `Event` guards whether it is set. Nothing is called while it is held.

**What waits is looked up when it is used** (`threading.Condition`, never `from threading import
Condition`): gevent and eventlet may replace it after this module has been imported.

**After fork()**, the child finds `state_lock` free and every state whole. It has no renewal in
progress: the thread of one that it inherited has stayed in the parent (see `Renewal.joinable`).
"""

from __future__ import annotations

import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from logging import Logger
from traceback import walk_tb
from types import CodeType
from typing import Any, TypeVar

__all__ = [
    "THREAD_START_TIMEOUT",
    "DaemonThread",
    "Event",
    "WorkFailed",
    "Worker",
    "in_handler_of",
    "jitter",
    "monotonic",
    "new_lock",
    "now",
    "process_id",
    "raised_by_signal_handler",
    "sleep",
    "state_lock",
]

T = TypeVar("T")

# Seconds that a caller waits for a thread to begin before it does the work itself, and that a task
# tries to start one. (uWSGI 2.0.31 without `enable-threads` has been said to start threads that do
# not run. They do, between requests too: tried by hand on 2026-11-26, Python 3.11.) There
# are no threads in Pyodide, whose event loop now and then loses a time limit that is about to end.
THREAD_START_TIMEOUT: float = 0.0 if sys.platform == "emscripten" else 1.0

now = time.time  # Unix time: expiries are shared between machines
monotonic = time.monotonic  # for time limits
process_id = os.getpid
jitter = random.random  # from 0 to 1

state_lock: threading.RLock = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=state_lock.acquire,
        after_in_parent=state_lock.release,
        after_in_child=state_lock.release,
    )


def in_handler_of(logger: Logger | None) -> bool:
    """Whether this thread is in a log handler that gets the records of `logger`.

    The handler's lock is held then, so that no other thread can log. logging has no public way to
    ask for that.
    """
    while logger:
        if any(getattr(handler.lock, "_is_owned", bool)() for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def raised_by_signal_handler(error: BaseException) -> BaseException | None:
    """`error`, or what it came from, if a signal handler raised that; otherwise None.

    HTTP libraries translate a handler's TimeoutError as if it were one of the network, and may give
    the new error the traceback of the old one: the innermost is the handler's.
    """
    signal = sys.modules.get("signal")  # without it, there are no handlers
    handlers = map(signal.getsignal, signal.valid_signals()) if signal else ()
    codes = {_code(handler) for handler in handlers if callable(handler)} - {None}
    errors: list[BaseException | None] = [error]
    seen: set[int] = set()
    found = None
    while codes and errors:
        inner = errors.pop()
        if inner is None or id(inner) in seen:
            continue
        seen.add(id(inner))
        if any(frame.f_code in codes for frame, _ in walk_tb(inner.__traceback__)):
            found = inner
        errors += [inner.__context__, inner.__cause__]
    return found


def _code(handler: Any) -> CodeType | None:
    """The code of a function, a method, a partial or any other object that is called."""
    while isinstance(handler, partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    code: CodeType | None
    code = getattr(function, "__code__", None) or getattr(type(handler).__call__, "__code__", None)
    return code


def sleep(seconds: float) -> None:
    """Block this thread for so many seconds."""
    time.sleep(seconds)


def new_lock() -> threading.Lock:
    """A lock, whose `acquire` takes a `timeout` in seconds."""
    return threading.Lock()


class Event:
    """Something that happens once; threads and tasks wait for it alike."""

    def __init__(self) -> None:
        # A Condition on an RLock: a signal handler may come while its thread holds the lock.
        self._condition = threading.Condition()
        self._happened = False
        self._wakers: dict[Callable[[], object], None] = {}

    def wake(self) -> None:
        """It has happened: wake all who wait."""
        with self._condition:
            self._happened = True
            wakers = list(self._wakers)
            self._condition.notify_all()
        for wake in wakers:
            with suppress(RuntimeError):  # the event loop has been closed: no task waits there
                wake()

    def wait(self, until: float) -> bool:
        """Block this thread until it happens, up to the moment `until`; whether it has.

        An exception of a signal handler, `TimeoutError` included, is the caller's own.
        """
        with self._condition:
            while not self._happened and (remaining := until - monotonic()) > 0:
                self._condition.wait(remaining)
        return self._happened

    async def wait_async(self, until: float) -> None:
        """The same for a task, on asyncio or trio: its event loop goes on meanwhile."""
        import anyio
        from anyio.lowlevel import current_token

        happened = anyio.Event()
        wake = partial(_call_soon(current_token()), happened.set)
        with self._condition:
            self._wakers[wake] = None
            if self._happened:
                happened.set()
        try:
            with anyio.move_on_after(until - monotonic()):
                await happened.wait()
        finally:
            # Or the event would keep the loop for as long as it lives itself.
            with self._condition:
                del self._wakers[wake]


def _call_soon(token: Any) -> Callable[[Callable[[], object]], object]:
    # Of trio's TrioToken or asyncio's event loop; anyio before 4.11 returns them bare.
    loop = getattr(token, "native_token", token)
    call_soon: Callable[[Callable[[], object]], object]
    call_soon = getattr(loop, "run_sync_soon", None) or loop.call_soon_threadsafe
    return call_soon


class DaemonThread:
    """A thread that does `work`, once. Where threads do not run, a caller who waits does it.

    It runs in a copy of the context (`contextvars`) of the caller who starts it, and lets go of the
    copy when it ends.

    Attributes:
        begins_by: from that moment on, a caller may take the work over from a thread that has been
            started and has not begun: `start_timeout` seconds after this object was made.
    """

    def __init__(self, work: Callable[[], None], name: str, start_timeout: float) -> None:
        self.begins_by: float = monotonic() + start_timeout
        self._work = work
        self._name = name
        self._started = False
        # Acquired once, by the thread or by the caller who takes over, and never released.
        self._claimed = threading.Lock()

    @property
    def runs(self) -> bool:
        """Whether the thread has been started, or a caller has taken over."""
        return self._started or self._claimed.locked()

    def start(self) -> bool:
        """Start the thread, unless that has been done; False if no thread can be started now."""
        if self._started or self._claimed.locked():
            return True
        context = copy_context()
        if sniffio := sys.modules.get("sniffio"):  # no event loop runs there: as anyio.to_thread
            context.run(sniffio.current_async_library_cvar.set, None)
        options: dict[str, Any] = {"target": partial(context.run, self._run), "name": self._name}
        try:
            self._started = True
            try:
                thread = threading.Thread(**options, daemon=True)
            except RuntimeError:  # a subinterpreter, which waits at its end for its threads to end
                thread = threading.Thread(**options, daemon=False)
            thread.start()
        except RuntimeError:  # a limit of the system, or the program's end
            self._started = False
        except BaseException:  # a signal handler's; whether it has started is not known
            self._started = False
            raise
        return self._started

    def take_over(self) -> bool:
        """Whether the caller is to do the work: true once, and only if the thread has not begun."""
        return self._claimed.acquire(blocking=False)

    def _run(self) -> None:
        if self.take_over():
            self._work()


class WorkFailed(Exception):
    """What `Worker.call` raises: not an exception that a signal handler raises in the caller.

    Attributes:
        error: what the function has raised, or a TimeoutError.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Worker:
    """Calls functions in a thread of its own, one after the other, with a time limit for each.

    Where threads do not run, the functions are called directly.
    """

    def __init__(self, name: str, start_timeout: float) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = DaemonThread(self._work, name, start_timeout)
        self._direct = False

    def call(self, function: Callable[[], T], timeout: float) -> T:
        """Return what `function` returns; WorkFailed if it fails, or after `timeout` seconds.

        The thread stays with a function that takes longer.
        """
        if self._direct:
            try:
                return function()
            except Exception as error:
                raise WorkFailed(error) from None
        done = Event()
        results: list[T] = []
        errors: list[Exception] = []

        def task() -> None:
            try:
                results.append(function())
            except Exception as error:
                errors.append(error)
            done.wake()

        until = monotonic() + timeout
        self._tasks.put(task)
        begins_by = self._thread.begins_by if self._thread.start() else monotonic()
        if not done.wait(min(until, begins_by)) and monotonic() < until:
            self._direct = self._thread.take_over()
        if self._direct:
            task()
        if not done.wait(until):
            raise WorkFailed(TimeoutError())
        if errors:
            raise WorkFailed(errors[0])
        return results[0]

    def close(self, last: Callable[[], None]) -> None:
        """Let the thread end, after what it has to do and then `last`, and do not wait for that.

        Where the functions are called directly, so is `last`.
        """
        if self._direct:
            with suppress(Exception):
                last()
            return
        self._tasks.put(last)
        self._tasks.put(None)

    def _work(self) -> None:
        while task := self._tasks.get():
            with suppress(Exception):  # of the last one; the others keep theirs
                task()
