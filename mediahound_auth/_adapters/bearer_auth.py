"""BearerAuth: the base class of the auth objects of all HTTP libraries."""

from __future__ import annotations

import copy
import weakref
from typing import Any, ClassVar, Self, Unpack

from mediahound_auth._core.grant import TokenRequest, TokenResponse
from mediahound_auth._core.masked import masked
from mediahound_auth._core.renewal import Outcome, run_steps
from mediahound_auth._core.settings import Options, Settings
from mediahound_auth._core.source import TokenSource
from mediahound_auth.errors import ConfigurationError, ErrorTypes, copy_error
from mediahound_auth.token import Token

__all__ = ["REDACTED", "BearerAuth", "source_of", "wrong_library"]

# The Authorization header of requests in `response.history`, which caches may store.
REDACTED = "Bearer ***"


def source_of(auth: BearerAuth) -> TokenSource:
    """Return the token source of `auth`, for this package and its tests."""
    return auth._source


def wrong_library(auth: BearerAuth, request: object) -> TypeError:
    """Return the error for an `auth` that was given to the library of `request`."""
    library, ours = (type(thing).__module__.partition(".") for thing in (request, auth))
    error = f"{ours[0]}.{ours[2]}.{type(auth).__name__} is not for {library[0]}"
    if library[0] in ("requests", "httpx", "httpx2"):
        error += f"; import it from {ours[0]}.{library[0]}"
    return TypeError(error)


class BearerAuth:
    """The settings and the token source of one client.

    A pickle or a copy holds the settings, the client secret included, but no token. In the same
    process, a copy shares the token with the original.

    The core returns errors. This class raises them, as errors of the HTTP library.
    """

    # The errors of this adapter, which are also errors of its HTTP library.
    _error_types: ClassVar[ErrorTypes] = {}
    # The attribute of these errors for the request.
    _request_attribute: ClassVar[str] = "request"

    def __init__(self, transport: object, **options: Unpack[Options]) -> None:
        try:
            settings = Settings.from_options(**options)
        except ConfigurationError as error:
            raise copy_error(error, self._error_types) from None
        self._transport = transport
        self._start(settings)

    def _start(self, settings: Settings) -> None:
        transport = self._transport
        way = type(self), None if transport is None else weakref.ref(transport)
        self._source = TokenSource(settings, self._send, way)
        self._shared = self._source.shared  # a call with a usable token needs only this

    def token(self) -> Token:
        """Return a valid token, fetching one if necessary. Block for at most `timeout` seconds.

        Raises:
            MediaHoundAuthError: No token could be requested. It is also an exception of the HTTP
                library.
        """
        return self._token_of(run_steps(self._source.get_token()))

    def renew(self) -> Token:
        """Request a token now and return it. The server may return the same token again.

        Block for at most `timeout` seconds.

        Raises:
            MediaHoundAuthError: The request failed. The current token stays in use.
        """
        return self._token_of(run_steps(self._source.renew()))

    def forget(self) -> None:
        """Delete the token, here and in the store. The next call requests a token.

        Block until the store has deleted it, for at most two seconds if the store does not respond.
        The token then stays in the store, and a warning is logged.

        Raises:
            ConfigurationError: The client_secret callable failed. It is also an exception of the
                HTTP library.
        """
        if error := self._source.forget():
            raise copy_error(error, self._error_types)

    def _token_of(self, outcome: Outcome, request: object = None) -> Token:
        """Return the token that the core has returned, or raise the error, for `request`."""
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
            return object.__repr__(self)  # a traceback shows it before the constructor has ended
        grant = self._source.settings.grant
        name = f"{type(self).__module__}.{type(self).__name__}"
        return f"<{name} client_id={grant.client_id!r} token_url={grant.endpoint!r}>"

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
        # Copies share the store and the session.
        return copy.copy(self)
