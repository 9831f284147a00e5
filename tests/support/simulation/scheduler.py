"""The scheduler: threads of which one runs at a time, and a clock that costs nothing.

Each task is a real thread. It runs until it calls into the scheduler, which then may let another
one go on. A thread hands over by releasing the other one's baton, a plain lock, and waiting for its
own. When no task can run, the clock is set to the moment at which the first of them wakes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NoReturn

from simulation.choices import Choices

__all__ = ["Process", "Scheduler", "Stopped", "Task", "Violation", "scheduler"]

FOREVER = float("inf")
MOST_STEPS = 20_000
STALLS = (0.05, 0.6, 1.5, 7.0)  # seconds for which a thread gets no processor
MAX_CHANGES = 3  # of priorities, in a schedule by priorities
CHANGE_WITHIN = 200  # steps


class Violation(Exception):
    """A promise was broken."""


class Stopped(BaseException):
    """Ends a thread of a process that was killed, or of a schedule that has failed."""


class Process:
    """A process of the simulated machine.

    Attributes:
        clock: by how many seconds its clock is wrong.
        asleep_until: when it goes on, if it is suspended.
        threads: "run", "fail" (none can be started) or "hang" (they are started and never run).
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.clock = 0.0
        self.threads = "run"
        self.killed = False
        self.forked = False
        self.asleep_until = 0.0


