"""The promises that each schedule is held to."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from mediahound_auth.token import Token
from simulation.scheduler import Process, scheduler

if TYPE_CHECKING:
    from simulation.callers import Auth, Use
    from simulation.scenario import Scenario

__all__ = ["Promises"]

AMPLE = 30.0  # a `timeout` of so many seconds is not used up by what is slow in this world
BURST = 3  # token requests at once: one in the background, and two revocations
A_MOMENT = 1e-6


class Promises:
    """What must never happen, in any schedule.

    Attributes:
        lost: seconds that the world took of its callers' time, all in all.
        troubles: the ways by which a token request came to nothing.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.lost = 0.0
        self.troubles: set[str] = set()
        self.forgot = False
        self.renews = 0
        self.healthy = False
        self.shortest = AMPLE
        self._in_flight: dict[object, list[float]] = defaultdict(list)
        self._level: dict[Process, tuple[float, float]] = {}
        self._counted: dict[Process, object] = {}
        self._replaced: dict[Process, set[str]] = defaultdict(set)

    # Token requests

    def request_begins(self, auth: Auth, timeout: float) -> float:
        """A token request is sent; until when."""
        scheduler.tell(f"token request by {auth.route} with {timeout:g} s")
        in_flight = self._in_flight[auth.client_id, self.scenario.reach_of(auth.process)]
        if any(scheduler.time < until for until in in_flight) and not self._may_be_two():
            scheduler.violate("one token request in flight per reach of the store: there are two")
        self._bound(auth)
        until = scheduler.time + timeout
        in_flight.append(until)
        return until

    def request_goes(self, auth: Auth, delay: float, fault: str) -> None:
        """The response will take so many seconds, or something will go wrong."""
        scheduler.tell(f"  {fault or 'a token'} after {delay:g} s")
        if fault:
            self.lost += max(delay, 0.2)
        if fault not in ("", "slow"):
            self.troubles.add(auth.route)

    def request_ends(self, auth: Auth, until: float) -> None:
        """It has got a response, or none."""
        scheduler.tell("  the end of it")
        self._in_flight[auth.client_id, self.scenario.reach_of(auth.process)].remove(until)

    def _may_be_two(self) -> bool:
        return self.forgot or self.scenario.unlocked() or self.lost > 0.25 * self.shortest

    def _bound(self, auth: Auth) -> None:
        """At most one token request per second, sustained, while a usable token is at hand."""
        process, renewal = auth.process, auth.source.shared.renewal
        if not auth.usable() or self._counted.get(process) is renewal:
            return
        self._counted[process] = renewal
        level, at = self._level.get(process, (0.0, 0.0))
        level = max(0.0, level - (scheduler.time - at)) + 1
        self._level[process] = level, scheduler.time
        if level > BURST + self.renews and not self.forgot:
            scheduler.violate("one token request per second while a usable token is at hand")

    # Uses

    def waited(self, use: Use, seconds: float) -> None:
        """A caller has waited, stalls of its own not included."""
        timeout = use.auth.source.settings.timeout
        if seconds > timeout + A_MOMENT and use.auth.process.threads == "run":
            scheduler.violate(f"no caller waits beyond its timeout: {seconds:g} s, not {timeout:g}")

    def token_used(self, use: Use, access_token: str) -> None:
        """A request to the API carries this token."""
        scheduler.tell(f"call with {access_token[:]}")
        if access_token in self._replaced[use.auth.process] and not self.forgot:
            scheduler.violate("a rejected token is not used again by a process that knows")

    def replaced(self, rejected: str, token: Token) -> None:
        """A process has another token in the place of a rejected one."""
        if token.access_token == rejected:
            scheduler.violate("a request is retried with another token: it was the same")

    def forgets(self, auth: Auth) -> None:  # noqa: ARG002
        """A process is to forget its token."""
        scheduler.tell("forget")
        self.forgot = True

    def used(self, use: Use) -> None:
        """A use has come to its end."""
        scheduler.tell(f"{use.kind} of {use.auth.client_id}: {use.result!r}")
        if use.kind == "renew":
            self.renews += 1
        if use.result == 200 or isinstance(use.result, Token):
            return
        usable = use.usable and use.auth.usable() and not self.forgot
        if usable and use.kind != "renew" and use.result != 401:
            scheduler.violate(f"no caller fails while a usable token is there: {use.result!r}")
        if use.result == 401 and not self._excused(use):
            scheduler.violate("a 401 is repaired while the endpoint is healthy")
        if not self._excused(use):
            scheduler.violate(f"no caller fails while the endpoint is healthy: {use.result!r}")

    def _excused(self, use: Use) -> bool:
        if self.healthy:
            # A store had a token that was revoked as well, and a request is retried but once.
            return (
                use.result == 401 and self.scenario.shared is not None and self.scenario.revoked()
            )
        if use.result == 401 and (self.scenario.api.mood != "fair" or self.scenario.revoked()):
            return True
        if use.auth.route in self.troubles or use.auth.route == "dead proxy":
            return True
        timeout = use.auth.source.settings.timeout
        return self.lost > 0.3 * timeout or use.auth.process.threads != "run"

    # The end

    def at_the_end(self) -> None:
        """Nothing is left; save a renewal whose caller was interrupted before he started it."""
        if any(caller.interrupted for caller in self.scenario.callers):
            return
        for auth in self.scenario.auths:
            if (
                auth.process.threads == "run"
                and not auth.process.killed
                and auth.source.shared.renewal is not None
            ):
                scheduler.violate("nothing is left at the end: a renewal is")
