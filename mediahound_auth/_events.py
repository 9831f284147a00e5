"""Log records with stable names and fields, and OpenTelemetry metrics.

docs/guides/logging.md lists both. A call with a valid token logs and counts nothing.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from os import PathLike
from typing import TYPE_CHECKING, Any

from mediahound_auth._core import runtime
from mediahound_auth._core.origins import Origin, origin_of
from mediahound_auth.errors import (
    ConfigurationError,
    InvalidClientError,
    InvalidTokenResponse,
    MediaHoundAuthError,
    TokenEndpointUnavailable,
)
from mediahound_auth.token import Token
from mediahound_auth.version import __version__

if TYPE_CHECKING:
    from mediahound_auth._core.grant import Grant
    from mediahound_auth._core.renewal import Renewal

__all__ = [
    "log",
    "new_tokens_rejected",
    "renewal_failed",
    "renewed",
    "request_retried",
    "store_failed",
    "store_locking_unavailable",
    "store_permissions_fixed",
    "store_recovered",
    "token_requested",
    "token_withheld",
]

log: logging.Logger = logging.getLogger("mediahound_auth")
# Without it, Python prints warnings if the application has not set up logging.
log.addHandler(logging.NullHandler())

# Each record has all of these, so that a format may name any of them. None: does not apply.
FIELDS = (
    *("event", "outcome", "client_id", "server", "expires_in", "attempt", "duration"),
    *("background", "operation", "origin"),
)

OUTCOMES: Mapping[type[MediaHoundAuthError], str] = {
    ConfigurationError: "configuration",
    InvalidClientError: "invalid_client",
    InvalidTokenResponse: "invalid_response",
    TokenEndpointUnavailable: "unavailable",
}

# Without this import, the application has no meter provider, and nothing is counted.
METRICS_API = "opentelemetry.metrics"
# Units and descriptions.
METRICS: Mapping[str, tuple[str, str]] = {
    "token_requests": ("{request}", "Requests to the token endpoint, each attempt of a renewal"),
    "token_request.duration": ("s", "Duration of requests to the token endpoint"),
    "renewals": ("{renewal}", "Renewals of the access token, in the background or waited for"),
    "retries": ("{request}", "Requests that got a 401 and were retried with another token"),
    "store_failures": ("{failure}", "Failed operations of a token store"),
}
# Seconds, as OpenTelemetry's conventions advise for HTTP requests. The default begins at 5.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def token_requested(
    grant: Grant, attempt: int, result: Token | MediaHoundAuthError, duration: float
) -> None:
    """Record that a token request ended, after `duration` seconds."""
    outcome = _outcome(result)
    fields: dict[str, object] = {"attempt": attempt, "duration": duration}
    if isinstance(result, Token):
        fields["expires_in"] = round(result.expires_at - result.requested_at)
    if METRICS_API in sys.modules:
        _measure("token_requests", 1, grant, outcome=outcome)
        _measure("token_request.duration", duration, grant, outcome=outcome)
    said = ("token request %d to %s: %s", attempt, grant.host, outcome)
    _log(logging.DEBUG, "token_request", outcome, *said, grant=grant, **fields)


def renewed(grant: Grant, renewal: Renewal, token: Token) -> None:
    """Record that a renewal requested `token`, or found it in the store."""
    expires_in = token.expires_at - runtime.now()
    outcome, source = _outcome(token), "the token endpoint"
    if not renewal.attempts:
        outcome, source = "from_store", "the store"
    said = ("access token from %s; it expires in %.0f s", source, expires_in)
    _renewal_ended(logging.INFO, grant, renewal, outcome, *said, expires_in=round(expires_in))


def renewal_failed(
    grant: Grant, renewal: Renewal, error: MediaHoundAuthError, current: Token | None
) -> None:
    """Record that a renewal failed; `current` is the token in use."""
    expires_in = current.expires_at - runtime.now() if current else 0.0
    said: tuple[object, ...] = ("could not get an access token: %s", error)
    if expires_in > 0 and not renewal.waited_for:
        message = (
            "could not renew the access token in the background; "
            "the current token stays in use for %.0f s: %s"
        )
        said = (message, expires_in, error)
    _renewal_ended(logging.WARNING, grant, renewal, _outcome(error), *said)


def _renewal_ended(
    level: int, grant: Grant, renewal: Renewal, outcome: str, *said: object, **fields: object
) -> None:
    background, duration = not renewal.waited_for, runtime.monotonic() - renewal.started
    if METRICS_API in sys.modules:
        _measure("renewals", 1, grant, outcome=outcome, background=background)
    fields |= {"attempt": renewal.attempts, "duration": duration, "background": background}
    _log(level, "renewal", outcome, *said, grant=grant, **fields)


def request_retried(grant: Grant, status: int) -> None:
    """Record that a request was retried after a 401, and the HTTP status of the retry."""
    outcome = "rejected" if status == 401 else "server_error" if status >= 500 else "accepted"
    if METRICS_API in sys.modules:
        _measure("retries", 1, grant, outcome=outcome)
    message = (
        "a request was rejected (401) and retried with another token; the retry returned HTTP %d"
    )
    _log(logging.INFO, "retry", outcome, message, status, grant=grant)


def new_tokens_rejected(grant: Grant) -> None:
    """Record that an API rejected a token that was requested after a 401."""
    message = (
        "the API rejects new access tokens too (401); a 401 now causes a renewal less often. "
        "Check the permissions and the scope of the client"
    )
    _log(logging.WARNING, "retry", "rejected", message, grant=grant)


def token_withheld(grant: Grant, origin: Origin) -> None:
    """Record that a request went to an origin that is not allowed."""
    message = (
        "not sending the access token to %s, which is not an allowed origin; "
        "to allow it, pass origins=[%r]"
    )
    name = str(origin)
    _log(logging.WARNING, "origin", "not_allowed", message, name, name, grant=grant, origin=name)


def store_failed(
    grant: Grant, store: object, operation: str, error: BaseException, *, again: bool
) -> None:
    """Record that a store failed. `again`: in the same outage, so it is counted, not logged."""
    if METRICS_API in sys.modules:
        _measure("store_failures", 1, grant, operation=operation)
    if not again:
        message = "%s failed to %s (%s%s); continuing without it until the next renewal"
        # The text of other errors may contain a token.
        reason = error if isinstance(error, OSError) else error.__cause__
        text = f": {reason}" if isinstance(reason, OSError) else ""
        said = (message, _named(store), operation, type(error).__name__, text)
        _log(logging.WARNING, "store", "failed", *said, grant=grant, operation=operation)


def store_recovered(grant: Grant, store: object) -> None:
    """Record that a store works again."""
    _log(logging.INFO, "store", "recovered", "%s works again", _named(store), grant=grant)


def store_permissions_fixed(path: PathLike[str], mode: int) -> None:
    """Record that a file or folder was accessible to other users."""
    message = "%s was accessible to other users (mode %03o); permissions tightened to the owner"
    _log(logging.WARNING, "store", "permissions_fixed", message, path, mode)


def store_locking_unavailable(path: PathLike[str], error: OSError) -> None:
    """Record that the file system of a file store has no locks."""
    message = (
        "%s cannot be locked (%s): processes that share it may renew the token at the same time"
    )
    _log(logging.WARNING, "store", "no_locking", message, path, error.strerror)


def _named(store: object) -> str:
    """Return the name of a store in messages. The repr of a user's store may show a password."""
    ours = type(store).__module__.startswith("mediahound_auth.")
    return repr(store) if ours else f"the token store {type(store).__name__}"


