"""A token as requests-oauthlib has it: the dict that `token=` takes and `token_updater` gets."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from oauthlib.oauth2 import OAuth2Token

from mediahound_auth._core.response import lifetime, scope_of
from mediahound_auth.requests import ConfigurationError
from mediahound_auth.token import Token

__all__ = ["TokenDict", "as_dict", "of_dict"]

TokenDict = dict[str, object]


def as_dict(token: Token) -> TokenDict:
    """An oauthlib `OAuth2Token`, a dict; its `expires_in` is the whole life, as it was answered."""
    return OAuth2Token(  # type: ignore[no-any-return]  # oauthlib has no types
        {
            "access_token": token.access_token,
            "token_type": "Bearer",
            "expires_in": round(token.expires_at - token.requested_at),
            "expires_at": token.expires_at,
            "scope": (token.scope or "").split(),
        }
    )


def of_dict(value: object, *, issued: float) -> Token:
    """The token that a dict describes; `issued` is when it came, if the dict does not tell.

    Raises:
        ConfigurationError: it describes none. What it holds is not quoted.
    """
    try:
        if not isinstance(value, Mapping):
            raise ValueError
        expires_at, expires_in = value.get("expires_at"), value.get("expires_in")
        if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
            expires_at = time.time() + lifetime(expires_in)
        elif expires_in is not None:
            issued = expires_at - lifetime(expires_in)
        if not math.isfinite(expires_at):
            raise ValueError
        scope = scope_of(value.get("scope")) or None
        return Token(value["access_token"], float(expires_at), min(issued, expires_at), scope)
    except (KeyError, ValueError, OverflowError):
        # Without the cause, whose text may be the token's.
        raise ConfigurationError(
            "token must be a dict with an access_token and, as numbers of seconds, expires_at or "
            "expires_in"
        ) from None
