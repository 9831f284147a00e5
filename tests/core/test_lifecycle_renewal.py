"""The rules of one renewal: which failures are retried, and how long callers wait."""

from __future__ import annotations

from typing import Any

import pytest

from mediahound_auth import (
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
        pytest.param(unavailable(retryable=False), id="an untrusted certificate"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_permanent_error_is_not_retried(error: TokenRequestError) -> None:
    assert retry_delay(error, attempts=1, remaining=30.0, jitter=0.0) is None


@pytest.mark.parametrize(
    ("retry_after", "attempts", "remaining", "jitter", "delay"),
    [
        pytest.param(None, 1, 30.0, 0.0, 0.1, id="after the first back-off"),
        pytest.param(None, 1, 30.0, 1.0, 0.3, id="with jitter"),
        pytest.param(None, 4, 30.0, 0.0, 0.8, id="the back-off doubles"),
        pytest.param(None, 7, 30.0, 0.5, 5.1, id="up to its maximum"),
        pytest.param(None, 10_000, 30.0, 0.0, 5.0, id="however many there were"),
        pytest.param(None, 1, 0.31, 0.0, 0.1, id="the back-off and its jitter just fit"),
        pytest.param(None, 1, 0.29, 0.0, None, id="the back-off does not fit, with its jitter"),
        pytest.param(None, 1, 0.0, 0.0, None, id="no time left"),
        pytest.param(5.0, 1, 30.0, 1.0, 5.0, id="Retry-After"),
        pytest.param(5.0, 1, 5.1, 0.0, 5.0, id="Retry-After just fits"),
        pytest.param(5.0, 1, 5.0, 0.0, None, id="Retry-After leaves no time for a request"),
        pytest.param(120.0, 1, 30.0, 0.0, None, id="Retry-After is beyond the time limit"),
        pytest.param(1.0, 7, 30.0, 1.0, 5.2, id="the back-off is longer than Retry-After"),
        pytest.param(0.0, 3, 30.0, 0.0, 0.4, id="Retry-After: 0"),
    ],
)
def test_a_transient_failure_is_retried_within_the_time_limit(
    retry_after: float | None, attempts: int, remaining: float, jitter: float, delay: float | None
) -> None:
    outcome = retry_delay(unavailable(retry_after), attempts, remaining, jitter)
    assert outcome == (None if delay is None else pytest.approx(delay))


@pytest.mark.parametrize("remaining", [0.0, 1.0, 30.0])
def test_waiting_for_a_stores_lock_leaves_time_for_a_token_request(remaining: float) -> None:
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
        pytest.param(unavailable(), False, True, 8.0, id="no secret helps"),
    ],
)
def test_the_fourth_failure_in_a_row_is_shared_for_a_time(
    error: TokenRequestError, rotating: bool, waited_for: bool, wait: float
) -> None:
    more: dict[str, Any] = {"rejected_secret": "its key"} if rotating else {}
    state = State()
    for _ in range(4):
        state = state.on_failure(error, 100.0, jitter=0.0, waited_for=waited_for, **more)
    assert state.retry_at == 100.0 + wait
