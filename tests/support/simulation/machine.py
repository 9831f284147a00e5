"""The simulated machine: what `runtime` imports, in which each call may switch to another thread.

`runtime` itself is the real one: its Event, DaemonThread and Worker run on locks, conditions,
queues and threads from here; and `wait_async` on an event loop from here.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Self, TypeVar

from mediahound_auth import _events as events
from mediahound_auth._core import runtime
from simulation.scheduler import FOREVER, Process, Task, scheduler

__all__ = ["EPOCH", "Cancelled", "StateLock", "pause", "run_task", "simulated_machine"]

T = TypeVar("T")

EPOCH = 1_700_000_000.0


class Lock:
    """A `threading.Lock`, or, if `reentrant`, a `threading.RLock`."""

    reentrant = False

    def __init__(self) -> None:
        self.owner: Task | None = None
        self.count = 0
        self.waiters: list[Task] = []

    def __deepcopy__(self, _: object) -> Lock:
        copy = type(self)()  # as the child of a fork finds it
        copy.count = self.count
        return copy

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        scheduler.switch()
        return self.take(blocking, scheduler.time + timeout if timeout >= 0 else FOREVER)

    def take(self, blocking: bool = True, until: float = FOREVER, briefly: bool = False) -> bool:
        task = scheduler.current
        if self.count and not (self.reentrant and self.owner is task):
            if not blocking or until <= scheduler.time:
                return False
            if task.awaiting and not briefly:
                scheduler.violate("an event loop was blocked by a lock")
            self.waiters.append(task)
            try:
                while self.count:
                    if scheduler.block(until) and self.count:
                        return False
            finally:
                self.waiters.remove(task)
        self.owner = task
        self.count += 1
        return True

    def release(self) -> None:
        if not self.count:
            if scheduler.stopping or scheduler.current.killed:
                return
            raise RuntimeError("release unlocked lock")
        self.count -= 1
        if not self.count:
            for task in self.waiters:
                scheduler.wake(task)

    def locked(self) -> bool:
        return self.count > 0

    def __enter__(self) -> bool:
        scheduler.switch()
        self.take(briefly=True)
        scheduler.current.held += 1
        return True

    def __exit__(self, *_: object) -> None:
        scheduler.current.held -= 1
        self.release()


class RLock(Lock):
    reentrant = True


class StateLock:
    """`runtime.state_lock`, of which each process has its own."""

    def __init__(self) -> None:
        self._locks: dict[Process, RLock] = {}

    def _lock(self) -> RLock:
        process = scheduler.current.process
        return self._locks.get(process) or self._locks.setdefault(process, RLock())

    def __enter__(self) -> bool:
        return self._lock().__enter__()

    def __exit__(self, *error: object) -> None:
        self._lock().__exit__(*error)


class Condition(RLock):
    """A `threading.Condition` on an RLock."""

    def __init__(self) -> None:
        super().__init__()
        self.sleepers: list[Task] = []

    def wait(self, timeout: float | None = None) -> bool:
        task, count = scheduler.current, self.count
        if task.awaiting:
            scheduler.violate("an event loop was blocked by a wait")
        self.count = 1
        self.release()
        task.held -= 1
        self.sleepers.append(task)
        until = FOREVER if timeout is None else scheduler.time + max(0.0, timeout)
        try:
            return not scheduler.block(until)
        finally:
            if task in self.sleepers:
                self.sleepers.remove(task)
            if not scheduler.stopping and not task.killed:
                task.fuse, fuse = 0, task.fuse
                self.take()
                task.fuse = fuse
                self.count = count
            else:
                self.count += 1
            task.held += 1

    def notify_all(self) -> None:
        for task in self.sleepers:
            scheduler.wake(task)
        self.sleepers.clear()


class Thread:
    """A `threading.Thread`."""

    def __init__(self, target: Callable[[], None], name: str, daemon: bool) -> None:
        assert daemon
        self._target, self._name = target, name

    def start(self) -> None:
        scheduler.switch()
        process = scheduler.current.process
        if process.threads == "fail":
            raise RuntimeError("can't start new thread")
        if process.threads == "run":
            scheduler.spawn(self._name, process, self._target)


class SimpleQueue:
    """A `queue.SimpleQueue`."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._getter: Task | None = None

    @classmethod
    def __class_getitem__(cls, _: object) -> type[Self]:
        return cls

    def put(self, item: object) -> None:
        scheduler.switch()
        self._items.append(item)
        if self._getter:
            scheduler.wake(self._getter)

    def get(self) -> Any:
        scheduler.switch()
        while not self._items:
            self._getter = scheduler.current
            scheduler.block()
        self._getter = None
        return self._items.popleft()


