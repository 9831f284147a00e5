"""BearerAuth: what the auth objects of all HTTP libraries have in common."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import ClassVar, Self, TypeVar

from mediahound_auth._core.grant import ClientAuth, Secret, TokenRequest, TokenResponse
from mediahound_auth._core.renewal import Steps, run_steps
from mediahound_auth._core.settings import Settings
from mediahound_auth._core.source import TokenSource
from mediahound_auth.errors import ConfigurationError, ErrorTypes, MediaHoundAuthError, again
from mediahound_auth.stores import Store
from mediahound_auth.token import Token

__all__ = ["BearerAuth", "mask_secret"]


S = TypeVar("S")


def mask_secret(client_secret: S) -> S | Secret:
    """The same, but of a repr that may be seen: tracebacks through a constructor may show it."""
    return Secret(client_secret) if isinstance(client_secret, str) else client_secret


class BearerAuth:
    """One client's token, and the settings it came from.

    A pickle or a copy holds the settings, the client secret among them, and never a token; it
    comes back working, and in the same process it shares the token with the original.
    """

    # The errors of this adapter, each also its HTTP library's own base error.
    _error_types: ClassVar[ErrorTypes] = {}
    # Where those keep the request that was to be sent.
    _request_attribute: ClassVar[str] = "request"

    def __init__(
        self,
        client_id: str | None,
        client_secret: str | Callable[[], str] | None,
        *,
        token_url: str | None,
        scope: str | Iterable[str] | None,
        client_auth: ClientAuth,
        origins: Iterable[str],
        store: Store | None,
        renew_margin: float,
        timeout: float,
        transport: object,
    ) -> None:
        try:
            settings = Settings.from_options(
                client_id,
                client_secret,
                token_url=token_url,
                scope=scope,
                client_auth=client_auth,
                origins=origins,
                store=store,
                renew_margin=renew_margin,
                timeout=timeout,
            )
        except ConfigurationError as error:
            raise again(error, self._error_types) from None
        self._transport = transport
        self._start(settings)

    def _start(self, settings: Settings) -> None:
        self._source = TokenSource(settings, self._send, self._error_types)
        self._cell = self._source.cell  # here too: a call with a live token looks only at this

    def token(self) -> Token:
        """A live token, fetched if need be. Blocks for at most `timeout` seconds.

        Raises:
            MediaHoundAuthError: there is none to be had; also the HTTP library's base error.
        """
        return run_steps(self._source.live())

    def renew(self) -> Token:
        """Ask the token endpoint now, and return what it gives: perhaps the same token once more.

        Blocks for at most `timeout` seconds.

        Raises:
            MediaHoundAuthError: it gave none; the token at hand stays in use.
        """
        return run_steps(self._source.renewed())

    def forget(self) -> None:
        """Drop the token, here and in the store. The next call asks for another one.

        Blocks for as long as the store takes, for two seconds at most if that does not answer.

        Raises:
            ConfigurationError: the client_secret callable failed; also the HTTP library's base
                error.
        """
        self._source.forget()

    def _authorization(self, request: object) -> Steps[str]:
        """The Authorization header for `request` when it is not at hand: off the hot path."""
        try:
            token = yield from self._source.live()
        except MediaHoundAuthError as error:
            vars(error)[self._request_attribute] = request
            raise
        return token.authorization

    def _send(self, request: TokenRequest, timeout: float) -> TokenResponse:
        raise NotImplementedError

    def __repr__(self) -> str:
        if not hasattr(self, "_source"):
            return object.__repr__(self)  # in a traceback through a constructor that failed
        grant = self._source.settings.grant
        return (
            f"<{type(self).__module__}.{type(self).__name__} "
            f"client_id={grant.client_id!r} token_url={grant.token_url!r}>"
        )

    def __getstate__(self) -> dict[str, object]:
        return {"settings": self._source.settings, "transport": self._transport}

    def __setstate__(self, state: dict[str, object]) -> None:
        settings = state["settings"]
        assert isinstance(settings, Settings)
        self._transport = state["transport"]
        self._start(settings)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # Nothing in here changes, and a store or a session is meant to be shared.
        return copy.copy(self)
