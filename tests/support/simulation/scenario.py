"""Scenario: one world with its processes and callers, drawn from the choices, and how it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mediahound_auth._core import runtime
from mediahound_auth._core.grant import Grant, TokenRequest, TokenResponse
from mediahound_auth._core.settings import Settings
from mediahound_auth._core.source import TokenSource
from mediahound_auth.errors import TokenEndpointUnavailable
from mediahound_auth.stores import MemoryStore, Store
from simulation.callers import Auth, Caller
from simulation.choices import Choices
from simulation.machine import EPOCH, RLock, pause
from simulation.promises import Promises
from simulation.scheduler import Process, Task, scheduler
from simulation.world import Api, Endpoint, SharedStore, StoreView

__all__ = ["Failure", "Scenario", "run"]

TIMEOUTS = (30.0, 2.0)
GAPS = (0.0, 0.0, 0.02, 0.5, 1.0, 5.0)  # seconds between the uses of one caller
KINDS = ("call", "call", "call", "token", "renew", "forget")
LONG = 200.0  # seconds, after which no failure is shared any more


class Failure(NamedTuple):
    """A promise that was broken, and the choices that lead there."""

    promise: str
    choices: list[int]


class Scenario:
    """A world and those in it."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.promises = Promises(self)
        self.endpoint = Endpoint(choices)
        self.api = Api(choices, self.endpoint)
        self.shared = SharedStore(choices) if choices.chance(0.3) else None
        self.auths: list[Auth] = []
        self.callers: list[Caller] = []
        self._stores: dict[Process, Store] = {}
        self._draw()

    # How it is drawn

    def _draw(self) -> None:
        choices = self.choices
        scheduler.stay = choices.of((0.9, 0.7, 0.5))
        processes = [Process(1)]
        if self.shared and choices.chance(0.8):
            processes.append(Process(2))
        if not self.shared and choices.chance(0.05):
            processes[0].threads = choices.of(("fail", "hang"))
        clients = ["a", "b"] if choices.chance(0.1) else ["a"]
        busy = choices.chance(0.1)
        for _ in range(1 + choices.below(4)):
            auth = self._auth(choices.of(processes), choices.of(clients))
            self.callers.append(self._caller(auth, busy))
        if choices.chance(0.5):
            moments = [choices.of(GAPS) for _ in range(1 + choices.below(2))]
            scheduler.spawn("revocations", Process(0), lambda: self._revoke(moments))
        for number, caller in enumerate(self.callers, 1):
            scheduler.spawn(f"caller {number}", caller.auth.process, caller.run)
        scheduler.stalls = 0.01 if choices.chance(0.15) else 0.0

    def _auth(self, process: Process, client_id: str) -> Auth:
        choices = self.choices
        scheduler.current = Task("its birth", process, lambda: None)
        route = "dead proxy" if choices.chance(0.08) else "direct"
        auth = Auth(self, process, client_id, route)
        timeout = choices.of(TIMEOUTS) if choices.chance(0.3) else TIMEOUTS[0]
        self.promises.shortest = min(self.promises.shortest, timeout)
        grant = Grant(client_id, "secret", "https://token.example/token")
        settings = Settings(grant, frozenset(), self.store_of(process), 300.0, timeout)
        auth.source = TokenSource(settings, sender(auth))
        self.auths.append(auth)
        return auth

    def _caller(self, auth: Auth, busy: bool) -> Caller:
        choices = self.choices
        if busy:
            plan = [(0.0, "call")] * 80
        else:
            kinds = KINDS if choices.chance(0.2) else KINDS[:4]
            plan = [(choices.of(GAPS), choices.of(kinds)) for _ in range(1 + choices.below(4))]
        caller = Caller(auth, plan, on_loop=choices.chance(0.3))
        if choices.chance(0.1):
            caller.interrupted_after = 1 + choices.below(25)
            caller.cancelled_after = choices.of((0.001, 0.1, 1.0))
        return caller

    def _revoke(self, moments: Sequence[float]) -> None:
        for seconds in moments:
            pause(seconds)
            self.endpoint.revoke()

    # What others ask

    def store_of(self, process: Process) -> Store:
        """The store, as `process` reaches it."""
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

    def revoked(self) -> bool:
        """Whether a token may have been revoked during a call, or too many of them."""
        return bool(self.endpoint.revoked_at) or self.endpoint.lifetime < 10

    def now(self, process: Process) -> float:
        """What the clock of `process` shows."""
        return EPOCH + scheduler.time + process.clock

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


def sender(auth: Auth) -> Callable[[TokenRequest, float], TokenResponse]:
    """What sends the token requests of `auth`."""

    def send(request: TokenRequest, timeout: float) -> TokenResponse:  # noqa: ARG001
        scheduler.switch()
        endpoint, promises = auth.scenario.endpoint, auth.scenario.promises
        until = promises.request_begins(auth, timeout)
        try:
            if auth.route == "dead proxy":
                raise TokenEndpointUnavailable("the proxy is dead")
            delay, fault = endpoint.receive(timeout)
            promises.request_goes(auth, delay, fault)
            pause(min(delay, timeout))
            if delay >= timeout:
                raise TokenEndpointUnavailable("too slow")
            return endpoint.response(auth.client_id, fault)
        finally:
            promises.request_ends(auth, until)

    return send


def run(choices: Choices, policy: str = "order") -> Failure | None:
    """Run one schedule, on a simulated machine."""
    scheduler.reset(choices, policy)
    runtime.state_lock = RLock()  # type: ignore[assignment]
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
