"""One token request, and the errors of a renewal."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress

from mediahound_auth._core import runtime
from mediahound_auth._core.grant import Grant, TokenRequest, TokenResponse
from mediahound_auth._core.response import sanitized
from mediahound_auth.errors import (
    ConfigurationError,
    MediaHoundAuthError,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth.token import Token

__all__ = [
    "Sender",
    "after_attempts",
    "needed_for_itself",
    "no_thread_error",
    "request_token",
    "timeout_error",
    "unexpected_error",
]

# Sends a token request unchanged, within a time limit in seconds, and returns the response. It
# follows no redirect, and raises TokenEndpointUnavailable without a response.
Sender = Callable[[TokenRequest, float], TokenResponse]


def request_token(
    grant: Grant, send: Sender, timeout: float, known: Iterable[Token | None]
) -> Token:
    """Send one token request, and return the token, within `timeout` seconds.

    Errors quote neither the secret nor the access tokens of `known`.

    Raises:
        TokenRequestError: The request failed.
        ConfigurationError: A compliance hook has made a change that is not allowed.
    """
    sent_at = runtime.now()
    try:
        response = send(grant.request(), timeout)
        tokens = [token.access_token for token in known if token]
        return grant.token(response, sent_at=sent_at, known=tokens)
    except (ConfigurationError, TokenRequestError):
        raise
    except Exception as error:
        raise unexpected_error(grant, error)  # noqa: B904  # it has its own cause


def unexpected_error(grant: Grant, error: BaseException) -> TokenRequestError:
    """Return the error to raise for any other `error`, for example of a user's transport.

    Its cause is a copy of `error`, and a note has the traceback as text, because the frames of
    `error` hold the request. If this text shows the secret, both are left out.
    """
    message = f"the token request to {grant.endpoint} failed: {type(error).__name__}"
    text = "".join(traceback.format_exception(error))
    safe = not grant.shows_private(f"{error!r} {text}")
    words = sanitized(str(error), ()) if safe else None
    wrapped = TokenRequestError(f"{message}: {words}" if words else message)
    if safe:
        wrapped.add_note(text)
        if not isinstance(error, BaseExceptionGroup):  # its errors have frames
            with suppress(Exception):  # some errors cannot be copied
                wrapped.__cause__ = copy.copy(error)
    return wrapped


def timeout_error(
    grant: Grant, timeout: float, attempts: int, last_error: MediaHoundAuthError | None
) -> TokenEndpointUnavailable:
    """Return the error for the end of the time limit; `last_error` is the last failure."""
    if last_error is None:
        return TokenEndpointUnavailable(
            f"no response from the token endpoint {grant.endpoint} within {timeout:g} s. If the "
            "endpoint is slow, pass a longer timeout="
        )
    tried = f"{attempts} attempt{'s' if attempts > 1 else ''} in {timeout:g} s"
    error = TokenEndpointUnavailable(f"no access token after {tried}: {last_error}")
    error.__cause__ = last_error.__cause__
    return error


def needed_for_itself(grant: Grant) -> TokenRequestError:
    """Return the error for a call that would deadlock: the renewal of its token waits for it."""
    return TokenRequestError(
        f"no access token from {grant.endpoint}: it was needed while it was being requested. A "
        "client_secret callable, a store, a transport or a log handler has made a call with this "
        "auth object; make that call without it"
    )


def no_thread_error(grant: Grant) -> TokenEndpointUnavailable:
    """Return the error for a task whose token request cannot have a thread."""
    return TokenEndpointUnavailable(
        f"no token request was sent to {grant.endpoint}: no thread could be started for it. Raise "
        "the limit for threads or processes, or, where Python has no threads, call token() before "
        "the event loop runs"
    )


def after_attempts(error: TokenRequestError, attempts: int, seconds: float) -> TokenRequestError:
    """Return `error`, with the number of attempts in its message if there were several."""
    if attempts > 1:
        error.args = (f"{error} ({attempts} attempts in {seconds:.1f} s)",)
    return error
