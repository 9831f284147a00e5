"""Client-credentials authentication against the MediaHound API, for requests and httpx.

    from mediahound_auth.requests import MediaHoundAuth   # requests
    from mediahound_auth.httpx import MediaHoundAuth      # httpx, sync and async

This module has the names that both share, and imports neither.
"""

from mediahound_auth.errors import (
    ConfigurationError,
    InvalidClientError,
    InvalidTokenResponse,
    MediaHoundAuthError,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth.stores import MemoryStore, Store
from mediahound_auth.token import Token
from mediahound_auth.version import __version__

__all__ = [
    "ConfigurationError",
    "InvalidClientError",
    "InvalidTokenResponse",
    "MediaHoundAuthError",
    "MemoryStore",
    "Store",
    "Token",
    "TokenEndpointUnavailable",
    "TokenRequestError",
    "__version__",
]
