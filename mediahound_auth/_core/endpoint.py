"""Asking the token endpoint, again and again if it has no time, until the budget is used up."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from types import TracebackType

from mediahound_auth import _events as events
from mediahound_auth._core.grant import Grant, Secret, TokenRequest, TokenResponse
from mediahound_auth._core.lifecycle import (
    FIRST_RETRY_DELAY,
    MAX_RETRY_DELAY,
    RETRY_JITTER,
    State,
    retry_delay,
)
from mediahound_auth._core.renewal import Renewal
from mediahound_auth.errors import ConfigurationError, TokenEndpointUnavailable, TokenRequestError
from mediahound_auth.token import Token

__all__ = ["Sender", "ask", "timeout_error", "unexpected_error"]

# Sends a request to the token endpoint as it is, within so many seconds, and returns the answer.
# It follows no redirect and raises TokenEndpointUnavailable where there is no answer.
Sender = Callable[[TokenRequest, float], TokenResponse]


def ask(grant: Grant, send: Sender, flight: Renewal, secret: Secret, state: State) -> Token:
    """A token from the endpoint, within the time that `flight` has left.

    `state` is what is known: the token in use is recognised, and no error may quote it.

    Raises:
        TokenRequestError: there is none to be had.
        ConfigurationError: a hook of the user's own has made something else of the request.
    """
    import stamina

    def on(error: Exception) -> bool | float:
        if not isinstance(error, TokenRequestError):
            return False  # a hook of the user's own, or Ctrl-C where the caller does the work
        flight.trouble = error
        return retry_delay(error, attempt.next_wait, flight.remaining)

    attempts = iter(
        stamina.retry_context(
            on=on,
            attempts=None,
            timeout=None,
            wait_initial=FIRST_RETRY_DELAY,
            wait_max=MAX_RETRY_DELAY,
            wait_jitter=RETRY_JITTER,
        )
    )
    while True:  # the last attempt raises
        attempt = next(attempts)
        with attempt:
            return _ask_once(grant, send, flight, secret, state)


def _ask_once(grant: Grant, send: Sender, flight: Renewal, secret: Secret, state: State) -> Token:
    remaining = flight.remaining
    if not remaining:  # its thread began late, or a store has taken it all
        raise timeout_error(grant, flight, flight.budget)
    flight.attempts += 1
    known = [state.token.access_token] if state.token else []
    sent_at, started = time.time(), time.monotonic()
    result: Token | TokenRequestError
    try:
        response = send(grant.request(secret), remaining)
        token = grant.token(response, sent_at=sent_at, secret=secret, known=known)
        result = state.marked_if_returned_again(token)
    except ConfigurationError:
        raise  # a hook of the user's own; nothing was sent
    except TokenRequestError as error:
        result = error
    except Exception as error:
        result = unexpected_error(grant, error, secret)
    events.token_requested(grant, flight.attempts, result, time.monotonic() - started)
    if isinstance(result, Token):
        return result
    raise result


def unexpected_error(
    grant: Grant, error: BaseException, secret: Secret | None = None
) -> TokenRequestError:
    """What to raise for an `error` that nobody has foreseen, as a transport of the user's own may.

    It is the cause, unless `secret` shows in its text, or in that of an error behind it.
    """
    wrapped = TokenRequestError(f"the token request to {grant.host} failed: {type(error).__name__}")
    text = f"{error!r} {''.join(traceback.format_exception(error))}"
    if secret is None or not grant.private(secret, []).search(text):
        wrapped.__cause__ = error.with_traceback(_beyond_us(error.__traceback__))
    return wrapped


def _beyond_us(trace: TracebackType | None) -> TracebackType | None:
    """What lies beyond the last of this package's frames, which hold the secret."""
    beyond = trace
    while trace:
        ours = _is_ours(trace.tb_frame.f_globals.get("__package__"))
        trace = trace.tb_next
        if ours:
            beyond = trace
    return beyond


def _is_ours(package: object) -> bool:
    """Whether a frame of this package has that `__package__`: ours are in several folders."""
    return isinstance(package, str) and package.partition(".")[0] == __package__.partition(".")[0]


def timeout_error(grant: Grant, flight: Renewal, budget: float) -> TokenEndpointUnavailable:
    """What to say when the budget of `flight`, in seconds, ran out before it landed."""
    if flight.trouble is None:
        return TokenEndpointUnavailable(f"no answer from {grant.host} within {budget:g} s")
    error = TokenEndpointUnavailable(f"no token within {budget:g} s: {flight.trouble}")
    error.__cause__ = flight.trouble.__cause__
    return error
