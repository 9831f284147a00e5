"""Scenario: one world with its processes and callers, drawn from the choices, and how it runs."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from mediahound_auth._core import runtime
from mediahound_auth._core.grant import Grant, TokenRequest, TokenResponse
from mediahound_auth._core.settings import Settings
from mediahound_auth._core.source import TokenSource
from mediahound_auth.errors import TokenEndpointUnavailable
from mediahound_auth.stores import MemoryStore, Store
from simulation.callers import Auth, Caller
from simulation.choices import Choices
from simulation.machine import EPOCH, StateLock, pause
from simulation.promises import Promises
from simulation.scheduler import Process, Task, scheduler
from simulation.world import Api, Endpoint, SharedStore, StoreView

__all__ = ["Failure", "Scenario", "run", "run_seed"]

TIMEOUTS = (30.0, 2.0)
ROUTES = ("dead proxy", "unknown CA")
GAPS = (0.0, 0.0, 0.02, 0.5, 1.0, 2.5, 5.0)  # seconds between the uses of one caller
KINDS = ("call", "call", "call", "token", "unseen call", "renew", "forget", "fork")
BUSY = 50  # calls one after the other
LONG = 200.0  # seconds, after which no failure is shared any more

_numbers = count(1)


class Failure(NamedTuple):
    """A promise that was broken, and the choices that lead there."""

    promise: str
    choices: list[int]


class Scenario:
    """A world and those in it.

    Attributes:
        secret: the client secret that the endpoint accepts.
        in_store: a store keeps the token, and not only the process's shared state.
        nested: the callable that provides it needs a token itself.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.promises = Promises(self)
        self.endpoint = Endpoint(choices)
        self.api = Api(choices, self.endpoint)
        self.shared = SharedStore(choices) if choices.chance(0.3) else None
        self.secret = "secret"
        self.rotates = choices.chance(0.1)
        self.in_store = bool(self.shared) or self.rotates or choices.chance(0.3)
        # Without a store, equal grants share a state with those of other scenarios.
        self.token_url = f"https://token.example/{0 if self.in_store else next(_numbers)}"
        self.nested = self.rotates and choices.chance(0.5)
        self.auths: list[Auth] = []
        self.callers: list[Caller] = []
        self.processes = [Process(1)]
        self._stores: dict[Process, Store | None] = {}
        self._draw()

    # How it is drawn

    def _draw(self) -> None:
        choices = self.choices
        scheduler.stay = choices.of((0.9, 0.7, 0.5))
        processes = self.processes
        if self.shared and choices.chance(0.8):
            processes.append(Process(2))
        if not self.shared and choices.chance(0.05):
            processes[0].threads = choices.of(("fail", "hang"))
        clients = ["a", "b"] if choices.chance(0.1) and not self.nested else ["a"]
        busy = choices.chance(0.1)
        for _ in range(1 + choices.below(4)):
            self._auth(choices.of(processes), choices.of(clients))
            self._caller(self.auths[-1], busy)
        for number, caller in enumerate(self.callers, 1):
            scheduler.spawn(f"caller {number}", caller.auth.process, caller.run)
        if choices.chance(0.5):
            events = [self._event(processes) for _ in range(1 + choices.below(2))]
            scheduler.spawn("the world", Process(0), lambda: happen(events))
        scheduler.stalls = 0.01 if choices.chance(0.15) else 0.0

    def _auth(self, process: Process, client_id: str) -> None:
        choices = self.choices
        scheduler.current = Task("its birth", process, lambda: None)
        route = choices.of(ROUTES) if choices.chance(0.15) else "direct"
        auth = Auth(self, process, client_id, route)
        timeout = choices.of(TIMEOUTS) if choices.chance(0.3) else TIMEOUTS[0]
        self.promises.shortest = min(self.promises.shortest, timeout)
        secret = self.provide_secret if self.rotates else self.secret
        grant = Grant(client_id, secret, self.token_url)
        settings = Settings(grant, frozenset(), self.store_of(process), 300.0, timeout)
        auth.source = TokenSource(settings, Sending(auth), route)
        self.auths.append(auth)

    def _caller(self, auth: Auth, busy: bool) -> None:
        choices = self.choices
        if busy:
            plan = [(0.0, "call")] * BUSY
        else:
            kinds = KINDS if choices.chance(0.3) else KINDS[:4]
            plan = [(choices.of(GAPS), choices.of(kinds)) for _ in range(1 + choices.below(4))]
        caller = Caller(auth, plan, on_loop=choices.chance(0.3))
        if choices.chance(0.15):
            caller.cancelled_after = choices.of((0.001, 0.1, 1.0))
        if not self.callers and choices.chance(0.3):  # one thread of a process handles signals
            caller.interrupted_after = 1 + choices.below(25)
            caller.handler_calls = choices.chance(0.3) and not self.nested
        self.callers.append(caller)

    def _event(self, processes: list[Process]) -> tuple[float, Callable[[], None]]:
        choices = self.choices
        seconds, process = choices.of(GAPS), choices.of(processes)
        events: list[Callable[[], None]]
        events = [self.endpoint.revoke, partial(jump, process), partial(suspend, process)]
        if len(processes) > 1:
            events.append(partial(kill, process))
        if self.rotates:
            events = [self.rotate_secret]
        return seconds, choices.of(events) if choices.chance(0.3) else events[0]

    # What others ask

    def provide_secret(self) -> str:
        """The `client_secret` callable, which may itself make a call that needs a token."""
        task = scheduler.current
        pause(0.01)
        if self.nested and task.name.startswith("mediahound-auth"):
            auth = next(auth for auth in self.auths if auth.process is task.process)
            self.promises.nested(auth)
        return self.secret

    def rotate_secret(self) -> None:
        """The endpoint accepts another secret from now on."""
        scheduler.tell("another secret")
        self.secret = "secret-2"

    def store_of(self, process: Process) -> Store | None:
        """The store, as `process` reaches it; None if there is none."""
        if not self.in_store:
            return None
        if process not in self._stores:
            self._stores[process] = (
                StoreView(self.shared, process) if self.shared else MemoryStore()
            )
        return self._stores[process]

    def reach_of(self, process: Process) -> object:
        """What is the same for processes that share a store."""
        return self.shared or process

    def unlocked(self) -> bool:
        """Whether the store may have let two processes renew at once."""
        return self.shared is not None and (bool(self.shared.faults) or self.shared.lease < 1)

    def may_hang(self) -> bool:
        """Whether a store that hangs may be used directly: its thread may not begin in time."""
        return self.shared is not None and "hang" in self.shared.faults and scheduler.stalled

    def revoked(self) -> bool:
        """Whether a token may have been revoked during a call, or too many of them."""
        return bool(self.endpoint.revoked_at) or self.endpoint.lifetime < 10

    def now(self, process: Process) -> float:
        """What the clock of `process` shows."""
        return EPOCH + scheduler.time + process.clock

    def fork(self, auth: Auth) -> None:
        """The process of `auth` forks, and the child makes a call."""
        child = Process(10 + len(self.auths))
        child.forked, child.clock = True, auth.process.clock
        child.threads = auth.process.threads
        copy = Auth(self, child, auth.client_id, auth.route)
        memo: dict[int, Any] = {id(self): self, id(auth): copy}
        if store := auth.source.settings.store:
            view = StoreView(self.shared, child) if self.shared else copy_of_memory(store)
            memo[id(store)] = view
        with runtime.state_lock:
            copy.source = deepcopy(auth.source, memo)
            self.promises.forks()
        self.auths.append(copy)
        caller = Caller(copy, [(0.0, "call")], on_loop=False)
        scheduler.spawn(f"child {child.number}", child, caller.run)

    # How it is run

    def heal(self) -> None:
        """From now on, all goes well; and all that was is over."""
        self.endpoint.heal()
        self.api.mood = "fair"
        if self.shared:
            self.shared.heal()
        scheduler.stalls = 0.0
        self.promises.healthy = True

    def call_once_more(self) -> None:
        """All call once more, in a healthy world."""
        pause(LONG)
        for number, auth in enumerate(self.auths, 1):
            if not auth.process.killed and auth.route == "direct":
                caller = Caller(auth, [(0.0, "call")], on_loop=False)
                scheduler.spawn(f"caller {number} again", auth.process, caller.run)


