"""The rules for a token that an API rejects."""

from __future__ import annotations

import pytest

from mediahound_auth import TokenEndpointUnavailable
from mediahound_auth._core.lifecycle import Action, State
from mediahound_auth.errors import MediaHoundAuthError
from mediahound_auth.token import Token

USE, USE_AND_RENEW, RENEW, GIVE_UP = Action
A_WHILE = 1e-6
TWO_WEEKS = 14 * 24 * 3600.0


def obtained(
    name: str,
    state: State | None = None,
    *,
    now: float = 0.0,
    requested: bool = False,
    after_401: bool = False,
) -> State:
    """A token good for two weeks has arrived; `doubtful` if it was asked for after a rejection."""
    return (state or State()).on_token(
        Token(name, now + TWO_WEEKS, now),
        now,
        margin=300.0,
        jitter=0.0,
        requested=requested,
        after_401=after_401,
    )


def failed(state: State, now: float, error: MediaHoundAuthError | None = None) -> State:
    error = error or TokenEndpointUnavailable("the endpoint is down")
    return state.on_failure(error, now, jitter=0.0, waited_for=True)


def test_the_current_token_is_renewed_when_it_is_rejected() -> None:
    assert obtained("one").action_after_401("one", 0.0) is RENEW


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(1.0, id="fresh"),
        pytest.param(TWO_WEEKS - 299, id="ageing"),
    ],
)
def test_a_401_is_retried_with_a_newer_token_if_there_is_one(now: float) -> None:
    assert obtained("two", obtained("one")).action_after_401("one", now) is USE


def test_a_401_without_a_current_token_needs_a_renewal() -> None:
    assert State().action_after_401("one", 0.0) is RENEW
    assert obtained("two").action_after_401("one", TWO_WEEKS) is RENEW


def test_while_the_endpoint_is_failing_a_401_is_returned() -> None:
    for state in (State(), obtained("one")):
        state = failed(state, 10.0)
        assert state.action_after_401("one", 10.0) is GIVE_UP
        assert state.action_after_401("one", 11.0 - A_WHILE) is GIVE_UP
        assert state.action_after_401("one", 11.0) is RENEW


def test_another_token_is_used_after_a_401_even_while_the_endpoint_is_failing() -> None:
    assert failed(obtained("two"), 10.0).action_after_401("one", 10.0) is USE


@pytest.mark.parametrize("brought", ["one", "another"])
def test_after_an_unconfirmed_renewal_the_next_401_is_returned(brought: str) -> None:
    state = obtained(brought, obtained("one"), now=100.0, after_401=True)
    assert state.action_after_401(brought, 100.0) is GIVE_UP
    assert state.action_after_401(brought, 101.0 - A_WHILE) is GIVE_UP
    assert state.action_after_401(brought, 101.0) is RENEW


def test_each_unconfirmed_renewal_doubles_the_time_to_the_next() -> None:
    state, now = obtained("0"), 100.0
    for number, patience in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
        state = obtained(f"{number}", state, now=now, after_401=True)
        assert state.action_after_401(f"{number}", now + patience - A_WHILE) is GIVE_UP
        now += patience
        assert state.action_after_401(f"{number}", now) is RENEW


def test_enough_accepted_calls_shorten_the_wait_to_a_second() -> None:
    state, now = obtained("0"), 100.0
    for number, patience in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
        state = obtained(f"{number}", state, now=now, after_401=True)
        now += 1.0
        for _ in range(patience):
            assert state.counts_accepted_calls
            assert patience == 1 or state.action_after_401(f"{number}", now) is GIVE_UP
            state = state.on_accepted(f"{number}", retried=False)
        assert not state.counts_accepted_calls
        assert state.on_accepted(f"{number}", retried=False) == state
        assert state.action_after_401(f"{number}", now - A_WHILE) is GIVE_UP
        assert state.action_after_401(f"{number}", now) is RENEW