def _outcome(result: Token | MediaHoundAuthError) -> str:
    """Return the outcome of a token request, one of a fixed set of words."""
    if isinstance(result, Token):
        return "same_token" if result.returned_again else "issued"
    return OUTCOMES.get(type(result), "error")


def _log(
    level: int,
    event: str,
    outcome: str,
    *said: object,
    grant: Grant | None = None,
    **fields: object,
) -> None:
    if not log.isEnabledFor(level):
        return
    if grant:
        fields |= {"client_id": grant.client_id, "server": grant.host}
    extra = {**dict.fromkeys(FIELDS), "event": event, "outcome": outcome, **fields}
    message, *arguments = said
    with suppress(Exception):  # a log handler that raises must not break a renewal
        log.log(level, message, *arguments, extra=extra)


def _measure(name: str, value: float, grant: Grant, **attributes: str | int) -> None:
    with suppress(Exception):
        # The names of OpenTelemetry's conventions.
        _, host, port = origin_of(grant.token_url)
        attributes |= {"client_id": grant.client_id, "server.address": host, "server.port": port}
        _recorder(name)(value, attributes)


@cache
def _recorder(name: str) -> Callable[[float, dict[str, str | int]], None]:
    from opentelemetry.metrics import get_meter

    meter, full = get_meter("mediahound_auth", __version__), f"mediahound_auth.{name}"
    if name.endswith("duration"):
        options: Any = {"explicit_bucket_boundaries_advisory": BUCKETS}
        return meter.create_histogram(full, *METRICS[name], **options).record
    return meter.create_counter(full, *METRICS[name]).add
