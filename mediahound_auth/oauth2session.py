"""MediaHoundSession: an `OAuth2Session` of requests-oauthlib that manages its token.

The `auth` of the session is a `MediaHoundAuth`, which requests, renews, shares and replaces the
token. The code of `OAuth2Session` for this is not used; it also logs tokens.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import parse_qs

from mediahound_auth._extras import missing_extra

try:
    from oauthlib.oauth2 import BackendApplicationClient, OAuth2Token
    from requests_oauthlib import OAuth2Session
except ModuleNotFoundError as _error:
    raise missing_extra(_error, __name__, "requests-oauthlib", "requests_oauthlib") from None
import requests

from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._core import runtime
from mediahound_auth._core.grant import ClientAuth, TokenRequest, TokenResponse
from mediahound_auth._core.masked import Masked, masked
from mediahound_auth._core.response import lifetime, scope_of
from mediahound_auth.requests import ConfigurationError, MediaHoundAuth
from mediahound_auth.stores import Store
from mediahound_auth.token import Token

__all__ = ["MediaHoundSession"]


TokenDict = dict[str, object]


class _Auth(MediaHoundAuth):
    """Sends token requests with the session's transport and its compliance hooks."""

    _transport: MediaHoundSession

    def _send(self, request: TokenRequest, timeout: float) -> TokenResponse:
        if hooks := self._hooks("access_token_request"):
            request = _changed(request, hooks)
        return self._send_with(self._transport, request, timeout)

    def _received(self, response: requests.Response, body: bytes) -> TokenResponse:
        if hooks := self._hooks("access_token_response"):
            response = _readable(response, body)
            for hook in hooks:
                response = hook(response)
            body = response.content
        return super()._received(response, body)

    def _hooks(self, kind: str) -> list[Callable[..., Any]]:
        return list(self._transport.compliance_hook[kind])


