"""What can go wrong, one small tree.

    MediaHoundAuthError
    ├─ ConfigurationError            an option is missing or wrong; nothing was sent
    └─ TokenRequestError             the token endpoint was asked and no token came of it
       ├─ InvalidClientError         it refuses the client id or the client secret
       ├─ TokenEndpointUnavailable   it cannot be reached, or has no time for us now
       └─ InvalidTokenResponse       what it answered is not a token answer

What an adapter raises is one of these *and* its HTTP library's own base error
(`requests.RequestException`, `httpx.RequestError`), so an `except` that is already there catches
it. No message and no attribute holds the client secret or an access token.
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
    """What goes wrong in this package. Its message says what happened, where, and what to do."""


class ConfigurationError(MediaHoundAuthError, ValueError):
    """An option or an environment variable is missing or wrong; the message names it.

    Raised at construction. The exception to that is a `client_secret` callable that fails or
    returns no secret: it is only asked when a token is requested.
    """


class TokenRequestError(MediaHoundAuthError):
    """The token endpoint was asked, and no token came of it.

    Attributes:
        status: the HTTP status of the answer, None if there was none.
        error: the OAuth error code (RFC 6749 §5.2), such as "invalid_scope", if there was one.
        error_description: the endpoint's own words, cleaned of control characters and secrets.
        retry_after: seconds after which asking again makes sense, if that is known.
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
    """The endpoint refuses this client: invalid_client, unauthorized_client, or a plain 401."""


class TokenEndpointUnavailable(TokenRequestError):
    """No connection, no response in time, 408, 425, 429 or 5xx, and retries have not helped.

    `__cause__` is the HTTP library's own error, where there was one.

    Attributes:
        retryable: False where trying again cannot help before something is put right, as with a
            certificate that is not trusted.
    """

    retryable: bool = True


class InvalidTokenResponse(TokenRequestError):
    """The endpoint's answer is not a token answer (RFC 6749 §5.1) and not an OAuth error either."""


# Which error of an adapter stands for which of the above.
ErrorTypes = Mapping[type[MediaHoundAuthError], type[MediaHoundAuthError]]


def error_types_of(module: Mapping[str, Any]) -> ErrorTypes:
    """The errors that `module`, the globals of an adapter, has by the names of the above."""
    return {globals()[name]: module[name] for name in __all__ if name in module}


def copy_error(
    error: MediaHoundAuthError, error_types: ErrorTypes = MappingProxyType({})
) -> MediaHoundAuthError:
    """A new exception that says the same as `error`, of the type that `error_types` has for it.

    Callers who share a failure each raise an exception of their own: one that was raised belongs to
    the stack it was raised on. The copy has the same cause, and neither traceback nor context.
    """
    copy = error_types.get(type(error), type(error))(*error.args)
    copy.__dict__.update(error.__dict__)
    copy.__cause__ = error.__cause__
    return copy
