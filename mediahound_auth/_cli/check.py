"""`mediahound-auth check`: request a token step by step, and say how to fix what fails."""

from __future__ import annotations

import requests

from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._adapters.requests_transport import bounded_adapter
from mediahound_auth._adapters.token_transport import ResponseBounds, response_error
from mediahound_auth._cli.options import with_cli_option_names
from mediahound_auth._cli.stderr import printable
from mediahound_auth.errors import MediaHoundAuthError, TokenEndpointUnavailable, TokenRequestError
from mediahound_auth.requests import MediaHoundAuth

__all__ = ["check"]

# Seconds. A shorter lifetime causes many token requests.
SHORT_LIFETIME = 300.0


def check(auth: MediaHoundAuth) -> int:
    """Print a line for each step, up to the first that fails; return the exit code."""
    settings = source_of(auth).settings
    grant = settings.grant
    _say(True, "configuration", f"client {grant.client_id!r} at {grant.endpoint}")
    try:
        status = _reach(grant.token_url, settings.timeout)
    except TokenRequestError as error:
        _say(False, "reachability", with_cli_option_names(str(error)))
        return 3
    doubt = ". Is --token-url the token endpoint?" if status < 400 or status == 404 else ""
    _say(True, "reachability", f"connected: GET without credentials returned HTTP {status}{doubt}")
    try:
        token = auth.renew()
    except MediaHoundAuthError as error:
        _say(False, "grant", with_cli_option_names(str(error)))
        return 3 if isinstance(error, TokenEndpointUnavailable) else 1
    _say(True, "grant", f"{grant.host} issued an access token (--client-auth {grant.client_auth})")
    life = token.expires_at - token.requested_at
    rest = (
        ""
        if life > SHORT_LIFETIME
        else ": probably the remaining lifetime of a token that was issued before"
    )
    _say(True, "lifetime", f"{life:.0f} s{_in_words(life)}{rest}")
    refused = set(grant.scope.split()) - set((token.scope or "").split())
    granted = f"granted: {token.scope or '(not stated in the response)'}"
    if refused:
        granted += (
            f"; not granted: {' '.join(sorted(refused))}. "
            "Ask the provider to allow it for this client"
        )
    _say(not refused, "scope", granted)
    return 1 if refused else 0


def _reach(url: str, timeout: float) -> int:
    """Return the HTTP status of a request without credentials."""
    bounds = ResponseBounds(timeout)
    request = requests.Request("GET", url).prepare()  # without a session, which would use .netrc
    try:
        with requests.Session() as session:
            options = session.merge_environment_settings(url, {}, True, None, None)
            with (
                bounded_adapter(session.get_adapter(url), bounds) as adapter,
                adapter.send(request, timeout=timeout, **options) as answer,
            ):
                return answer.status_code
    except OSError as error:  # the base class of requests' errors
        raise response_error(url, error, bounds)  # noqa: B904  # it has its own cause


def _in_words(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f" ({seconds / size:.0f} {unit})"
    return ""


def _say(right: bool, step: str, what: str) -> None:
    print(f"{'ok  ' if right else 'FAIL'}  {step:<15}{printable(what)}", flush=True)
