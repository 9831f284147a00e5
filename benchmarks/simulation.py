"""The simulation of a fleet's last minutes with a token and first ones with the next.

A discrete-event simulation: no sockets, threads or sleeps, only a queue of moments. The workers
decide nothing by themselves: lifecycle.py does, and source.py, whose dealings with a store are
followed step by step, says what it means. The endpoint behaves as MediaHound's: it hands the same
token out until it has expired, and says how many whole seconds that is from now, rounded down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from random import Random

from mediahound_auth._core.lifecycle import STORE_POLL_INTERVAL, Action, State, store_lock_timeout
from mediahound_auth._core.response import lifetime
from mediahound_auth.errors import TokenEndpointUnavailable
from mediahound_auth.stores import MemoryStore
from mediahound_auth.token import Token

# Seconds, all of them; the clock starts when the token that expires here was issued.
EXPIRY = 14 * 24 * 3600.0  # MediaHound's longest life of a token
PAUSE = 5.0  # between a worker's calls, on average
ROUND_TRIP = 0.2  # of a token request
SERVICE = 0.001  # that the endpoint works on a token request; the others queue
STORE_TRIP = 0.001  # of one operation of a shared store
LOCK_POLL = 0.1  # between two attempts at a lock that another worker holds, as in redis-py
NOTICEABLE = 0.05  # shorter waits, such as for a look into a store, are not counted
MARGIN, BUDGET = 300.0, 30.0  # `renew_margin=` and `timeout=`, as users get them
EARLY = 30.0  # before its expiry the peers take a token for expired


@dataclass
class Tally:
    """What a simulation has counted.

    Attributes:
        requests: token requests in each second, as counted from the expiry.
        calls: API calls that have ended.
        failed: those that got no token, or a 401 that was not repaired.
        repaired: those that got a 401 and were retried with a new token.
        waited: those that waited for a token, for longer than NOTICEABLE.
        longest_wait: the longest wait for a token, in seconds.
    """

    requests: Counter[int] = field(default_factory=Counter)
    calls: int = 0
    failed: int = 0
    repaired: int = 0
    waited: int = 0
    longest_wait: float = 0.0

    def call(self, wait: float, *, accepted: bool, repaired: bool = False) -> None:
        """Count a call."""
        self.calls += 1
        self.failed += not accepted
        self.repaired += repaired
        self.waited += wait > NOTICEABLE
        self.longest_wait = max(self.longest_wait, wait)

    def requested(self, since: float = -inf, until: float = inf) -> int:
        """Token requests from `since` to before `until`, in seconds from the expiry."""
        return sum(n for second, n in self.requests.items() if since <= second < until)


@dataclass
class Renewal:
    """A renewal under way, as in flight.py. A worker makes one call at a time, so one waits."""

    deadline: float
    rejected: str | None
    waited_for: bool = False
    landed: bool = False
    outcome: Token | None = None  # None if it has failed
    waiting: Process | None = None


# What goes on after so many seconds, or when a flight has landed.
Process = Generator[float | Renewal, None, None]
Waiting = Generator[float | Renewal, None, Token | None]


class World:
    """The clock, the endpoint, and the queue of what happens next."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.tally = Tally()
        self._expiries = [EXPIRY]  # of the tokens "0", "1", …
        self._endpoint_free_at = 0.0
        self._agenda: list[tuple[float, int, Process]] = []
        self._number = 0

    def resume(self, process: Process, after: float = 0.0) -> None:
        """Let `process` go on in so many seconds; those of the same moment go in order."""
        self._number += 1
        heappush(self._agenda, (self.now + after, self._number, process))

    def run(self, until: float) -> None:
        """Let happen what happens before then."""
        while self._agenda[0][0] < until:
            self.now, _, process = heappop(self._agenda)
            pause = next(process, None)
            if isinstance(pause, Renewal):
                pause.waiting = process
            elif pause is not None:
                self.resume(process, pause)

    def ask(self) -> tuple[Token, float]:
        """Send a token request: what it brings, and in how many seconds."""
        self.tally.requests[int((self.now - EXPIRY) // 1)] += 1
        answered = max(self._endpoint_free_at, self.now + ROUND_TRIP / 2) + SERVICE
        self._endpoint_free_at = answered
        if answered >= self._expiries[-1]:
            self._expiries.append(answered + EXPIRY)
        expires_in = lifetime(int(self._expiries[-1] - answered))
        token = Token(str(len(self._expiries) - 1), self.now + expires_in, requested_at=self.now)
        return token, answered + ROUND_TRIP / 2 - self.now

    def accepts(self, token: Token | None) -> bool:
        """Whether the API takes `token` now."""
        return token is not None and self.now < self._expiries[int(token.access_token)]


class LockableStore(MemoryStore):
    """A store, what a trip to it takes, and a lock that keeps to the clock of the simulation."""

    def __init__(self, trip: float) -> None:
        super().__init__()
        self.trip = trip
        self.locked = False


class Worker:
    """A process that calls the API at random moments."""

    def __init__(self, world: World, store: LockableStore, first: Token) -> None:
        self.world = world
        self.store = store
        self.state = State()
        self.obtain(first)
        self.flight: Renewal | None = None

    def calls(self) -> Process:
        """One call after another, for ever."""
        world = self.world
        while True:
            yield world.random.expovariate(1 / PAUSE)
            began, repaired = world.now, False
            token = yield from self.live()
            accepted = world.accepts(token)
            if token is not None and not accepted:
                token = yield from self.replacement(token.access_token)
                accepted = repaired = world.accepts(token)
            if token is not None and accepted:
                self.state = self.state.on_accepted(token.access_token, retried=repaired)
            world.tally.call(world.now - began, accepted=accepted, repaired=repaired)

    def live(self) -> Waiting:
        """As TokenSource.live."""
        step = self.state.next_action(self.world.now)
        if step is Action.RENEW:
            flight = self.join(waited_for=True)
            yield flight
            return flight.outcome
        if step is Action.USE_AND_RENEW:
            self.join()
            self.state = self.state.on_renewal_started(self.world.now, BUDGET)
        return None if step is Action.GIVE_UP else self.state.token

    def replacement(self, rejected: str) -> Waiting:
        """As TokenSource.replacement."""
        while (step := self.state.action_after_401(rejected, self.world.now)) is Action.RENEW:
            flight = self.join(waited_for=True, rejected=rejected)
            yield flight
            if flight.outcome is None or flight.outcome.access_token != rejected:
                return flight.outcome
            if flight.rejected == rejected:
                return None
        return self.state.token if step is Action.USE else None

    def join(self, *, waited_for: bool = False, rejected: str | None = None) -> Renewal:
        if self.flight is None or self.flight.landed:
            self.flight = Renewal(self.world.now + BUDGET, rejected)
            self.world.resume(self.fly(self.flight))
        self.flight.waited_for |= waited_for
        return self.flight

    def fly(self, flight: Renewal) -> Process:
        """As TokenSource._fetch: look into the store until it is locked, then ask and save."""
        world, store, locked = self.world, self.store, False
        yield store.trip
        found = self.better(flight)
        if found is None:
            left = flight.deadline - world.now
            until = world.now + store_lock_timeout(left, world.random.random())
            while not (found or locked or world.now >= until):
                locked = yield from self.lock(min(until, world.now + STORE_POLL_INTERVAL))
                yield store.trip
                found = self.better(flight)
        token, wait = (found, 0.0) if found else world.ask()
        yield min(wait, flight.deadline - world.now)
        if world.now < flight.deadline:
            if found is None:
                yield store.trip
                store.save("", self.state.with_returned_again(token))
            self.obtain(token, after_401=found is None and flight.rejected is not None)
            flight.outcome = token
        else:
            self.fail(flight)
        flight.landed = True
        if flight.waiting:
            world.resume(flight.waiting)
        if locked:
            yield store.trip
            store.locked = False

    def better(self, flight: Renewal) -> Token | None:
        found, now = self.store.load(""), self.world.now
        return found if found and self.state.is_improved_by(found, flight.rejected, now) else None

    def lock(self, until: float) -> Generator[float, None, bool]:
        """Take the store's lock, if it can be had until then."""
        yield self.store.trip
        while self.store.locked:
            if self.world.now + LOCK_POLL > until:
                return False
            yield LOCK_POLL
        self.store.locked = True
        return True

    def obtain(self, token: Token, *, after_401: bool = False) -> None:
        self.state = self.state.on_token(
            token,
            self.world.now,
            margin=MARGIN,
            jitter=self.world.random.random(),
            after_401=after_401,
        )

    def fail(self, flight: Renewal) -> None:
        error, jitter = TokenEndpointUnavailable("no answer in time"), self.world.random.random()
        self.state = self.state.on_failure(
            error, self.world.now, jitter=jitter, waited_for=flight.waited_for
        )


class Peer:
    """A process whose client takes a token for expired 30 s early, and asks at every call then."""

    def __init__(self, world: World, first: Token) -> None:
        self.world = world
        self.token = first

    def calls(self) -> Process:
        """One call after another, for ever."""
        world = self.world
        while True:
            yield world.random.expovariate(1 / PAUSE)
            began = world.now
            if self.token.expires_at - began <= EARLY:
                self.token, wait = world.ask()
                yield wait
            world.tally.call(world.now - began, accepted=world.accepts(self.token))
