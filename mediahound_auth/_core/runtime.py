"""The threads, waits, locks and clocks of the core. No other module of the core has any.

A test can replace the names that this module imports by a virtual clock and a seeded scheduler, and
run the real code in any order.

**The locks**, in the order in which one thread may acquire them:

1. A store's lock (`Store.lock`) excludes other renewals, as far as the store reaches. The thread of
   a renewal holds it while it loads a token, requests one and saves it.
2. `state_lock` guards each `SharedTokenState`, the table of them, and the fields of a `Renewal`
   that callers change. It is held for a few statements, without I/O, logging, waiting or user code.
   It is reentrant, because a signal handler may make a call in the thread that holds it. The
   handler finds the state before or after a statement; both are valid. The thread of a renewal
   acquires it only after the outcome is decided, because the handler may wait for the outcome.
3. The condition of an `Event` guards its flag. Nothing is called while it is held.

**Names of `threading` are looked up when they are used** (`threading.Condition`, never `from
threading import Condition`), because gevent and eventlet may replace them after the import.

**After fork()**, `state_lock` is free in the child, and each state is valid. No renewal is in
progress: the threads of the inherited ones run in the parent only (see `Renewal.joinable`).
"""

from __future__ import annotations

import logging
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
from itertools import chain
from logging import Logger
from traceback import walk_tb
from types import CodeType, FrameType
from typing import Any, TypeVar

__all__ = [
    "DaemonThread",
    "Event",
    "SignalHandlers",
    "WorkFailed",
    "Worker",
    "in_log_handler",
    "jitter",
    "monotonic",
    "new_lock",
    "now",
    "process_id",
    "sleep",
    "state_lock",
]

T = TypeVar("T")

now = time.time  # Unix time: expiries are shared between machines
monotonic = time.monotonic  # for time limits
process_id = os.getpid
# From 0 to 1. Not from `random` itself: a program that seeds it counts on its numbers, and the
# processes of a fleet that seed it alike would all renew at the same time.
jitter = random.SystemRandom().random

state_lock: threading.RLock = threading.RLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=state_lock.acquire,
        after_in_parent=state_lock.release,
        after_in_child=state_lock.release,
    )


# The loggers to which the thread of a renewal writes, with the level of what it always writes.
_LOGGERS = {"mediahound_auth": logging.INFO, "urllib3.connectionpool": logging.DEBUG}
_LOGGERS |= dict.fromkeys(("httpcore.connection", "httpcore.http11"), logging.DEBUG)
_LOGGERS |= dict.fromkeys(("httpcore2.connection", "httpcore2.http11"), logging.DEBUG)


