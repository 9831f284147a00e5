"""Asking the token endpoint, again and again if it has no time, until the budget is used up."""

from __future__ import annotations

import time
from collections.abc import Callable

from mediahound_auth.errors import TokenEndpointUnavailable
from mediahound_auth.flight import Flight
from mediahound_auth.grant import Grant, TokenRequest, TokenResponse
from mediahound_auth.token import Token

__all__ = ["Sender", "ask", "out_of_time"]

# Sends a request to the token endpoint as it is, within so many seconds, and returns the answer.
# It follows no redirect and raises TokenEndpointUnavailable where there is no answer.
Sender = Callable[[TokenRequest, float], TokenResponse]

# Seconds of back-off between attempts: doubling from the first to the longest, plus jitter.
FIRST_BACK_OFF, LONGEST_BACK_OFF, JITTER = 0.1, 5.0, 0.2


def ask(grant: Grant, send: Sender, flight: Flight, secret: str, known: Token | None) -> Token:
    """A token from the endpoint, within the time that `flight` has left.

    `known` is the token in use: no error may quote it.

    Raises:
        TokenRequestError: there is none to be had.
    """
    import stamina

    def worth_another(error: Exception) -> bool | float:
        if not isinstance(error, TokenEndpointUnavailable) or not error.transient:
            return False
        flight.trouble = error
        wait = attempt.next_wait + JITTER
        if error.retry_after is None:
            return wait < flight.remaining
        wait = max(wait, error.retry_after)
        return wait if wait < flight.remaining else False

    for attempt in stamina.retry_context(
        on=worth_another,
        attempts=None,
        timeout=None,
        wait_initial=FIRST_BACK_OFF,
        wait_max=LONGEST_BACK_OFF,
        wait_jitter=JITTER,
    ):
        with attempt:
            sent_at = time.time()
            return grant.token(
                send(grant.request(secret), flight.remaining),
                sent_at=sent_at,
                secret=secret,
                known=[known.access_token] if known else [],
            )
    raise AssertionError("stamina returns or raises")  # pragma: no cover


def out_of_time(grant: Grant, flight: Flight, budget: float) -> TokenEndpointUnavailable:
    """What to say when the budget of `flight`, in seconds, ran out before it landed."""
    if flight.trouble is None:
        return TokenEndpointUnavailable(f"no answer from {grant.host} within {budget:g} s")
    error = TokenEndpointUnavailable(f"no token within {budget:g} s: {flight.trouble}")
    error.__cause__ = flight.trouble.__cause__
    return error
