"""The rules of a token's lifetime, with a given `now`."""

from __future__ import annotations

from typing import Any

import pytest

from mediahound_auth import InvalidClientError, TokenEndpointUnavailable
from mediahound_auth._core.lifecycle import Action, State, token_was_accepted
from mediahound_auth.errors import MediaHoundAuthError
from mediahound_auth.token import Token

USE, USE_AND_RENEW, RENEW, GIVE_UP = Action
A_WHILE = 1e-6
DOWN = TokenEndpointUnavailable("the endpoint is down")


def a_token(name: str = "one", *, at: float = 0.0, life: float = 1000.0, **more: Any) -> Token:
    return Token(name, at + life, at, **more)


def obtained(
    token: Token,
    state: State | None = None,
    *,
    now: float | None = None,
    margin: float = 300.0,
    jitter: float = 0.0,
    after_401: bool = False,
) -> State:
    """`token` has arrived, by default in no time at all."""
    return (state or State()).on_token(
        token,
        token.requested_at if now is None else now,
        margin=margin,
        jitter=jitter,
        after_401=after_401,
    )


def failed(
    state: State,
    now: float,
    error: MediaHoundAuthError = DOWN,
    *,
    jitter: float = 0.0,
    waited_for: bool = True,
) -> State:
    return state.on_failure(error, now, jitter=jitter, waited_for=waited_for)


# Fresh and ageing


def test_a_call_without_a_token_waits_for_one() -> None:
    assert State().next_action(0.0) is RENEW


@pytest.mark.parametrize(
    ("life", "margin", "jitter", "ageing_from"),
    [
        pytest.param(10_000, 300, 0.0, 9_700, id="a margin before the expiry"),
        pytest.param(10_000, 300, 1.0, 9_850, id="jitter takes up to half of the margin away"),
        pytest.param(10_000, 300, 0.5, 9_775, id="jitter spreads a fleet"),
        pytest.param(1_000, 300, 0.0, 800, id="a fifth of the life at most"),
        pytest.param(1_000, 300, 1.0, 900, id="a fifth, with jitter"),
        pytest.param(1_000, 0, 0.0, 1_000, id="without a margin never"),
        pytest.param(2, 300, 0.0, 1.6, id="a short life"),
        pytest.param(1, 300, 0.0, 1, id="not within a second of the request"),
    ],
)
def test_a_token_is_fresh_then_due_for_renewal_then_expired(
    life: float, margin: float, jitter: float, ageing_from: float
) -> None:
    state = obtained(a_token(life=life), margin=margin, jitter=jitter)
    assert state.next_action(0.0) is USE
    assert state.next_action(ageing_from - A_WHILE) is USE
    if ageing_from < life:
        assert state.next_action(ageing_from) is USE_AND_RENEW
        assert state.next_action(life - A_WHILE) is USE_AND_RENEW
    assert state.next_action(life) is RENEW


def test_a_lifetime_counts_from_the_sending_of_the_request() -> None:
    state = obtained(a_token(at=100, life=10), now=105)
    assert state.next_action(110 - A_WHILE) is USE_AND_RENEW
    assert state.next_action(110) is RENEW


def test_a_stored_token_that_is_due_is_renewed_soon() -> None:
    assert obtained(a_token(at=0, life=1000), now=950).next_action(950) is USE_AND_RENEW


def test_a_token_is_used_in_the_header_that_carries_it() -> None:
    state = obtained(a_token("one"))
    assert state.token
    assert state.token.authorization == "Bearer one"
    state = obtained(a_token("two"), state)
    assert state.token
    assert state.token.authorization == "Bearer two"


def test_while_one_caller_renews_the_others_use_the_token() -> None:
    state = obtained(a_token()).on_renewal_started(850.0, 30.0)
    assert state.next_action(850) is USE
    assert state.next_action(880 - A_WHILE) is USE


def test_a_token_is_due_again_if_its_renewal_has_not_ended() -> None:
    assert obtained(a_token()).on_renewal_started(850.0, 30.0).next_action(880) is USE_AND_RENEW


