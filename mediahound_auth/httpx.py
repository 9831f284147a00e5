"""MediaHoundAuth for httpx: `auth=MediaHoundAuth(...)` of a client, sync or async, or of a call."""

from __future__ import annotations

from typing import Any, ClassVar

from mediahound_auth._extras import missing_extra

try:
    import httpx
except ModuleNotFoundError as _error:
    raise missing_extra(_error, __name__, "httpx", "httpx") from None

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


class ConfigurationError(errors.ConfigurationError, httpx.RequestError):
    """`mediahound_auth.ConfigurationError` that is an error of httpx, too."""


class TokenRequestError(errors.TokenRequestError, httpx.RequestError):
    """`mediahound_auth.TokenRequestError` that is an error of httpx, too."""


class InvalidClientError(errors.InvalidClientError, TokenRequestError):
    """`mediahound_auth.InvalidClientError` that is an error of httpx, too."""


class TokenEndpointUnavailable(
    errors.TokenEndpointUnavailable, TokenRequestError, httpx.TransportError
):
    """`mediahound_auth.TokenEndpointUnavailable` that is an error of httpx, too."""


class InvalidTokenResponse(errors.InvalidTokenResponse, TokenRequestError):
    """`mediahound_auth.InvalidTokenResponse` that is an error of httpx, too."""


class MediaHoundAuth(BearerFlow[httpx.Client, httpx.Request, httpx.Response], httpx.Auth):
    """Add a valid bearer token to each request to the MediaHound API.

    Use it as `auth=` of a Client, of an AsyncClient (asyncio or trio), or of a single call. It is
    safe for threads, tasks and event loops. Objects with the same credentials share one token. If
    the API rejects the token (401), the request is retried once with a new one, provided that its
    body can be sent again from its start.
    """

    _library: ClassVar[Any] = httpx
    _error_types = errors.error_types_of(globals())
