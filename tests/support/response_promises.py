"""What is promised for any token response: a token or a typed error."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mediahound_auth import (
    InvalidClientError,
    InvalidTokenResponse,
    Token,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth._core.grant import Grant, TokenResponse
from mediahound_auth._core.response import MAX_LIFETIME, MIN_LIFETIME

SECRET = "TopSecret-ü%:"
KNOWN = "known-access-token"
SENT_AT = 1_000_000.0
GRANT = Grant("MyClientId", SECRET, "https://api.example.com/token", "asked for")
KINDS = (TokenRequestError, InvalidClientError, InvalidTokenResponse, TokenEndpointUnavailable)


def keep(status: int, headers: Mapping[str, str], body: bytes) -> Token | TokenRequestError:
    """What comes of this answer, after a look at all that is promised of it."""
    response = TokenResponse(status, headers, body)
    try:
        token = GRANT.token(response, sent_at=SENT_AT, known=[KNOWN])
    except TokenRequestError as error:
        _keeps_error(error, status)
        return error
    assert 200 <= status < 300
    assert re.fullmatch("[!-~]+", token.access_token)
    assert token.requested_at == SENT_AT
    assert MIN_LIFETIME <= token.expires_at - SENT_AT <= MAX_LIFETIME
    assert token.scope is None or token.scope.split() == token.scope.split(" ")
    assert SECRET not in (token.scope or "")
    assert repr(token).startswith("Token(access_token=..., expires_at=")
    return token


def _keeps_error(error: TokenRequestError, status: int) -> None:
    assert type(error) in KINDS, type(error)
    assert error.status == status
    transient = status in (408, 425, 429) or status >= 500
    transient |= error.error == "temporarily_unavailable"
    assert (type(error) is TokenEndpointUnavailable) == transient
    assert error.retry_after is None or 0 <= error.retry_after < float("inf")
    texts = [str(error), error.error or "", error.error_description or ""]
    for text in texts:
        assert SECRET not in text
        assert KNOWN not in text
        assert text.isprintable(), text
        assert len(text) < 2000
    assert error.__cause__ is None