def happen(events: list[tuple[float, Callable[[], None]]]) -> None:
    """Let what happens in the world happen."""
    for seconds, event in events:
        pause(seconds)
        event()


def jump(process: Process) -> None:
    """The clock of a process is set."""
    seconds = scheduler.choices.of((5.0, -5.0, 10_000.0, -10_000.0))
    scheduler.tell(f"the clock of process {process.number} jumps by {seconds:g} s")
    scheduler.lost += 1
    process.clock += seconds


def suspend(process: Process) -> None:
    """A process sleeps."""
    seconds = scheduler.choices.of((3.0, 100.0))
    scheduler.tell(f"process {process.number} is suspended for {seconds:g} s")
    scheduler.lost += seconds
    process.asleep_until = max(process.asleep_until, scheduler.time + seconds)


def kill(process: Process) -> None:
    """A process ends, whatever it holds."""
    scheduler.tell(f"process {process.number} is killed")
    scheduler.kill(process)


def copy_of_memory(store: Store) -> MemoryStore:
    """The store in memory, as the child of a fork has it."""
    copy = MemoryStore()
    fields = {name: deepcopy(value) for name, value in vars(store).items()}
    vars(copy).update(fields)
    return copy


class Sending:
    """What sends the token requests of `auth`."""

    def __init__(self, auth: Auth) -> None:
        self.auth = auth

    def __call__(self, request: TokenRequest, timeout: float) -> TokenResponse:
        scheduler.switch()
        auth, scenario = self.auth, self.auth.scenario
        sent_at, until = scheduler.time, scenario.promises.request_begins(auth, timeout)
        try:
            if auth.route != "direct":
                scheduler.lost += 5
                error = TokenEndpointUnavailable(auth.route)
                error.retryable = auth.route == "dead proxy"
                raise error
            delay, fault = scenario.endpoint.receive(timeout)
            if f"client_secret={scenario.secret}&".encode() not in request.body + b"&":
                fault = "invalid_client"
            scenario.promises.request_goes(auth, delay, fault)
            pause(min(delay, timeout))
            if delay >= timeout:
                raise TokenEndpointUnavailable("too slow")
            response, access_token = scenario.endpoint.response(auth.client_id, fault)
            scenario.promises.issued(access_token, sent_at)
            return response
        finally:
            scenario.promises.request_ends(auth, until)


def run(choices: Choices, policy: str = "order") -> Failure | None:
    """Run one schedule, on a simulated machine."""
    scheduler.reset(choices, policy)
    runtime.state_lock = StateLock()  # type: ignore[assignment]
    scenario = Scenario(choices)
    scheduler.run()
    if not scheduler.violation:
        scenario.heal()
        scheduler.spawn("healthy again", Process(0), scenario.call_once_more)
        scheduler.run()
    if not scheduler.violation:
        scheduler.spawn("the end", Process(0), scenario.promises.at_the_end)
        scheduler.run()
    if scheduler.violation:
        return Failure(scheduler.violation, choices.made)
    return None


def run_seed(seed: int) -> Failure | None:
    """Run the schedule of a seed: a random walk, or one by priorities (PCT)."""
    return run(Choices(seed), "pct" if seed % 2 else "walk")