def test_a_renewal_does_not_keep_a_token_in_use_beyond_its_expiry() -> None:
    state = obtained(a_token()).on_renewal_started(990.0, 30.0)
    assert state.next_action(1000 - A_WHILE) is USE
    assert state.next_action(1000) is RENEW


def test_with_the_shortest_timeout_no_second_renewal_starts_within_a_second() -> None:
    state = obtained(a_token()).on_renewal_started(850.0, 0.1)
    assert state.next_action(851 - A_WHILE) is USE
    assert state.next_action(851) is USE_AND_RENEW


@pytest.mark.parametrize("state", [State(), obtained(a_token())], ids=["absent", "expired"])
def test_a_renewal_without_a_usable_token_changes_no_state_at_its_start(state: State) -> None:
    assert state.on_renewal_started(2000.0, 30.0) == state


def test_background_renewals_that_fail_back_off_and_the_token_stays_in_use() -> None:
    state, now = obtained(a_token(life=10_000), margin=1000), 9000.0
    for wait in (1, 2, 4, 8, 16, 32, 60, 60):
        state = failed(state.on_renewal_started(now, 30), now, waited_for=False)
        assert state.next_action(now + wait - A_WHILE) is USE
        now += wait
        assert state.next_action(now) is USE_AND_RENEW
        assert state.token
        assert state.token.authorization == "Bearer one"


def test_after_a_failed_background_renewal_a_token_is_requested_at_the_expiry() -> None:
    state = failed(obtained(a_token()), 999.5, waited_for=False)
    assert state.next_action(1000 - A_WHILE) is USE
    assert state.next_action(1000) is RENEW


def test_retry_after_is_respected_after_a_failed_background_renewal() -> None:
    error = TokenEndpointUnavailable("busy", retry_after=100)
    state = failed(obtained(a_token()), 950, error, waited_for=False)
    assert state.next_action(1000) is GIVE_UP
    assert state.next_action(1050) is RENEW


@pytest.mark.parametrize("returned_again", [False, True])
def test_a_failure_does_not_make_a_fresh_token_due(returned_again: bool) -> None:
    # Somebody called renew() in vain.
    state = failed(obtained(a_token(life=1000, returned_again=returned_again)), 10)
    ageing_from = 1000 if returned_again else 800
    assert state.next_action(ageing_from - A_WHILE) is USE
    assert state.next_action(ageing_from) is (RENEW if returned_again else USE_AND_RENEW)


# Reissued


@pytest.mark.parametrize("life", [150, 50, 1])
def test_a_token_that_is_returned_again_is_not_requested_until_it_has_expired(life: float) -> None:
    state = obtained(a_token(at=0, life=1000))
    state = obtained(a_token(at=850, life=life), state)
    assert state.token == a_token(at=850, life=life, returned_again=True)
    assert state.next_action(850 + life - A_WHILE) is USE
    assert state.next_action(850 + life) is RENEW


def test_a_token_that_is_returned_again_has_the_latest_expiry() -> None:
    state = obtained(a_token(at=850, life=1), obtained(a_token()), now=855)
    assert state.next_action(855) is RENEW


def test_another_token_is_renewed_early_again() -> None:
    state = obtained(a_token(at=850, life=150), obtained(a_token()))
    state = obtained(a_token("two", at=1000), state)
    assert state.next_action(1800 - A_WHILE) is USE
    assert state.next_action(1800) is USE_AND_RENEW


def test_a_stored_token_marked_as_returned_again_is_not_renewed_early() -> None:
    state = obtained(a_token(returned_again=True))
    assert state.next_action(1000 - A_WHILE) is USE


# What a store holds


