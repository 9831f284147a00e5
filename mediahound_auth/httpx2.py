"""MediaHoundAuth for httpx2, the maintained successor of httpx. All is as in httpx.py."""

from __future__ import annotations

from typing import Any, ClassVar

from mediahound_auth._extras import missing_extra

try:
    import httpx2
except ModuleNotFoundError as _error:
    raise missing_extra(_error, __name__, "httpx2", "httpx2") from None

from mediahound_auth import errors
from mediahound_auth._adapters.httpx_flow import BearerFlow

__all__ = [
    "ConfigurationError",
    "InvalidClientError",
    "InvalidTokenResponse",
    "MediaHoundAuth",
    "TokenEndpointUnavailable",
    "TokenRequestError",
]


class ConfigurationError(errors.ConfigurationError, httpx2.RequestError):
    """`mediahound_auth.ConfigurationError`, for code that catches httpx2's errors."""


class TokenRequestError(errors.TokenRequestError, httpx2.RequestError):
    """`mediahound_auth.TokenRequestError`, for code that catches httpx2's errors."""


class InvalidClientError(errors.InvalidClientError, TokenRequestError):
    """`mediahound_auth.InvalidClientError`, for code that catches httpx2's errors."""


class TokenEndpointUnavailable(errors.TokenEndpointUnavailable, TokenRequestError):
    """`mediahound_auth.TokenEndpointUnavailable`, for code that catches httpx2's errors."""


class InvalidTokenResponse(errors.InvalidTokenResponse, TokenRequestError):
    """`mediahound_auth.InvalidTokenResponse`, for code that catches httpx2's errors."""


class MediaHoundAuth(BearerFlow[httpx2.Client, httpx2.Request, httpx2.Response], httpx2.Auth):
    """Sends every request to the MediaHound API with a live bearer token.

    Use it as `auth=` of a Client, of an AsyncClient (asyncio or trio), or of a single call. One
    object serves any number of clients, threads and event loops; objects with the same credentials
    share one token. A request whose token the API rejects (401) is retried once with another one,
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
            httpx2.Client, also where the auth object is used with an AsyncClient.

    Raises:
        ConfigurationError: an option is missing or wrong.
    """

    _library: ClassVar[Any] = httpx2
    _error_types: ClassVar[errors.ErrorTypes] = {
        errors.ConfigurationError: ConfigurationError,
        errors.TokenRequestError: TokenRequestError,
        errors.InvalidClientError: InvalidClientError,
        errors.TokenEndpointUnavailable: TokenEndpointUnavailable,
        errors.InvalidTokenResponse: InvalidTokenResponse,
    }