def in_log_handler(*, of_routine: bool = False) -> bool:
    """Whether this thread is in a log handler to which the thread of a renewal writes, too.

    The handler's lock is held then, so that no other thread can log. logging has no public way to
    ask for that. `of_routine`: the handler gets records of a renewal that succeeds.
    """
    for name, level in _LOGGERS.items():
        logger: Logger | None = logging.getLogger(name)
        if of_routine and logger and not logger.isEnabledFor(level):
            continue
        while logger:
            if any(getattr(handler.lock, "_is_owned", bool)() for handler in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
    return False


class SignalHandlers:
    """The signal handlers of the program, and which exceptions they raise from now on.

    Attributes:
        handled: `sys.exception()` when this object is created.
    """

    def __init__(self) -> None:
        self._codes = _codes_of_handlers()
        self.handled: BaseException | None = sys.exception()

    def raised(self, error: BaseException) -> BaseException | None:
        """Return the exception that a handler raised: `error`, or one in its chain; or None.

        An HTTP library may wrap a handler's TimeoutError as a timeout of the network, and give the
        new error the same traceback. So the innermost exception with a handler's frame is returned.
        Handlers count if they were installed at first or are now: a handler may uninstall itself.
        The exception that the caller was handling at first is not returned.
        """
        codes = self._codes | _codes_of_handlers()
        errors: list[BaseException | None] = [error]
        seen = {id(self.handled)}
        found = None
        while codes and errors:
            inner = errors.pop()
            if inner is None or id(inner) in seen:
                continue
            seen.add(id(inner))
            frames = (frame for frame, _ in walk_tb(inner.__traceback__) if frame.f_code in codes)
            if any(map(_handles_signal, frames)):
                found = inner
            errors += [inner.__context__, inner.__cause__]
        return found


def _codes_of_handlers() -> set[CodeType]:
    signal = sys.modules.get("signal")  # without it, there are none
    handlers = map(signal.getsignal, signal.valid_signals()) if signal else ()
    return {code for handler in handlers if callable(handler) and (code := _code(handler))}


def _handles_signal(frame: FrameType) -> bool:
    """Whether it was called for a signal: a handler gets a frame, and may have other callers."""
    values = list(frame.f_locals.values())
    tuples = (value for value in values if type(value) is tuple)
    return any(type(value) is FrameType for value in chain(values, *tuples))


def _code(handler: Any) -> CodeType | None:
    """The code of a function, a method, a partial or any other object that is called."""
    while isinstance(handler, partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    code: CodeType | None
    code = getattr(function, "__code__", None) or getattr(type(handler).__call__, "__code__", None)
    return code


def sleep(seconds: float) -> None:
    """Block this thread for `seconds`."""
    time.sleep(seconds)


def new_lock() -> threading.Lock:
    """Return a lock whose `acquire` has a `timeout` in seconds."""
    return threading.Lock()


class Event:
    """An event that happens once. Threads and tasks can wait for it."""

    def __init__(self) -> None:
        # A Condition has an RLock: a signal handler may run while its thread holds the lock.
        self._condition = threading.Condition()
        self._happened = False
        self._wakers: dict[Callable[[], object], None] = {}

    def wake(self) -> None:
        """Mark the event as happened, and wake all waiting threads and tasks."""
        with self._condition:
            self._happened = True
            wakers = list(self._wakers)
            self._condition.notify_all()
        for wake in wakers:
            with suppress(RuntimeError):  # the event loop is closed, so no task waits there
                wake()

    def wait(self, until: float) -> bool:
        """Block this thread until the event or the time `until`; return whether it has happened.

        An exception of a signal handler, `TimeoutError` included, is raised to the caller.
        """
        with self._condition:
            while not self._happened and (remaining := until - monotonic()) > 0:
                self._condition.wait(remaining)
        return self._happened

    async def wait_async(self, until: float) -> bool:
        """Do the same in a task, on asyncio or trio, without blocking its event loop."""
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
            # Otherwise the event would keep a reference to the loop.
            with self._condition:
                del self._wakers[wake]
        return self._happened


def _call_soon(token: Any) -> Callable[[Callable[[], object]], object]:
    # For trio's TrioToken or asyncio's event loop. anyio before 4.11 does not wrap them.
    loop = getattr(token, "native_token", token)
    call_soon: Callable[[Callable[[], object]], object]
    call_soon = getattr(loop, "run_sync_soon", None) or loop.call_soon_threadsafe
    return call_soon


class DaemonThread:
    """A thread that does `work` once. Where threads do not run, a waiting caller does it.

    It runs in a copy of the context (`contextvars`) of the caller that starts it. The copy is
    dropped at the end.

    Attributes:
        begins_by: A time of `monotonic`, `start_timeout` seconds after the creation. From then on,
            a caller may take over the work of a thread that has not begun.
    """

    def __init__(self, work: Callable[[], None], name: str, start_timeout: float) -> None:
        self.begins_by: float = monotonic() + start_timeout
        self._work = work
        self._name = name
        self._started = False
        # Acquired once, by the thread or by the caller that takes over. Never released.
        self._claimed = threading.Lock()

    @property
    def runs(self) -> bool:
        """Whether the thread has been started, or a caller has taken over."""
        return self._started or self._claimed.locked()

    def start(self) -> bool:
        """Start the thread, if it has not been started; return False if that is impossible now."""
        if self._started or self._claimed.locked():
            return True
        context = copy_context()
        if sniffio := sys.modules.get("sniffio"):  # no event loop runs there: as in anyio
            context.run(sniffio.current_async_library_cvar.set, None)
        options: dict[str, Any] = {"target": partial(context.run, self._run), "name": self._name}
        try:
            self._started = True
            try:
                thread = threading.Thread(**options, daemon=True)
            except RuntimeError:  # a subinterpreter has no daemon threads
                thread = threading.Thread(**options, daemon=False)
            thread.start()
        except RuntimeError:  # a limit of the system, or the end of the program
            self._started = False
        except BaseException:  # of a signal handler; the thread may or may not have started
            self._started = False
            raise
        return self._started

    def take_over(self) -> bool:
        """Claim the work: True for the first claim, of the thread or of a caller that waits."""
        return self._claimed.acquire(blocking=False)

    def _run(self) -> None:
        if self.take_over():
            self._work()


class WorkFailed(Exception):
    """The error of `Worker.call`, to distinguish it from an exception of a signal handler.

    Attributes:
        error: The exception of the function, or a TimeoutError.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Worker:
    """Call functions in one thread, one after the other, with a time limit for each.

    Where threads do not run, the functions are called directly.
    """

    def __init__(self, name: str, start_timeout: float) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = DaemonThread(self._work, name, start_timeout)
        self._direct = False

    def call(self, function: Callable[[], T], timeout: float) -> T:
        """Call `function` and return its result.

        A function that takes longer than `timeout` seconds continues in the thread.

        Raises:
            WorkFailed: `function` has raised, or `timeout` is over.
        """
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
        if not self._direct:
            self._tasks.put(task)
            begins_by = self._thread.begins_by if self._thread.start() else monotonic()
            if not done.wait(min(until, begins_by)) and monotonic() < until:
                self._direct = self._thread.take_over()
        if self._direct:
            handlers = SignalHandlers()
            task()
            if errors and (raised := handlers.raised(errors[0])):
                raise raised
        if not done.wait(until):
            raise WorkFailed(TimeoutError())
        if errors:
            raise WorkFailed(errors[0])
        return results[0]

    def close(self, last: Callable[[], None]) -> None:
        """Let the thread do its remaining work, call `last`, and end. Do not wait for it.

        Where threads do not run, call `last` directly.
        """
        if self._direct:
            with suppress(Exception):
                last()
            return
        self._tasks.put(last)
        self._tasks.put(None)

    def _work(self) -> None:
        while task := self._tasks.get():
            with suppress(Exception):  # only `last` raises; `call` handles the others
                task()
