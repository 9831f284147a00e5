"""What can be watched: log records with stable names and fields, and OpenTelemetry metrics.

docs/guides/watching.md has both in one table. A call with a live token comes nowhere near this: it
logs nothing and counts nothing.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING

from mediahound_auth._core import runtime
from mediahound_auth._core.origins import origin_of
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
    from opentelemetry.metrics import Counter, Histogram

    from mediahound_auth._core.grant import Grant
    from mediahound_auth._core.origins import Origin
    from mediahound_auth._core.renewal import Renewal

__all__ = [
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
# An application that has not set up logging sees exceptions, not our warnings before them.
log.addHandler(logging.NullHandler())

# Each record has all of these, so that a format may name any of them; None is: does not apply.
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

# Units and descriptions.
METRICS: Mapping[str, tuple[str, str]] = {
    "token_requests": ("{request}", "Requests to the token endpoint, each attempt of a renewal"),
    "token_request.duration": ("s", "How long they took"),
    "renewals": ("{renewal}", "Renewals of the access token, in the background or waited for"),
    "retries": ("{request}", "Requests that got a 401 and were retried with another token"),
    "store_failures": ("{failure}", "Operations that a token store did not do"),
}
# Seconds: what OpenTelemetry's conventions advise for HTTP requests. Its own begin at 5.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def token_requested(
    grant: Grant, attempt: int, result: Token | MediaHoundAuthError, duration: float
) -> None:
    """The token endpoint was asked once, which took `duration` seconds."""
    outcome, expires_in = _outcome(result), None
    if isinstance(result, Token):
        expires_in = round(result.expires_at - result.requested_at)
    message = "token request %d to %s: %s"
    arguments = (attempt, grant.host, outcome)
    fields = {"expires_in": expires_in, "attempt": attempt, "duration": duration}
    _count("token_requests", grant, outcome=outcome)
    _record("token_request.duration", duration, grant, outcome=outcome)
    _log(logging.DEBUG, message, arguments, "token_request", outcome, grant, fields)


def renewed(grant: Grant, renewal: Renewal, token: Token, *, found: bool = False) -> None:
    """A renewal has brought `token`, or `found` it in the store."""
    expires_in = token.expires_at - runtime.now()
    outcome = "from_store" if found else _outcome(token)
    message = "token from %s, good for %.0f s"
    arguments = ("the store" if found else "the token endpoint", expires_in)
    fields = {"expires_in": round(expires_in), **_of(renewal)}
    _count("renewals", grant, outcome=outcome, background=not renewal.waited_for)
    _log(logging.INFO, message, arguments, "renewal", outcome, grant, fields)


def renewal_failed(grant: Grant, renewal: Renewal, error: MediaHoundAuthError) -> None:
    """A renewal has brought nothing."""
    outcome = _outcome(error)
    _count("renewals", grant, outcome=outcome, background=not renewal.waited_for)
    _log(logging.WARNING, "no token: %s", (error,), "renewal", outcome, grant, _of(renewal))


def request_retried(grant: Grant, status: int) -> None:
    """A request that got a 401 was sent again with another token, and got this HTTP status."""
    outcome = "rejected" if status == 401 else "server_error" if status >= 500 else "accepted"
    message = "retried a request with another token: HTTP %d"
    _count("retries", grant, outcome=outcome)
    _log(logging.INFO, message, (status,), "retry", outcome, grant)


def token_withheld(grant: Grant, origin: Origin) -> None:
    """A request went to an origin that gets no token."""
    message = (
        "no token is sent to %s: it is not the token endpoint's origin. If it is meant to get one, "
        "pass origins=[%r]"
    )
    name = str(origin)
    fields = {"origin": name}
    _log(logging.WARNING, message, (name, name), "origin", "not_allowed", grant, fields)


def store_failed(grant: Grant, operation: str, error: BaseException, *, again: bool) -> None:
    """A store has failed. All failures are counted; `again` in the same outage, none is logged."""
    _count("store_failures", grant, operation=operation)
    if again:
        return
    message = (
        "the token store cannot %s (%s%s): going on from memory, trying it again at the next "
        "renewal"
    )
    text = f": {error}" if isinstance(error, OSError) else ""
    arguments = (operation, type(error).__name__, text)
    fields = {"operation": operation}
    _log(logging.WARNING, message, arguments, "store", "failed", grant, fields)


def store_recovered(grant: Grant) -> None:
    """The outage of a store is over."""
    _log(logging.INFO, "the token store works again", (), "store", "recovered", grant)


def store_permissions_fixed(path: PathLike[str], mode: int) -> None:
    """A file or folder of a file store was accessible to other users."""
    message = "%s was accessible to other users (mode %03o); permissions tightened to the owner"
    _log(logging.WARNING, message, (path, mode), "store", "permissions_fixed")


def store_locking_unavailable(path: PathLike[str], error: OSError) -> None:
    """A file store stands on a file system that has no locks."""
    message = (
        "%s cannot be locked (%s): processes that share it may renew the token at the same time"
    )
    _log(logging.WARNING, message, (path, error.strerror), "store", "no_locking")


def _outcome(result: Token | MediaHoundAuthError) -> str:
    """What asking for a token came to: one of a few words, whatever the endpoint says."""
    if isinstance(result, Token):
        return "same_token" if result.returned_again else "issued"
    return OUTCOMES.get(type(result), "error")


def _of(renewal: Renewal) -> dict[str, object]:
    return {
        "attempt": renewal.attempts,
        "duration": runtime.monotonic() - renewal.started,
        "background": not renewal.waited_for,
    }


def _log(
    level: int,
    message: str,
    arguments: tuple[object, ...],
    event: str,
    outcome: str,
    grant: Grant | None = None,
    fields: Mapping[str, object] = MappingProxyType({}),
) -> None:
    extra: dict[str, object] = dict.fromkeys(FIELDS) | {"event": event, "outcome": outcome}
    if grant:
        extra |= {"client_id": grant.client_id, "server": grant.host}
    with suppress(Exception):  # what watches must not break what it watches
        log.log(level, message, *arguments, extra={**extra, **fields})


def _count(counter: str, grant: Grant, **attributes: str | int) -> None:
    # Who has not imported this has set no meter provider either: nobody counts.
    if "opentelemetry.metrics" in sys.modules:
        with suppress(Exception):
            _counter(counter).add(1, _attributes(grant) | attributes)


def _record(histogram: str, value: float, grant: Grant, **attributes: str | int) -> None:
    if "opentelemetry.metrics" in sys.modules:
        with suppress(Exception):
            _histogram(histogram).record(value, _attributes(grant) | attributes)


def _attributes(grant: Grant) -> dict[str, str | int]:
    # OpenTelemetry's own names for the two parts of an address.
    server = origin_of(grant.token_url)
    return {
        "client_id": grant.client_id,
        "server.address": server.host,
        "server.port": server.port,
    }


@cache
def _counter(name: str) -> Counter:
    from opentelemetry.metrics import get_meter

    meter = get_meter("mediahound_auth", __version__)
    return meter.create_counter(f"mediahound_auth.{name}", *METRICS[name])


@cache
def _histogram(name: str) -> Histogram:
    from opentelemetry.metrics import get_meter

    meter = get_meter("mediahound_auth", __version__)
    return meter.create_histogram(
        f"mediahound_auth.{name}", *METRICS[name], explicit_bucket_boundaries_advisory=BUCKETS
    )
