"""BearerAuth: what the auth objects of all HTTP libraries have in common."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self, Unpack

from mediahound_auth._core.grant import TokenRequest, TokenResponse
from mediahound_auth._core.masked import masked
from mediahound_auth._core.renewal import Outcome, run_steps
from mediahound_auth._core.settings import Options, Settings
from mediahound_auth._core.source import TokenSource
from mediahound_auth.errors import ConfigurationError, ErrorTypes, copy_error
from mediahound_auth.token import Token

__all__ = ["REDACTED", "BearerAuth", "source_of", "wrong_library"]

# The Authorization header of requests in `response.history`, which caches and logs keep.
REDACTED = "Bearer ***"


def source_of(auth: BearerAuth) -> TokenSource:
    """The token source of `auth`: for this package and its tests, which need more than users."""
    return auth._source


def wrong_library(auth: BearerAuth, request: object) -> TypeError:
    """What to raise where `auth` was given to another HTTP library, as `request` shows."""
    library, ours = (type(thing).__module__.partition(".") for thing in (request, auth))
    error = f"{ours[0]}.{ours[2]}.{type(auth).__name__} is not for {library[0]}"
    if library[0] in ("requests", "httpx", "httpx2"):
        error += f"; import it from {ours[0]}.{library[0]}"
    return TypeError(error)


class BearerAuth:
    """One client's token, and the settings it came from.

    A pickle or a copy holds the settings, the client secret among them, and never a token; it
    comes back working, and in the same process it shares the token with the original.

    The core returns what goes wrong. Here it becomes an error of the HTTP library.
    """

    # The errors of this adapter, each also its HTTP library's own base error.
    _error_types: ClassVar[ErrorTypes] = {}
    # Where those keep the request that was to be sent.
    _request_attribute: ClassVar[str] = "request"

    def __init__(self, transport: object, **options: Unpack[Options]) -> None:
        try:
            settings = Settings.from_options(**options)
        except ConfigurationError as error:
            raise copy_error(error, self._error_types) from None
        self._transport = transport
        self._start(settings)

    def _start(self, settings: Settings) -> None:
        self._source = TokenSource(settings, self._send)
        self._shared = self._source.shared  # here too: a call with a usable token needs only this

    def token(self) -> Token:
        """Return a valid token, fetching one if necessary. Blocks for at most `timeout` seconds.

        Raises:
            MediaHoundAuthError: there is none to be had; also the HTTP library's base error.
        """
        return self._token_of(run_steps(self._source.get_token()))

    def renew(self) -> Token:
        """Request a token from the endpoint now, and return it: perhaps the same token once more.

        Blocks for at most `timeout` seconds.

        Raises:
            MediaHoundAuthError: the request failed; the token at hand stays in use.
        """
        return self._token_of(run_steps(self._source.renew()))

    def forget(self) -> None:
        """Forget the token, here and in the store. The next call requests another one.

        Blocks for as long as the store takes, for two seconds at most if that does not respond.

        Raises:
            ConfigurationError: the client_secret callable failed; also the HTTP library's base
                error.
        """
        if error := self._source.forget():
            raise copy_error(error, self._error_types)

    def _token_of(self, outcome: Outcome, request: object = None) -> Token:
        """The token that the core has returned; `request` is the one that it was needed for."""
        if isinstance(outcome, Token):
            return outcome
        error = copy_error(outcome, self._error_types)
        if request is not None:
            vars(error)[self._request_attribute] = request
        raise error

    def _send(self, request: TokenRequest, timeout: float) -> TokenResponse:
        raise NotImplementedError

    def __repr__(self) -> str:
        if not hasattr(self, "_source"):
            return object.__repr__(self)  # in a traceback through a constructor that failed
        grant = self._source.settings.grant
        name = f"{type(self).__module__}.{type(self).__name__}"
        return f"<{name} client_id={grant.client_id!r} token_url={grant.token_url!r}>"

    def __getstate__(self) -> dict[str, object]:
        return {"settings": self._source.settings, "transport": self._transport}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._transport = state["transport"]
        settings = state["settings"]
        grant = settings.grant
        secret, parameters = masked((grant.client_secret, grant.parameters))  # plain in a pickle
        grant = grant._replace(client_secret=secret, parameters=parameters)
        self._start(settings._replace(grant=grant))

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # Nothing in here changes, and a store or a session is meant to be shared.
        return copy.copy(self)
