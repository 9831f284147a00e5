"""The promises that each schedule is held to."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from mediahound_auth._core.lifecycle import SUSPENDED_AFTER
from mediahound_auth._core.renewal import run_steps
from mediahound_auth.token import Token
from simulation.scheduler import Process, Task, scheduler

if TYPE_CHECKING:
    from simulation.callers import Auth, Use
    from simulation.scenario import Scenario

__all__ = ["Promises"]

AMPLE = 30.0  # a `timeout` of so many seconds is not used up by what is slow in this world
BURST = 3  # token requests at once, as lifecycle.MAX_AT_ONCE
A_MOMENT = 1e-6
IN_VAIN = 0.9  # seconds, in which a renewal ends if nothing goes wrong


class Promises:
    """What must never happen, in any schedule.

    Attributes:
        troubles: the ways by which a token request came to nothing.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.troubles: set[str] = set()
        self.forgot = self.forked = False
        self.renews = 0
        self.healthy = False
        self.shortest = AMPLE
        self._in_flight: dict[object, list[float]] = defaultdict(list)
        self._level: dict[tuple[Process, str], tuple[float, float, float]] = {}
        self._counted: list[object] = []
        self._replaced: dict[tuple[Process, str], set[str]] = defaultdict(set)
        self._requested_at: dict[str, float] = {}
        self._forgotten: dict[tuple[Process, str], tuple[float, int]] = {}
        self._took_over: set[Task] = set()

    # Token requests

    def request_begins(self, auth: Auth, timeout: float) -> float:
        """A token request is sent; until when."""
        scheduler.tell("token request by", auth.route, "with", timeout, "s")
        in_flight = self._in_flight[auth.client_id, self.scenario.reach_of(auth.process)]
        # A clock that is set forward looks like a process that was suspended: one more is allowed.
        may_be_two = self._may_be_two() or auth.process.clock
        # A caller with another transport does not wait long for one that begins late or fails.
        routes = {auth.route for auth in self.scenario.auths}
        may_be_two = may_be_two or (bool(self._took_over or self.troubles) and len(routes) > 1)
        if any(scheduler.time < until for until in in_flight) and not may_be_two:
            scheduler.violate("one token request in flight per reach of the store: there are two")
        self._bound(auth)
        if not scheduler.current.name.startswith("mediahound-auth"):
            self._took_over.add(scheduler.current)
        until = scheduler.time + timeout
        in_flight.append(until)
        return until

    def request_goes(self, auth: Auth, delay: float, fault: str) -> None:
        """The response will take so many seconds, or something will go wrong."""
        scheduler.tell(" ", fault or "a token", "after", delay, "s")
        if fault:
            scheduler.lost += max(delay, 0.2)
        if fault not in ("", "slow"):
            self.troubles.add(auth.route)

    def request_ends(self, auth: Auth, until: float) -> None:
        """It has got a response, or none."""
        scheduler.tell("  the end of it")
        self._in_flight[auth.client_id, self.scenario.reach_of(auth.process)].remove(until)

    def _may_be_two(self) -> bool:
        return (
            self.forgot
            or self.forked
            or self.scenario.unlocked()
            or scheduler.lost > 0.25 * self.shortest
        )

    def _bound(self, auth: Auth) -> None:
        """At most one token request per second, sustained, while a usable token is at hand."""
        client, renewal = (auth.process, auth.client_id), auth.source.shared.renewal
        if not auth.usable() or renewal in (None, *self._counted):
            return
        self._counted.append(renewal)
        time, now = scheduler.time, self.scenario.now(auth.process)
        level, then, at = self._level.get(client, (0.0, 0.0, 0.0))
        # A clock that is set forward looks like time that has passed.
        level = max(0.0, level - max(time - then, now - at)) + 1
        self._level[client] = level, time, now
        if level > BURST + self.renews and not self.forgot:
            scheduler.violate("one token request per second while a usable token is at hand")

    # Uses

    def waited(self, use: Use, seconds: float, stalled: float) -> None:
        """A caller has waited, `stalled` seconds of its own not included."""
        timeout, process = use.auth.source.settings.timeout, use.auth.process
        # It starts anew, as if its process had been suspended. So does a clock that is set look.
        if stalled > SUSPENDED_AFTER or process.clock:
            timeout *= 2
        excused = process.asleep_until > use.started or process.threads != "run"
        # A signal handler that makes a call may do so while its thread holds `state_lock`.
        excused = excused or any(caller.handler_calls for caller in self.scenario.callers)
        # A caller may do the work of a thread that did not begin in time.
        excused = excused or scheduler.current in self._took_over or self.scenario.may_hang()
        if seconds > timeout + A_MOMENT and not excused:
            scheduler.violate(f"no caller waits beyond its timeout: {seconds:g} s, not {timeout:g}")
        # If a caller is interrupted as it starts a thread, others wait for THREAD_START_TIMEOUT.
        excused = excused or any(caller.interrupted for caller in self.scenario.callers)
        if seconds > IN_VAIN and not scheduler.lost and not excused:
            scheduler.violate(f"no caller waits in vain: {seconds:g} s in a world without faults")

    def token_used(self, use: Use, access_token: str) -> None:
        """A request to the API carries this token."""
        scheduler.tell("call with", access_token)
        began, steps = self._forgotten.get((use.auth.process, use.auth.client_id), (0.0, 0))
        old = self._requested_at.get(access_token, 0.0) < began and use.step > steps
        # Where others share the store, or that fails, the token may come from there.
        alone = len(self.scenario.processes) == 1 and not self.forked
        failed = self.scenario.shared is not None and self.scenario.shared.failed
        if old and alone and not (failed or self.scenario.unlocked()):
            scheduler.violate("a token that was forgotten does not come back")
        # With several processes, one may be returned again that another has rejected.
        if access_token in use.replaced and alone and not (self.forgot or use.auth.process.clock):
            scheduler.violate("a rejected token is not used again by a process that knows")

    def replaced(self, auth: Auth, rejected: str, token: Token) -> None:
        """A process has another token in the place of a rejected one."""
        if token.access_token == rejected:
            scheduler.violate("a request is retried with another token: it was the same")
        self._replaced[auth.process, auth.client_id].add(rejected)

    def replaced_of(self, auth: Auth) -> frozenset[str]:
        """The tokens that a process has replaced, and knows to be rejected."""
        return frozenset(self._replaced[auth.process, auth.client_id])

    def issued(self, access_token: str, requested_at: float) -> None:
        """The endpoint returns this token."""
        known = self._requested_at.get(access_token, 0.0)
        self._requested_at[access_token] = max(known, requested_at)
        for tokens in self._replaced.values():
            tokens.discard(access_token)

    def forgets(self, auth: Auth) -> float:
        """A process is to forget its token; the moment from which tokens are new to it."""
        scheduler.tell(f"forget {auth.client_id}")
        self.forgot = True
        return scheduler.time

    def forgotten(self, auth: Auth, began: float) -> None:
        """It has done so."""
        scheduler.tell("forgotten")
        self._forgotten[auth.process, auth.client_id] = began, scheduler.steps

    def forks(self) -> None:
        """A process forks: the child does not share its memory."""
        scheduler.tell("fork")
        self.forked = True

    def nested(self, auth: Auth) -> None:
        """What a renewal waits for needs a token itself."""
        moment, lost = scheduler.time, scheduler.lost
        result = run_steps(auth.source.get_token())
        scheduler.tell("  a client_secret callable needs a token:", result)
        waited = scheduler.time - moment - (scheduler.lost - lost)
        if waited > 1.0 and not (self.forgot or self.forked):
            scheduler.violate("no renewal waits for itself")

    def used(self, use: Use) -> None:
        """A use has come to its end."""
        scheduler.tell(use.kind, "of", use.auth.client_id, "comes to", use.result)
        if use.kind == "renew":
            self.renews += 1
        if use.result == 200 or isinstance(use.result, Token):
            return
        usable = use.usable and use.auth.usable() and not self.forgot
        usable = usable and use.auth.process.asleep_until <= use.started
        if usable and use.kind != "renew" and use.result != 401:
            scheduler.violate(f"no caller fails while a usable token is there: {use.result!r}")
        if use.result == 401 and not self._excused(use):
            scheduler.violate("a 401 is repaired while the endpoint is healthy")
        if not self._excused(use):
            scheduler.violate(f"no caller fails while the endpoint is healthy: {use.result!r}")

    def _excused(self, use: Use) -> bool:
        if self.healthy:
            # A store had a token that has died as well, and a request is retried but once.
            died = self.scenario.revoked() or use.auth.process.clock
            return use.result == 401 and self.scenario.shared is not None and bool(died)
        if use.result == 401 and (self.scenario.api.mood != "fair" or self.scenario.revoked()):
            return True
        if use.caller.handler_calls and "needed while" in str(use.result):
            return True  # a signal handler needs a token while its thread requests it
        if self.scenario.may_hang():
            return True
        if "Interruption" in str(use.result):
            return True  # of a caller who does the work of a thread that did not begin in time
        if use.auth.route in self.troubles or use.auth.route != "direct":
            return True
        timeout = use.auth.source.settings.timeout
        return scheduler.lost > 0.3 * timeout or use.auth.process.threads != "run"

    # The end

    def at_the_end(self) -> None:
        """Nothing is left; save a renewal whose caller was interrupted before he started it."""
        if any(caller.interrupted for caller in self.scenario.callers):
            return
        for auth in self.scenario.auths:
            process = auth.process
            # The child of a fork has no thread that would end what it has inherited.
            lives = process.threads == "run" and not process.killed and not process.forked
            if lives and auth.source.shared.renewal is not None:
                scheduler.violate("nothing is left at the end: a renewal is")
        shared = self.scenario.shared
        if shared and shared.locked():
            scheduler.violate("nothing is left at the end: the store's lock is")