class Worker:
    """A real thread, which does the work of one task after the other."""

    def __init__(self, owner: Scheduler) -> None:
        self.baton = threading.Lock()
        self.baton.acquire()
        self.task: Task | None = None
        self._owner = owner
        threading.Thread(target=self._run, name="simulated", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.baton.acquire()
            assert self.task is not None
            self._owner.do(self.task)


class Task:
    """A thread of the simulated machine, or a task of an event loop.

    Attributes:
        wake_at: when it goes on, if it waits; infinity, if only another task can wake it.
        held: how many locks it holds that are held for a few statements.
        fuse: calls into the scheduler until `interruption` is raised, or called, in it; 0: never.
        awaiting: it is a task of an event loop, which may not block.
        stalled: for how many seconds it got no processor.
    """

    def __init__(self, name: str, process: Process, work: Callable[[], None]) -> None:
        self.name = name
        self.process = process
        self.work = work
        self.wake_at = 0.0
        self.held = 0
        self.fuse = 0
        self.interruption: BaseException | Callable[[], None] | None = None
        self.awaiting = False
        self.killed = False
        self.stalled = 0.0
        self.priority = 0.0
        self.worker: Worker

    def __deepcopy__(self, _: object) -> Task:
        return self  # a fork leaves it in the parent

    @property
    def baton(self) -> threading.Lock:
        return self.worker.baton


class Scheduler:
    """One schedule at a time.

    Attributes:
        time: the virtual time, in seconds.
        current: the task that runs.
        steps: the calls into the scheduler.
        violation: the first promise that was broken.
        lost: seconds that the world has taken of the time of its callers.
        stalled: a thread got no processor for a while.
        story: what happens, line by line, if it is to be told.
    """

    def __init__(self) -> None:
        self.story: list[str] | None = None
        self._workers: list[Worker] = []
        self._finished = threading.Lock()
        self._finished.acquire()
        self.reset(Choices(), "walk")

    def reset(self, choices: Choices, policy: str) -> None:
        """Begin anew. `policy` is "walk", "pct" or "order"; a replay needs none."""
        self.choices = choices
        self.time = 0.0
        self.steps = 0
        self.violation: str | None = None
        self.stopping = False
        self.lost = 0.0
        self.stalled = False
        self.stalls = 0.0  # the probability of one at each step
        self.stay = 0.8  # the probability that a thread goes on, in a random walk
        self._policy = policy
        self._ready: list[Task] = []
        self._waiting: list[Task] = []
        self._changes: list[int] = []
        if policy == "pct" and choices.random is not None:
            random = choices.random
            self._changes = [int(CHANGE_WITHIN * random()) for _ in range(MAX_CHANGES)]

    # Tasks

    def spawn(self, name: str, process: Process, work: Callable[[], None]) -> Task:
        """A new task, which will run."""
        task = Task(name, process, work)
        if self.choices.random is not None:
            task.priority = self.choices.random()
        worker = self._workers.pop() if self._workers else Worker(self)
        worker.task, task.worker = task, worker
        self._ready.append(task)
        return task

    def run(self) -> None:
        """Run all tasks to their end, or to the first promise that is broken."""
        if first := self._next():
            first.baton.release()
            self._finished.acquire()

    def do(self, task: Task) -> None:
        """Do the work of `task`, in its thread, and hand over."""
        self.current = task
        try:
            if not (self.stopping or task.killed):
                task.work()
        except Stopped:
            pass
        except BaseException as error:
            self._stop(f"{task.name} ended with {error!r}")
        self._ready.remove(task)
        self._workers.append(task.worker)
        following = self._next()
        (following.baton if following else self._finished).release()

    def tasks(self) -> list[Task]:
        """Those that have not ended."""
        return self._ready + self._waiting

    def kill(self, process: Process) -> None:
        """End a process: none of its threads does anything more."""
        process.killed = True
        for task in self.tasks():
            if task.process is process:
                task.killed = True
                self.wake(task)

    # What tasks call

    def switch(self) -> None:
        """Let another task go on, perhaps."""
        task = self.current
        if self.stopping or task.killed:
            raise Stopped
        self.steps += 1
        if self.steps > MOST_STEPS:
            self.violate("no end: something goes round in circles")
        if task.fuse:
            self._burn(task)
        if task.process.asleep_until > self.time:
            task.stalled += task.process.asleep_until - self.time
            self.block(task.process.asleep_until)
        count = len(self._ready)
        if self.stalls and not task.held:
            count += 1
        if count > 1:
            choice = self._choose(task, count)
            if choice == len(self._ready):
                seconds = self.choices.of(STALLS)
                task.stalled += seconds
                self.lost += seconds
                self.stalled = True
                self.block(self.time + seconds)
            elif choice:
                others = [other for other in self._ready if other is not task]
                self._hand_over(task, others[choice - 1])

    def block(self, until: float = FOREVER) -> bool:
        """Wait until another task wakes this one, or until a moment; whether that came first."""
        task = self.current
        if self.stopping or task.killed:
            raise Stopped
        task.wake_at = until
        self._ready.remove(task)
        self._waiting.append(task)
        following = self._next()
        if following is not task:
            assert following is not None
            self._hand_over(task, following)
        elif self.stopping or task.killed:
            raise Stopped
        return self.time >= until

    def wake(self, task: Task) -> None:
        """Let a task go on that waits."""
        if task in self._waiting:
            self._waiting.remove(task)
            self._ready.append(task)

    def tell(self, *event: object) -> None:
        """Add a line to the story."""
        if self.story is not None:
            text = " ".join(format(part) for part in event)
            who = f"{self.current.process.number} {self.current.name}"
            self.story.append(f"{self.time:9.3f} {who:26} {text}")

    def violate(self, promise: str) -> NoReturn:
        """A promise was broken: end the schedule."""
        self.tell(promise)
        self._stop(promise)
        raise Stopped

    # How it is done

    def _stop(self, promise: str) -> None:
        if self.violation is None:
            self.violation = promise
        self.stopping = True

    def _burn(self, task: Task) -> None:
        task.fuse -= 1
        interruption = task.interruption
        if task.fuse or interruption is None:
            return
        if isinstance(interruption, BaseException):
            raise interruption
        interruption()

    def _hand_over(self, task: Task, following: Task) -> None:
        following.baton.release()
        task.baton.acquire()
        self.current = task
        if self.stopping or task.killed:
            raise Stopped
        if task.fuse:
            self._burn(task)

    def _next(self) -> Task | None:
        """The task to go on when the one that ran cannot; None if there is none left."""
        while True:
            if self.stopping:
                for task in list(self._waiting):
                    self.wake(task)
                return self._ready[0] if self._ready else None
            if self._ready:
                count = len(self._ready)
                return self._ready[self._choose(None, count) if count > 1 else 0]
            if not self._waiting:
                return None
            self._advance()

    def _advance(self) -> None:
        moment = min(task.wake_at for task in self._waiting)
        if moment == FOREVER:
            self._stop(f"stuck: {', '.join(task.name for task in self._waiting)} wait for ever")
            return
        self.time = max(self.time, moment)
        for task in [task for task in self._waiting if task.wake_at <= self.time]:
            self.wake(task)

    def _choose(self, task: Task | None, limit: int) -> int:
        """0 for `task`, or the others in the order of the ready ones; the last may be a stall."""
        choices, ready = self.choices, self._ready
        if choices.random is None:
            return choices.given(limit)
        if limit > len(ready) and choices.random() < self.stalls:
            return choices.record(limit - 1)
        if self._policy == "pct":
            return choices.record(self._by_priority(task))
        if task is not None and choices.random() < self.stay:
            return choices.record(0)
        return choices.record(int(choices.random() * len(ready)))

    def _by_priority(self, task: Task | None) -> int:
        if task is not None and self.steps in self._changes:
            task.priority = -self.steps
        best = task
        for other in self._ready:
            if best is None or other.priority > best.priority:
                best = other
        if best is task:
            return 0
        return [task, *(other for other in self._ready if other is not task)].index(best) - (
            task is None
        )


scheduler = Scheduler()