@pytest.mark.parametrize(
    ("known", "other", "rejected", "preferred"),
    [
        pytest.param(None, a_token("two"), None, True, id="none is known"),
        pytest.param(None, a_token("two", life=500), None, False, id="the other has expired"),
        pytest.param(a_token(life=400), a_token("two"), None, True, id="ours has expired"),
        pytest.param(a_token(life=400), a_token(), None, True, id="ours lives longer than we knew"),
        pytest.param(a_token(), a_token("two", at=1), None, True, id="the other is newer"),
        pytest.param(a_token(at=1), a_token("two"), None, False, id="the other is older"),
        pytest.param(a_token(), a_token(), None, False, id="the same"),
        pytest.param(
            a_token(), a_token(returned_again=True), None, True, id="known to be reissued"
        ),
        pytest.param(
            a_token(returned_again=True), a_token(returned_again=True), None, False, id="so is ours"
        ),
        pytest.param(a_token(), a_token("two", at=1), "one", True, id="instead of a rejected one"),
        pytest.param(None, a_token(), "one", False, id="the other is the rejected one"),
        pytest.param(a_token(life=9), a_token(), "one", False, id="the rejected one, ours expired"),
        pytest.param(
            a_token(), a_token(returned_again=True), "one", False, id="reissued but rejected"
        ),
    ],
)
def test_a_stores_token_is_used_if_it_is_valid_and_better(
    known: Token | None, other: Token, rejected: str | None, preferred: bool
) -> None:
    state = obtained(known) if known else State()
    assert state.is_improved_by(other, rejected, 500.0) is preferred


def test_a_token_that_is_expired_on_arrival_does_not_displace_a_valid_one() -> None:
    # A new token with expires_in 0, after a slow answer: it lived from 850 to 851.
    state = obtained(a_token("two", at=850, life=1), obtained(a_token()), now=855)
    assert state.next_action(855) is not RENEW
    assert state.token
    assert state.token.authorization == "Bearer one"


def test_a_token_that_is_expired_on_arrival_is_better_than_a_rejected_one() -> None:
    one = obtained(a_token())
    state = obtained(a_token("two", at=850, life=1), one, now=855, after_401=True)
    assert state.action_after_401("one", 855) is RENEW


# Failing


def test_failures_in_a_row_are_shared_for_a_doubling_time() -> None:
    state, now = State(), 0.0
    for wait in (1, 2, 4, 8, 16, 32, 60, 60):
        state = failed(state, now)
        assert state.failure is DOWN
        assert state.next_action(now) is GIVE_UP
        assert state.next_action(now + wait - A_WHILE) is GIVE_UP
        now += wait
        assert state.next_action(now) is RENEW


def test_jitter_extends_a_wait_by_half_at_most() -> None:
    state = failed(State(), 0.0, jitter=1.0)
    assert state.next_action(1.5 - A_WHILE) is GIVE_UP
    assert state.next_action(1.5) is RENEW


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [(None, 1), (0, 1), (0.5, 1), (30, 30), (3600, 3600), (1e9, 3600)],
)
def test_no_token_is_requested_before_retry_after(retry_after: float | None, wait: float) -> None:
    state = failed(State(), 0.0, TokenEndpointUnavailable("busy", retry_after=retry_after))
    assert state.next_action(wait - A_WHILE) is GIVE_UP
    assert state.next_action(wait) is RENEW


def test_a_token_resets_the_back_off_after_failures() -> None:
    state = failed(failed(failed(State(), 0), 10), 20)
    state = obtained(a_token(at=30, life=10), state)
    assert (state.failure, state.failures) == (None, 0)
    assert failed(state, 50).next_action(51) is RENEW


def test_a_configuration_error_is_remembered_like_any_other() -> None:
    error = InvalidClientError("wrong secret")
    assert failed(State(), 0.0, error).failure is error


@pytest.mark.parametrize("status", [200, 204, 302, 304, 400, 401, 403, 404, 429, 500, 503, 599])
def test_a_response_shows_that_the_token_was_accepted_unless_it_is_401_or_5xx(status: int) -> None:
    assert token_was_accepted(status) is (status not in (401, 500, 503, 599))


# Clocks


def test_a_clock_that_is_set_back_ends_the_wait_after_a_failure() -> None:
    assert failed(State(), 1000.0).next_action(999) is RENEW


def test_a_clock_that_is_set_forward_and_back_costs_one_renewal() -> None:
    state = obtained(a_token())
    assert state.next_action(5000) is RENEW
    state = obtained(a_token("two", at=5000), state)
    assert state.next_action(10) is USE


def test_the_fields_of_a_state_show_no_token() -> None:
    state = failed(obtained(a_token("t0ken", scope="public_profile")), 990)
    assert "t0ken" not in f"{state!r} {state}"
    assert repr(state).startswith("State(token=Token(")
    assert "failures=1" in repr(state)