def test_a_retry_that_is_accepted_confirms_the_renewal() -> None:
    state = obtained("one")
    for number, name in enumerate(("two", "three", "four")):
        state = obtained(name, state, now=100.0 + number, after_401=True)
    state = state.on_accepted("four", retried=True)
    assert state.unconfirmed == 0
    assert state.action_after_401("four", 102.0) is RENEW
    state = obtained("five", state, now=102.0, after_401=True)
    assert state.action_after_401("five", 103.0) is RENEW


def test_a_token_that_is_revoked_twice_within_a_second_is_replaced_twice() -> None:
    state = obtained("one", now=100.0, requested=True)
    for name, following in (("one", "two"), ("two", "three")):
        assert state.action_after_401(name, 100.0) is RENEW
        state = obtained(following, state, now=100.0, after_401=True)
        state = state.on_accepted(following, retried=True)
    assert state.action_after_401("three", 101.0 - A_WHILE) is GIVE_UP
    assert state.action_after_401("three", 101.0) is RENEW


def test_token_requests_on_demand_delay_the_next_after_a_401_by_a_second_at_most() -> None:
    state = obtained("one", now=100.0, requested=True)
    for number in range(10):
        state = obtained(f"{number}", state, now=100.0, requested=True)
    assert state.action_after_401("9", 101.0 - A_WHILE) is GIVE_UP
    assert state.action_after_401("9", 101.0) is RENEW
    assert state.action_after_401("9", 99.9) is RENEW  # the clock was set back


def test_a_token_from_a_store_is_not_counted_as_a_token_request() -> None:
    state = obtained("0", now=100.0)
    for number in range(10):
        state = obtained(f"{number}", state, now=100.0)
    assert state.action_after_401("9", 100.0) is RENEW


def test_an_expired_token_is_replaced_however_many_requests_there_were() -> None:
    state = State()
    for number in range(3):
        token = Token(f"{number}", 100.5, 100.0)
        state = state.on_token(token, 100.0, margin=0.0, jitter=0.0, requested=True)
    assert state.action_after_401("2", 100.4) is GIVE_UP
    assert state.action_after_401("2", 100.5) is RENEW


@pytest.mark.parametrize("retried", [False, True])
def test_accepted_calls_with_an_earlier_token_do_not_confirm_the_renewal(retried: bool) -> None:
    state = obtained("two", obtained("one"), now=100.0, after_401=True)
    assert state.on_accepted("one", retried=retried) == state


def test_an_accepted_call_changes_nothing_without_unconfirmed_renewals() -> None:
    assert State().on_accepted("one", retried=False) == State()
    assert obtained("one").on_accepted("one", retried=True) == obtained("one")


def test_a_renewal_without_a_401_does_not_change_the_count_of_unconfirmed_ones() -> None:
    doubted = obtained("two", obtained("one"), now=100.0, after_401=True)
    renewed = obtained("three", doubted, now=100.5)
    assert renewed.action_after_401("three", 101.0 - A_WHILE) is GIVE_UP
    assert renewed.action_after_401("three", 101.0) is RENEW


def test_a_clock_that_is_set_back_ends_the_back_off_after_a_401() -> None:
    state = obtained("two", obtained("one"), now=100.0, after_401=True)
    assert state.action_after_401("two", 99.0) is RENEW


# The bounds, counted. Here the endpoint answers at once.


