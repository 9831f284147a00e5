"""static_auth: a fixed access token, for tests without a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar, overload

from mediahound_auth._adapters.bearer_auth import BearerAuth
from mediahound_auth._core.grant import TokenRequest, TokenResponse
from mediahound_auth.stores import MemoryStore
from mediahound_auth.token import Token

__all__ = ["static_auth"]

Auth = TypeVar("Auth", bound=BearerAuth)
Request = TypeVar("Request", bound=Any)

# Seconds, as with MediaHound.
LIFETIME = 1_209_600


@overload
def static_auth(access_token: str = ...) -> Callable[[Request], Request]: ...


@overload
def static_auth(access_token: str, kind: type[Auth]) -> Auth: ...


def static_auth(
    access_token: str = "static-access-token", kind: type[Auth] | None = None
) -> Callable[[Request], Request] | Auth:
    """Return an auth object with a fixed access token, which sends no token request.

    Without `kind`, it is a function that requests, httpx and httpx2 accept as `auth=`. It sets the
    Authorization header of every request, whatever its origin, and does nothing else.

    Args:
        access_token: The token.
        kind: The MediaHoundAuth of your HTTP library, for code that needs one or calls `token()`.
            The returned object sends the token to MediaHound's origin only, and does not share it.
            Each renewal returns the same token, so a 401 of the API is returned unchanged.

    Raises:
        ValueError: `access_token` is not printable ASCII, or contains spaces.
        TypeError: `kind` is not a MediaHoundAuth class.
    """
    Token(access_token, 0, 0)  # raises ValueError
    if kind is not None:
        if not (isinstance(kind, type) and issubclass(kind, BearerAuth)):
            raise TypeError(
                "kind must be the MediaHoundAuth of an HTTP library; "
                "for a MediaHoundSession, set session.auth = static_auth(...)"
            )
        return _always(access_token, kind)

    def attach(request: Request) -> Request:
        request.headers["Authorization"] = f"Bearer {access_token}"
        return request

    return attach


def _always(access_token: str, kind: type[Auth]) -> Auth:
    fields = {"access_token": access_token, "token_type": "bearer", "expires_in": LIFETIME}
    answer = TokenResponse(200, {}, json.dumps(fields).encode())

    def send(_self: object, _request: TokenRequest, _timeout: float) -> TokenResponse:
        return answer

    # A class, so that a copy sends no token request either.
    made: Any = type(kind.__name__, (kind,), {"_send": send, "__module__": kind.__module__})
    auth: Auth = made("static-client", "static-secret", store=MemoryStore())
    return auth
