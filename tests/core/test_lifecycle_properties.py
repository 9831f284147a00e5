"""Any sequence of calls, clocks, answers, failures and rejections, beside a simple model of it.

The model knows no transitions. It keeps a diary of what happened, and says from that diary what
may, must and must not happen now: no live token is ever thrown away, no dead one is used when a
better one is known, and each token request has a reason that the rules allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mediahound_auth import TokenEndpointUnavailable
from mediahound_auth._core.lifecycle import Action, State
from mediahound_auth.token import Token

pytestmark = pytest.mark.once

NEARLY = 1e-6  # seconds that rounding may cost

# Eighths of a second are exact in binary, so that the model may add them up in any order.
MOMENTS = st.one_of(
    st.sampled_from([0.125, 0.5, 1.0, 1.5, 10.0, 60.0, 300.0, 3600.0]),
    st.integers(1, 80_000).map(lambda eighths: eighths / 8),
)
LIVES = st.one_of(st.sampled_from([1.0, 2.0, 1000.0, 1_209_600.0]), st.integers(1, 7200).map(float))
JITTERS = st.sampled_from([0.0, 0.5, 1.0])


def doubled(times: int) -> float:
    """1, 2, 4, … seconds, or calls, for the first, second, third time in a row; 60 at most."""
    return min(2.0 ** (times - 1), 60.0)


@dataclass
class Failure:
    at: float
    in_a_row: int
    retry_after: float
    waited_for: bool

    def holds_back(self, now: float, background: bool = False, jitter: float = 1.0) -> bool:
        """Whether those who need a token must not ask yet; jitter makes it longer by half."""
        back_off = doubled(self.in_a_row) * jitter if self.waited_for or background else 0.0
        return self.at <= now < self.at + max(self.retry_after, back_off)


@dataclass
class Renewal:
    """A token request under way. Whoever needs a token while it is, waits for it too."""

    started: float
    budget: float
    rejected: str | None
    waited_for: bool
    forced: bool


class Life(RuleBasedStateMachine):
    """`self.state` is tested; all else here is the diary, and the world it is kept in."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.now = 1_000_000.0
        self.flight: Renewal | None = None
        self.issued: list[str] = []
        # The diary: the token at hand, as far as anybody has said anything of it.
        self.token: Token | None = None
        self.returned_again = False
        self.background_until = float("-inf")
        self.set_back_since = False
        self.failure: Failure | None = None  # the last one since the last token
        self.unconfirmed: list[float] = []  # when each of those in a row was raised
        self.accepted_calls = 0  # calls since the last doubt
        self.arrivals: list[float] = []  # of tokens from the endpoint
        # Counters, for the bound on all requests together.
        self.requests = self.forced = self.found = self.vanished = self.set_back = 0
        self.expired = self.accepted_in_all = 0
        self.forward = 0.0

    @initialize(life=LIVES)
    def it_begins_with_a_token(self, life: float) -> None:
        self.depart(30.0)
        self.the_endpoint_gives_a_token(life, 0.0, False)

    @rule(data=st.data(), seconds=MOMENTS, off=st.sampled_from([-0.125, 0.0, 0.125]))
    def time_passes(self, data: st.DataObject, seconds: float, off: float) -> None:
        moments = [self.now + seconds, self.background_until]  # and whenever something is due:
        if self.token:
            expiry = self.token.expires_at
            moments += [expiry, expiry - self.margin(), expiry - self.margin() / 2]
        if self.failure:
            moments += [self.failure.at + doubled(self.failure.in_a_row) * n for n in (1, 1.5)]
            moments.append(self.failure.at + self.failure.retry_after)
        if self.unconfirmed:
            moments.append(self.unconfirmed[-1] + doubled(len(self.unconfirmed)))
        waits = [round(8 * (moment - self.now)) / 8 for moment in moments if moment > self.now]
        seconds = max(0.0, data.draw(st.sampled_from(waits)) + off)
        was_live = self.is_live()
        self.now += seconds
        self.forward += seconds
        self.expired += was_live and not self.is_live()

    @rule(seconds=MOMENTS)
    def a_flight_vanishes_or_the_clock_is_set_back(self, seconds: float) -> None:
        if self.flight:
            self.flight = None
            self.vanished += 1
        else:
            self.now -= seconds
            self.set_back += 1
            self.set_back_since = True

    def is_live(self) -> bool:
        return self.token is not None and self.now < self.token.expires_at

    def is_current(self, name: str) -> bool:
        return self.token is not None and self.token.access_token == name

    def margin(self) -> float:
        assert self.token
        return min(300.0, (self.token.expires_at - self.token.requested_at) / 5)

    def depart(
        self, budget: float, *, rejected: str | None = None, forced: bool = False, wait: bool = True
    ) -> None:
        flight = self.flight
        if flight and flight.started <= self.now < flight.started + flight.budget:
            flight.waited_for |= wait
            return
        self.vanished += flight is not None
        self.flight = Renewal(self.now, budget, rejected, wait, forced)
        self.requests += 1
        self.forced += forced

    def names(self) -> list[str]:
        return [self.token.access_token] * 4 + self.issued[-2:] if self.token else self.issued[-2:]

    # Who needs a token

    @rule(budget=st.sampled_from([0.25, 1.0, 30.0]))
    def somebody_calls(self, budget: float) -> None:
        step = self.state.next_action(self.now)
        if step is Action.RENEW:
            assert self.state.on_renewal_started(self.now, budget) == self.state, (
                "nothing to go on using"
            )
            self.depart(budget)
        elif step is Action.USE_AND_RENEW:
            self.state = self.state.on_renewal_started(self.now, budget)
            self.background_until = self.now + max(budget, 1.0)
            self.depart(budget, wait=False)

    @rule()
    def somebody_demands_another_one(self) -> None:
        self.depart(30.0, forced=True)

    @precondition(lambda self: self.issued)
    @rule(data=st.data())
    def the_api_rejects(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.names()))
        if self.state.action_after_401(name, self.now) is Action.RENEW:
            self.depart(30.0, rejected=name)

    @precondition(lambda self: self.issued)
    @rule(data=st.data(), retried=st.booleans())
    def the_api_accepts(self, data: st.DataObject, retried: bool) -> None:
        name = data.draw(st.sampled_from(self.names()))
        self.state = self.state.on_accepted(name, retried=retried)
        self.accepted_in_all += 1
        if self.is_current(name):
            if retried:
                self.unconfirmed = []
            self.accepted_calls = 0 if retried else self.accepted_calls + 1

    # How a flight ends

    def name(self, same: bool) -> str:
        if same and self.token:
            return self.token.access_token
        self.issued.append(f"token-{len(self.issued)}")
        return self.issued[-1]

    @precondition(lambda self: self.flight)
    @rule(life=LIVES, jitter=JITTERS, same=st.booleans())
    def the_endpoint_gives_a_token(self, life: float, jitter: float, same: bool) -> None:
        assert self.flight
        sent = self.flight.started
        self.arrives(Token(self.name(same), sent + life, sent), jitter)

    @precondition(lambda self: self.flight and not self.flight.forced)
    @rule(life=LIVES, age=MOMENTS, jitter=JITTERS, same=st.booleans(), returned_again=st.booleans())
    def somebody_has_put_a_token_into_the_store(
        self, life: float, age: float, jitter: float, same: bool, returned_again: bool
    ) -> None:
        assert self.flight
        name = self.name(same)
        found = Token(name, self.now - age + life, self.now - age, returned_again=returned_again)
        preferred = self.state.is_improved_by(found, self.flight.rejected, self.now)
        good = self.now < found.expires_at and name != self.flight.rejected
        assert good or not preferred
        assert preferred or self.is_live() or not good, "a better one is known"
        if preferred:
            self.requests -= 1  # it was none after all
            self.found += 1
            self.arrives(found, jitter, asked=False)

    def arrives(self, token: Token, jitter: float, *, asked: bool = True) -> None:
        assert self.flight
        doubtful = asked and self.flight.rejected is not None
        self.state = self.state.on_token(
            token, self.now, margin=300.0, jitter=jitter, requested=asked, after_401=doubtful
        )
        self.flight = None
        if asked:
            self.arrivals.append(self.now)
        if doubtful:
            self.unconfirmed.append(self.now)
            self.accepted_calls = 0
        same = self.is_current(token.access_token)
        if token.expires_at <= self.now:
            self.expired += 1
            if self.is_live() and not same and not doubtful:
                return  # the live one stays
        self.returned_again = same or token.returned_again
        self.token = token
        self.failure = None
        self.background_until = float("-inf")
        self.set_back_since = False

    @precondition(lambda self: self.flight)
    @rule(retry_after=st.sampled_from([None, 0.0, 5.0, 120.0, 86_400.0]), jitter=JITTERS)
    def the_endpoint_fails(self, retry_after: float | None, jitter: float) -> None:
        assert self.flight
        down, waited_for = TokenEndpointUnavailable(retry_after=retry_after), self.flight.waited_for
        self.state = self.state.on_failure(down, self.now, jitter=jitter, waited_for=waited_for)
        self.flight, self.background_until = None, float("-inf")
        asked = min(retry_after or 0.0, 3600.0)
        in_a_row = self.failure.in_a_row + 1 if self.failure else 1
        self.failure = Failure(self.now, in_a_row, asked, waited_for)

    # What holds at any time

    @invariant()
    def a_call_uses_a_live_token_and_renews_it_when_that_is_due(self) -> None:
        step = self.state.next_action(self.now)
        if not (self.token and self.is_live()):
            self.assert_asks_unless_held_back(step)
            return
        assert step in (Action.USE, Action.USE_AND_RENEW), "a live token is thrown away"
        assert self.state.token
        assert self.state.token.authorization == self.token.authorization
        if step is Action.USE_AND_RENEW:
            assert not self.returned_again, "this endpoint hands it out until it has expired"
            assert self.now >= self.token.expires_at - self.margin() - NEARLY
            assert self.now >= self.token.requested_at + 1 - NEARLY
            assert self.now >= self.background_until or self.set_back_since
            assert not self.failure or not self.failure.holds_back(self.now + NEARLY, True)
        elif not (self.returned_again or self.set_back_since or self.failure):
            earliest = max(self.token.requested_at + 1, self.background_until)
            assert self.now < max(self.token.expires_at - self.margin() / 2, earliest) + NEARLY

    @invariant()
    def a_401_has_its_remedy_unless_there_is_doubt(self) -> None:
        patience = doubled(len(self.unconfirmed))
        wait = patience if self.accepted_calls < patience else 1.0
        in_doubt = (
            self.unconfirmed and self.unconfirmed[-1] <= self.now < self.unconfirmed[-1] + wait
        )
        for name in self.issued[-3:]:
            step = self.state.action_after_401(name, self.now)
            if self.is_live() and not self.is_current(name):
                assert step is Action.USE, "another token is at hand"
            elif in_doubt and self.is_current(name):
                assert step is Action.GIVE_UP, "a token request for each 401"
            elif self.is_current(name) and self.many_arrived():
                assert step in (Action.RENEW, Action.GIVE_UP)
            else:
                self.assert_asks_unless_held_back(step)

    def many_arrived(self) -> bool:
        """Whether there were three within a second, four within two, and so on."""
        latest = enumerate(reversed(self.arrivals), start=1)
        return any(arrived > self.now - (number - 2) for number, arrived in latest)

    def assert_asks_unless_held_back(self, step: Action) -> None:
        assert step in (Action.RENEW, Action.GIVE_UP), "a dead token is used"
        if step is Action.RENEW:
            assert not self.failure or not self.failure.holds_back(self.now)
        else:
            assert self.failure
            assert self.failure.holds_back(self.now, jitter=1.5)

    @invariant()
    def the_number_of_token_requests_is_within_the_bound(self) -> None:
        # Three, and one per second; one when a token has expired; what was demanded or vanished;
        # two when the clock is set back. A token on demand or found ends all waits.
        bound = 3 + self.forward + self.expired
        bound += 2 * self.forced + self.found + self.vanished + 2 * self.set_back
        assert self.requests <= bound

    @invariant()
    def each_doubt_in_a_row_took_twice_the_time_or_twice_the_good_calls(self) -> None:
        spent = sum(doubled(number) for number in range(1, len(self.unconfirmed)))
        assert self.set_back or spent <= self.forward + self.accepted_in_all


TestLife = Life.TestCase
TestLife.settings = settings(stateful_step_count=60, deadline=None)