class Endpoint:
    """What a caller does with the steps, and how often the endpoint is asked that way."""

    def __init__(self, *, reissues: bool = False, life: float = TWO_WEEKS) -> None:
        self.state = State()
        self.requests = 0
        self.refuses: MediaHoundAuthError | None = None
        self._reissues = reissues
        self._life = life
        self._dies_at = 0.0

    def ask(self, now: float, *, after_401: bool = False, waited_for: bool = True) -> None:
        self.requests += 1
        if self.refuses:
            self.state = self.state.on_failure(self.refuses, now, jitter=0.0, waited_for=waited_for)
            return
        if now >= self._dies_at:
            self._dies_at = now + self._life
        name = f"{self._dies_at}" if self._reissues else f"{self.requests}"
        # In whole seconds, rounded down, as servers do; less than one lasts one.
        expires_in = max(1, int(self._dies_at - now))
        self.state = self.state.on_token(
            Token(name, now + expires_in, now), now, margin=300, jitter=0.0, after_401=after_401
        )

    def call(self, now: float, *, accepted: bool = True) -> bool:
        """One call to the API; returns whether it was answered well."""
        step = self.state.next_action(now)
        if step is GIVE_UP:
            return False
        if step is not USE:
            self.ask(now, waited_for=step is RENEW)
        if accepted and self.state.token:
            self.state = self.state.on_accepted(self.state.token.access_token, retried=False)
            return True
        rejected = self.state.token.access_token if self.state.token else ""
        if rejected and self.state.action_after_401(rejected, now) is RENEW:
            self.ask(now, after_401=True)
        return False


def test_an_api_that_rejects_everything_costs_two_requests_for_a_hundred_calls_at_once() -> None:
    endpoint = Endpoint()
    for _ in range(100):
        assert not endpoint.call(0.0, accepted=False)
    assert endpoint.requests == 2


def test_an_api_that_rejects_everything_for_an_hour_costs_a_request_a_minute_then() -> None:
    endpoint = Endpoint()
    for tenth in range(36_000):
        endpoint.call(tenth / 10, accepted=False)
    # The first token, one doubt each after 0, 1, 3, 7, 15, 31 and 63 seconds, then every minute.
    assert endpoint.requests == 1 + 7 + (3600 - 63 - 1) // 60


def test_one_forbidden_resource_among_many_does_not_cost_a_token_request_per_call() -> None:
    endpoint = Endpoint()
    for number in range(1000):
        endpoint.call(0.0, accepted=number % 2 == 0)
    # 500 calls are accepted: 1 + 2 + 4 + 8 + 16 + 32 + 60 · 6 are at most so many.
    assert endpoint.requests <= 1 + 1 + 6 + 7


def test_a_wrong_secret_costs_one_request_for_a_hundred_calls_at_once() -> None:
    endpoint = Endpoint()
    endpoint.refuses = TokenEndpointUnavailable("down")
    assert not any(endpoint.call(0.0) for _ in range(100))
    assert endpoint.requests == 1


def test_an_endpoint_that_is_down_for_an_hour_gets_one_request_a_minute() -> None:
    endpoint = Endpoint()
    endpoint.refuses = TokenEndpointUnavailable("down")
    for tenth in range(36_000):
        endpoint.call(tenth / 10)
    # At 0, 1, 3, 7, 15, 31 and 63 seconds, then every minute.
    assert endpoint.requests == 7 + (3600 - 63 - 1) // 60


def test_an_endpoint_that_is_down_while_a_token_is_due_costs_no_call() -> None:
    endpoint = Endpoint()
    endpoint.call(0.0)
    endpoint.refuses = TokenEndpointUnavailable("down")
    assert all(endpoint.call(TWO_WEEKS - 300 + tenth / 10) for tenth in range(3000))
    # At 0, 1, 3, 7, 15, 31, 63, 123, 183 and 243 seconds of those 300.
    assert endpoint.requests == 1 + 10


@pytest.mark.parametrize("before", [400.0, 300.0, 100.0, 10.0, 1.0])
def test_a_token_that_is_returned_again_costs_two_requests_in_its_last_seconds(
    before: float,
) -> None:
    endpoint = Endpoint(reissues=True)
    endpoint.call(0.0)
    start = TWO_WEEKS - before
    assert all(endpoint.call(start + before * call / 100) for call in range(100))
    assert endpoint.requests <= 1 + 2
    assert endpoint.call(TWO_WEEKS + 1)
    assert endpoint.requests <= 1 + 3


def test_tokens_with_a_lifetime_of_a_second_cost_a_request_a_second() -> None:
    endpoint = Endpoint(life=0.5)
    assert all(endpoint.call(hundredth / 100) for hundredth in range(1000))
    assert endpoint.requests == 10
