"""The errors of this package.

    MediaHoundAuthError
    ├─ ConfigurationError            an option is missing or wrong
    └─ TokenRequestError             a token request failed
       ├─ InvalidClientError         the token endpoint rejected the client ID or the client secret
       ├─ TokenEndpointUnavailable   the token endpoint is unreachable, unavailable or rate limited
       └─ InvalidTokenResponse       the response is not a token response

An adapter raises subclasses of these, which are also errors of its HTTP library
(`requests.RequestException`, `httpx.RequestError`). No message and no attribute contains the
client secret or an access token.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = [
    "ConfigurationError",
    "InvalidClientError",
    "InvalidTokenResponse",
    "MediaHoundAuthError",
    "TokenEndpointUnavailable",
    "TokenRequestError",
]


class MediaHoundAuthError(Exception):
    """Base class of all errors. The message says what failed, why, and what to do."""


class ConfigurationError(MediaHoundAuthError, ValueError):
    """An option or an environment variable is missing or wrong; the message names it.

    Raised by the constructor. A `client_secret` callable that fails raises it when a token is
    requested.
    """


class TokenRequestError(MediaHoundAuthError):
    """A token request failed.

    Attributes:
        status: The HTTP status of the response. None without a response.
        error: The OAuth error code (RFC 6749 §5.2), such as "invalid_scope". None without one.
        error_description: The server's description, without control characters and secrets.
        retry_after: Seconds to wait before the next request (Retry-After). None if unknown.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        error: str | None = None,
        error_description: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.error_description = error_description
        self.retry_after = retry_after


class InvalidClientError(TokenRequestError):
    """The token endpoint rejected the client: invalid_client, unauthorized_client, or any 401."""


class TokenEndpointUnavailable(TokenRequestError):
    """No connection, no response in time, or HTTP 408, 425, 429 or 5xx, after all retries.

    `__cause__` is the error of the HTTP library, if there was one.

    Attributes:
        retryable: False if a retry cannot help, as with an untrusted certificate.
    """

    retryable: bool = True


class InvalidTokenResponse(TokenRequestError):
    """The response is neither a token response (RFC 6749 §5.1) nor an OAuth error (§5.2)."""


# The error above, and the subclass of it that an adapter raises.
ErrorTypes = Mapping[type[MediaHoundAuthError], type[MediaHoundAuthError]]


def error_types_of(module: Mapping[str, Any]) -> ErrorTypes:
    """Return the errors of `module`, the globals of an adapter, by the error that each extends."""
    return {globals()[name]: module[name] for name in __all__ if name in module}


def copy_error(
    error: MediaHoundAuthError, error_types: ErrorTypes = MappingProxyType({})
) -> MediaHoundAuthError:
    """Return a new exception like `error`, of the type that `error_types` has for it.

    Callers that share a failure each raise a new exception, because a raised exception has the
    traceback of one caller. The copy has the same cause, but no traceback and no context.
    """
    copy = error_types.get(type(error), type(error))(*error.args)
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error.__cause__
    return copy
