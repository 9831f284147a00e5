"""MediaHoundAuth for httpx: `auth=MediaHoundAuth(...)` of a client, sync or async, or of a call."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import ClassVar

try:
    import httpx
except ModuleNotFoundError as error:
    if error.name != "httpx":
        raise
    raise ModuleNotFoundError(
        "mediahound_auth.httpx needs httpx: pip install 'mediahound-auth[httpx]'", name="httpx"
    ) from None

from mediahound_auth import errors
from mediahound_auth.auth import masked
from mediahound_auth.flow import BearerFlow
from mediahound_auth.grant import ClientAuth, TokenRequest, TokenResponse
from mediahound_auth.sending import USER_AGENT, read_bounded, unreachable
from mediahound_auth.stores import Store

__all__ = [
    "ConfigurationError",
    "InvalidClientError",
    "InvalidTokenResponse",
    "MediaHoundAuth",
    "TokenEndpointUnavailable",
    "TokenRequestError",
]


class ConfigurationError(errors.ConfigurationError, httpx.RequestError):
    """`mediahound_auth.ConfigurationError`, for code that catches httpx's errors."""


class TokenRequestError(errors.TokenRequestError, httpx.RequestError):
    """`mediahound_auth.TokenRequestError`, for code that catches httpx's errors."""


class InvalidClientError(errors.InvalidClientError, TokenRequestError):
    """`mediahound_auth.InvalidClientError`, for code that catches httpx's errors."""


class TokenEndpointUnavailable(errors.TokenEndpointUnavailable, TokenRequestError):
    """`mediahound_auth.TokenEndpointUnavailable`, for code that catches httpx's errors."""


class InvalidTokenResponse(errors.InvalidTokenResponse, TokenRequestError):
    """`mediahound_auth.InvalidTokenResponse`, for code that catches httpx's errors."""


class MediaHoundAuth(BearerFlow, httpx.Auth):
    """Sends every request to the MediaHound API with a live bearer token.

    Use it as `auth=` of a Client, of an AsyncClient (asyncio or trio), or of a single call. One
    object serves any number of clients, threads and event loops; objects with the same credentials
    share one token. A request whose token the API rejects (401) is replayed once with another one,
    if its body can be sent again from its start.

    Args:
        client_id: the application's client id; else MEDIAHOUND_CLIENT_ID.
        client_secret: the application's client secret; else MEDIAHOUND_CLIENT_SECRET. A callable is
            asked at each token request, for secrets that are rotated.
        token_url: the token endpoint, https (or http on loopback); else MEDIAHOUND_TOKEN_URL, else
            MediaHound's.
        scope: the scopes to ask for, as one str separated by blanks or several; none by default.
        client_auth: how the client authenticates: "mediahound" as MediaHound documents it (header
            and body), or RFC 6749 §2.3.1's "client_secret_basic" or "client_secret_post".
        origins: further origins the token may go to, as "https://host[:port]", besides that of the
            token endpoint.
        store: where the token waits between calls; else in memory, shared by the process.
        renew_margin: seconds before the expiry at which renewal in the background begins.
        timeout: seconds that getting one token may take, retries included.
        client: the client for token requests, for its proxies, CA bundle, client certificate and
            transports; nothing else of it is used. It is used from another thread: a synchronous
            httpx.Client, also where the auth object is used with an AsyncClient.

    Raises:
        ConfigurationError: an option is missing or wrong.
    """

    def __init__(
        self,
        client_id: str | None = None,
        client_secret: str | Callable[[], str] | None = None,
        *,
        token_url: str | None = None,
        scope: str | Iterable[str] | None = None,
        client_auth: ClientAuth = "mediahound",
        origins: Iterable[str] = (),
        store: Store | None = None,
        renew_margin: float = 300.0,
        timeout: float = 30.0,
        client: httpx.Client | None = None,
    ) -> None:
        client_secret = masked(client_secret)
        if client is not None and not isinstance(client, httpx.Client):
            raise ConfigurationError(f"client must be an httpx.Client, not {type(client).__name__}")
        super().__init__(
            client_id,
            client_secret,
            token_url=token_url,
            scope=scope,
            client_auth=client_auth,
            origins=origins,
            store=store,
            renew_margin=renew_margin,
            timeout=timeout,
            transport=client,
        )

    _bytes_stream = httpx.ByteStream

    def _send(self, request: TokenRequest, timeout: float) -> TokenResponse:
        if isinstance(self._transport, httpx.Client):
            return _send(self._transport, request, timeout)
        with httpx.Client() as client:
            return _send(client, request, timeout)

    _kinds: ClassVar[errors.Kinds] = {
        errors.ConfigurationError: ConfigurationError,
        errors.TokenRequestError: TokenRequestError,
        errors.InvalidClientError: InvalidClientError,
        errors.TokenEndpointUnavailable: TokenEndpointUnavailable,
        errors.InvalidTokenResponse: InvalidTokenResponse,
    }


def _send(client: httpx.Client, request: TokenRequest, timeout: float) -> TokenResponse:
    """Send a token request with the client's transport, and with nothing else of it.

    No cookies, headers, event hooks or default auth come in that way, and no redirect is followed
    or even looked at. httpx has no public way to a client's transports.
    """
    if client.is_closed:
        raise RuntimeError("the client given as client= has been closed")
    sent = httpx.Request(
        "POST",
        request.url,
        headers={**request.headers, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        content=request.body,
        extensions={"timeout": httpx.Timeout(timeout).as_dict()},
    )
    deadline = time.monotonic() + timeout
    try:
        response = client._transport_for_url(sent.url).handle_request(sent)
        response.request = sent
        with contextlib.closing(response):
            # As it came: no encoding was asked for, and inflating might never end.
            body = read_bounded(response.iter_raw(), deadline)
            return TokenResponse(response.status_code, response.headers, body)
    except (httpx.RequestError, OSError) as error:
        raise unreachable(request.url, error)  # noqa: B904  # it has its own cause
