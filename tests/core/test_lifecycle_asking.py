"""How one renewal goes about it: which failures are tried again, and who waits how long."""

from __future__ import annotations

import pytest

from mediahound_auth import (
    ConfigurationError,
    InvalidClientError,
    InvalidTokenResponse,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth._core.lifecycle import State, retry_delay, store_lock_timeout


def unavailable(
    retry_after: float | None = None, *, retryable: bool = True
) -> TokenEndpointUnavailable:
    error = TokenEndpointUnavailable("down", retry_after=retry_after)
    error.retryable = retryable
    return error


@pytest.mark.parametrize(
    "error",
    [
        InvalidClientError("wrong secret"),
        InvalidTokenResponse("HTML"),
        TokenRequestError("invalid_scope", retry_after=1.0),
        ConfigurationError("no secret"),
        OSError("a bug"),
        pytest.param(unavailable(retryable=False), id="an untrusted certificate"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_trying_again_cannot_help_is_final(error: Exception) -> None:
    assert retry_delay(error, back_off=0.1, remaining=30.0) is False


@pytest.mark.parametrize(
    ("retry_after", "back_off", "remaining", "wait"),
    [
        pytest.param(None, 0.1, 30.0, True, id="after the back-off"),
        pytest.param(None, 0.1, 0.31, True, id="the back-off and its jitter just fit"),
        pytest.param(None, 0.1, 0.29, False, id="the back-off does not fit, with its jitter"),
        pytest.param(None, 0.1, 0.0, False, id="no time left"),
        pytest.param(5.0, 0.1, 30.0, 5.0, id="as the endpoint wants it"),
        pytest.param(5.0, 0.1, 5.1, 5.0, id="what the endpoint wants just fits"),
        pytest.param(5.0, 0.1, 5.0, False, id="what the endpoint wants leaves no time to ask"),
        pytest.param(120.0, 0.1, 30.0, False, id="what the endpoint wants is beyond the budget"),
        pytest.param(1.0, 5.0, 30.0, 5.2, id="the back-off is longer than the endpoint wants"),
        pytest.param(0.0, 0.5, 30.0, 0.7, id="at once, says the endpoint"),
    ],
)
def test_a_transient_failure_is_tried_again_within_the_budget(
    retry_after: float | None, back_off: float, remaining: float, wait: float | bool
) -> None:
    outcome = retry_delay(unavailable(retry_after), back_off, remaining)
    assert type(outcome) is type(wait)
    assert outcome == pytest.approx(wait)


@pytest.mark.parametrize("remaining", [0.0, 1.0, 30.0])
def test_at_a_stores_lock_enough_time_is_left_to_ask_oneself(remaining: float) -> None:
    shortest, longest = store_lock_timeout(remaining, 0.0), store_lock_timeout(remaining, 1.0)
    assert 0.25 * remaining <= shortest <= longest <= 0.75 * remaining
    if remaining:
        assert shortest < longest, "not all lose patience at the same time"


@pytest.mark.parametrize(
    ("error", "rotating", "waited_for", "wait"),
    [
        pytest.param(InvalidClientError("no"), True, True, 1.0, id="another secret may come"),
        pytest.param(InvalidClientError("no"), True, False, 0.0, id="nobody waited for it"),
        pytest.param(
            InvalidClientError("no", retry_after=90.0), True, True, 1.0, id="asked of the old one"
        ),
        pytest.param(InvalidClientError("no"), False, True, 8.0, id="it is the only secret"),
        pytest.param(InvalidClientError("no"), None, True, 8.0, id="as it is by default"),
        pytest.param(unavailable(), True, True, 8.0, id="no secret helps"),
    ],
)
def test_the_fourth_failure_in_a_row_is_shared_for_a_time(
    error: TokenRequestError, rotating: bool | None, waited_for: bool, wait: float
) -> None:
    state, more = State(), {} if rotating is None else {"rotating": rotating}
    for _ in range(4):
        state = state.failed(error, 100.0, jitter=0.0, waited_for=waited_for, **more)
    assert state.retry_at == 100.0 + wait