def sleep(seconds: float) -> None:
    scheduler.switch()
    if scheduler.current.awaiting:
        scheduler.violate("an event loop was blocked by a sleep")
    if seconds > 0:
        scheduler.block(scheduler.time + seconds)


def pause(seconds: float) -> None:
    """Let time pass, in a caller or a server: a task of an event loop awaits it."""
    task = scheduler.current
    awaiting, task.awaiting = task.awaiting, False
    try:
        sleep(seconds)
    finally:
        task.awaiting = awaiting


def now() -> float:
    scheduler.switch()
    return EPOCH + scheduler.time + scheduler.current.process.clock


def monotonic() -> float:
    scheduler.switch()
    return scheduler.time


def jitter() -> float:
    return scheduler.choices.below(5) / 5


def process_id() -> int:
    return scheduler.current.process.number


# An event loop of anyio, as far as `runtime.Event.wait_async` needs one


class Cancelled(BaseException):
    """A task was cancelled, or its scope's time is up."""


class AnyioEvent:
    def __init__(self) -> None:
        self._set = False
        self._waiter: Task | None = None

    def set(self) -> None:
        self._set = True
        if self._waiter:
            scheduler.wake(self._waiter)

    async def wait(self) -> None:
        while not self._set:
            self._waiter = scheduler.current
            await _Parked()


class _Parked:
    def __await__(self) -> Generator[None, None, None]:
        yield


class LoopToken:
    def __init__(self) -> None:
        self._task = scheduler.current

    def run_sync_soon(self, function: Callable[[], object]) -> None:
        scheduler.switch()
        if self._task not in scheduler.tasks():
            raise RuntimeError("the event loop has been closed")
        function()


_scopes: dict[Task, float] = {}


@contextmanager
def move_on_after(seconds: float) -> Iterator[None]:
    task = scheduler.current
    _scopes[task] = scheduler.time + max(0.0, seconds)
    try:
        yield
    except Cancelled:
        if scheduler.time < _scopes[task]:
            raise
    finally:
        del _scopes[task]


def run_task(coroutine: Coroutine[Any, Any, T], cancelled_at: float = FOREVER) -> T:
    """Run a task of an event loop to its end; Cancelled if it is cancelled before."""
    task = scheduler.current
    task.awaiting = True
    resume: Callable[[], object] = lambda: coroutine.send(None)  # noqa: E731
    try:
        while True:
            resume()
            until = min(_scopes.get(task, FOREVER), cancelled_at)
            task.awaiting = False
            late = scheduler.block(until) if until > scheduler.time else True
            task.awaiting = True
            if late:
                resume = lambda: coroutine.throw(Cancelled())  # noqa: E731
            else:
                resume = lambda: coroutine.send(None)  # noqa: E731
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        task.awaiting = False
        coroutine.close()


def _module(name: str, **names: object) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(names)
    return module


@contextmanager
def simulated_machine() -> Iterator[None]:
    """All that `runtime` imports, and its clocks and `state_lock`, are simulated meanwhile."""
    simulated: dict[str, object] = {
        "threading": _module(
            "threading", Lock=Lock, RLock=RLock, Condition=Condition, Thread=Thread
        ),
        "queue": _module("queue", SimpleQueue=SimpleQueue),
        "time": _module("time", sleep=sleep),
        "now": now,
        "monotonic": monotonic,
        "jitter": jitter,
        "process_id": process_id,
        "state_lock": StateLock(),
    }
    real = {name: getattr(runtime, name) for name in simulated}
    lowlevel = _module("anyio.lowlevel", current_token=LoopToken)
    modules = {
        "anyio": _module("anyio", Event=AnyioEvent, move_on_after=move_on_after, lowlevel=lowlevel),
        "anyio.lowlevel": lowlevel,
    }
    real_modules = {name: sys.modules.get(name) for name in modules}
    metrics, propagate = events.METRICS_API, events.log.propagate
    vars(runtime).update(simulated)
    sys.modules.update(modules)
    events.METRICS_API, events.log.propagate = "none", False
    try:
        yield
    finally:
        vars(runtime).update(real)
        events.METRICS_API, events.log.propagate = metrics, propagate
        for name, module in real_modules.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