class MediaHoundSession(OAuth2Session):  # type: ignore[misc]  # requests-oauthlib has no types
    """An `OAuth2Session` for the client-credentials grant that requests tokens itself.

    The first request fetches a token. All options but the last two are those of
    `mediahound_auth.requests.MediaHoundAuth`. Token requests use this session's adapters, proxies,
    `verify` and `cert`. Differences from `OAuth2Session`: the token is sent to allowed origins
    only, an http URL is not an error, and no token is logged.

    The compliance hooks "protected_request", "access_token_request" and "access_token_response" are
    called. "access_token_request" may change headers and data, but not the URL. The hooks for
    refreshing are not called, because this grant has no refresh token (RFC 6749 §4.4.3). Sessions
    that share a token also share the token request, with the hooks of one of them. A session with
    `store=MemoryStore()` does not share its token.

    Args:
        token: A stored token, the dict that `token_updater` got. It is used if it is valid, and
            newer than the known token.
        token_updater: Called with each new token, a dict, after the first request with this token.

    Raises:
        ConfigurationError: An option is missing or wrong.
    """

    _bearer: MediaHoundAuth
    _last_notified: object = None
    _notifying_pid = 0

    def __init__(
        self,
        client_id: str | None = None,
        client_secret: str | Callable[[], str] | None = None,
        *,
        token_url: str | None = None,
        scope: str | Iterable[str] | None = None,
        parameters: Mapping[str, str | Sequence[str]] | None = None,
        client_auth: ClientAuth = "mediahound",
        origins: Iterable[str] = (),
        store: Store | None = None,
        renew_margin: float = 300.0,
        timeout: float = 30.0,
        token: Mapping[str, object] | None = None,
        token_updater: Callable[[TokenDict], object] | None = None,
    ) -> None:
        # Tools print variables.
        client_secret, parameters, token = masked((client_secret, parameters, token))
        if token_updater is not None and not callable(token_updater):
            raise ConfigurationError("token_updater must be a callable with one argument, a dict")
        auth = _Auth(
            client_id,
            client_secret,
            token_url=token_url,
            scope=scope,
            parameters=parameters,
            client_auth=client_auth,
            origins=origins,
            store=store,
            renew_margin=renew_margin,
            timeout=timeout,
            session=self,
        )
        grant = source_of(auth).settings.grant
        scopes: Any = grant.scope.split() or None
        client = BackendApplicationClient(grant.client_id, scope=scopes)
        super().__init__(client=client, scope=scopes, token_updater=token_updater)
        self._bearer = auth
        self.auth: Any = auth
        if not _is_none(token):
            # A token without a time of issue counts as older than every other one.
            self._use(token, issued=0.0)

    @property
    def token(self) -> TokenDict:
        """The known token, valid or expired; {} without one.

        An oauthlib `OAuth2Token`: a dict with access_token, token_type, expires_in, expires_at and
        scope. A token that is set is used if it is valid and not older than the known one. Setting
        {} deletes the token, here and in the store.

        Raises:
            ConfigurationError: The new value is not such a dict.
        """
        known = source_of(self._bearer).shared.state.token
        return _as_dict(known) if known else {}

    @token.setter
    def token(self, value: Mapping[str, object] | None) -> None:
        if not hasattr(self, "_bearer"):
            return  # called by OAuth2Session's constructor, without a token
        value = masked(value)
        if _is_none(value):
            self._bearer.forget()
        else:
            self._use(value, issued=runtime.now())

    def _use(self, value: object, *, issued: float) -> None:
        token = _from_dict(value, issued=issued)
        self._last_notified = token.access_token
        source = source_of(self._bearer)
        source.shared.use_if_better(token, source.settings.renew_margin)

    @property
    def access_token(self) -> str | None:
        """The access token, valid or expired. None if there is no token. Can be set and deleted."""
        access_token = self.token.get("access_token")
        return access_token if isinstance(access_token, str) else None

    @access_token.setter
    def access_token(self, value: str | None) -> None:
        value = masked(value)
        self.token = {"access_token": value}

    @access_token.deleter
    def access_token(self) -> None:
        self.token = {}

    def fetch_token(self, *args: object, **kwargs: object) -> TokenDict:
        """Request a token now and return it. The server may return the same token again.

        You need not call it: the first request fetches a token.

        Raises:
            ConfigurationError: There are arguments. Pass them to the constructor instead.
            MediaHoundAuthError: The request failed. Also a requests.RequestException.
        """
        arguments = bool(args or kwargs)
        del args, kwargs  # perhaps a secret, which tracebacks may show
        return self._fetched(arguments)

    def refresh_token(self, *args: object, **kwargs: object) -> TokenDict:
        """Do the same as `fetch_token`: this grant has no refresh token (RFC 6749 §4.4.3).

        Raises:
            ConfigurationError: There are arguments. Pass them to the constructor instead.
            MediaHoundAuthError: The request failed. Also a requests.RequestException.
        """
        arguments = bool(args or kwargs)
        del args, kwargs
        return self._fetched(arguments)

    def _fetched(self, arguments: bool) -> TokenDict:
        if arguments:
            raise ConfigurationError(
                "fetch_token and refresh_token take no arguments: pass token_url, client_secret, "
                "scope and the like to MediaHoundSession"
            )
        token = self._bearer.renew()
        self._notify_updater()
        return _as_dict(token)

    # OAuth2Session's own method rejects http, adds the token to every request, and logs it.
    def request(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        method: str,
        url: str,
        data: Any = None,
        headers: Any = None,
        withhold_token: bool = False,
        **kwargs: Any,
    ) -> requests.Response:
        """Send a request with the token, or without it if `withhold_token` is True.

        The other arguments are those of `requests.Session.request`.

        Raises:
            MediaHoundAuthError: No token could be requested. Also a requests.RequestException.
        """
        for unused in ("client_id", "client_secret"):
            kwargs.pop(unused, None)
        auth = kwargs.get("auth") or self.auth
        if withhold_token:
            kwargs["auth"] = _as_it_is if auth is self._bearer else auth
        else:
            kwargs["auth"] = auth or self._bearer
            hooks = list(self.compliance_hook["protected_request"])
            if hooks and kwargs["auth"] is self._bearer:
                self._bearer.token()  # hooks may read it
            for hook in hooks:
                url, headers, data = hook(url, headers, data)
        return requests.Session.request(self, method, url, data=data, headers=headers, **kwargs)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Do what `requests.Session.send` does, then call `token_updater` if the token is new."""
        try:
            return super().send(request, **kwargs)  # type: ignore[no-any-return]
        finally:
            self._notify_updater()

    def _notify_updater(self) -> None:
        """Call `token_updater` if there is a new token: one thread at a time, in order."""
        while self.token_updater is not None:
            with runtime.state_lock:
                if self._notifying_pid == runtime.process_id():
                    return  # the thread that calls token_updater checks again afterwards
                token = source_of(self._bearer).shared.state.token
                if token is None or token.access_token == self._last_notified:
                    return
                self._notifying_pid = runtime.process_id()
            try:
                self.token_updater(_as_dict(token))
                self._last_notified = token.access_token  # not if that has raised
            finally:
                self._notifying_pid = 0

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            "a MediaHoundSession cannot be copied or pickled, because an OAuth2Session cannot; "
            "use a requests.Session with auth=MediaHoundAuth(...)"
        )


def _is_none(value: object) -> bool:
    """Whether `value` means no token: {}, or the dict that `access_token = None` makes."""
    if isinstance(value, Mapping) and "access_token" in value:
        return value["access_token"] in (None, "")
    return not value


def _readable(response: requests.Response, body: bytes) -> requests.Response:
    """Return a copy of `response` with `body` as its unread body, for hooks."""
    copy = requests.Response()
    for name in ("status_code", "headers", "url", "reason", "encoding", "cookies", "request"):
        setattr(copy, name, getattr(response, name))
    copy.raw = io.BytesIO(body)
    return copy


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _changed(request: TokenRequest, hooks: list[Callable[..., Any]]) -> TokenRequest:
    url, headers = request.url, dict(request.headers)
    data = masked(parse_qs(request.body.decode(), keep_blank_values=True))
    one_or_more = {name: values if values[1:] else values[0] for name, values in data.items()}
    kwargs: dict[str, Any] = {"data": one_or_more}
    for hook in hooks:
        url, headers, kwargs = hook(url, headers, kwargs)
    if url != request.url or kwargs.keys() != {"data"}:
        raise ConfigurationError(
            "an access_token_request hook may change headers and data only; to send token requests "
            "to another URL, pass token_url="
        )
    return TokenRequest(url, headers, kwargs["data"])  # requests encodes it


def _as_dict(token: Token) -> TokenDict:
    """Return an oauthlib `OAuth2Token`; `expires_in` is the whole lifetime in seconds."""
    return OAuth2Token(  # type: ignore[no-any-return]  # oauthlib has no types
        {
            "access_token": Masked(token.access_token),
            "token_type": "Bearer",
            "expires_in": round(token.expires_at - token.requested_at),
            "expires_at": token.expires_at,
            "scope": (token.scope or "").split(),
        }
    )


def _from_dict(value: object, *, issued: float) -> Token:
    """Return the token of a dict; `issued` is its time of issue, if the dict has none."""
    try:
        if not isinstance(value, Mapping):
            raise ValueError
        expires_at, expires_in = value.get("expires_at"), value.get("expires_in")
        if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
            expires_at = runtime.now() + lifetime(expires_in)
        elif expires_in is not None:
            issued = expires_at - lifetime(expires_in)
        if not math.isfinite(expires_at):
            raise ValueError
        scope = scope_of(value.get("scope")) or None
        return Token(value["access_token"], float(expires_at), min(issued, expires_at), scope)
    except (KeyError, ValueError, OverflowError):
        # Without the cause, whose text may contain the token.
        raise ConfigurationError(
            "token must be a dict with an access_token and, as numbers of seconds, expires_at or "
            "expires_in"
        ) from None
