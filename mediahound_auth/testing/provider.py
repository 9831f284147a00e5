"""The authorization server of MediaHoundServer: it authenticates clients and issues tokens.

oauthlib's provider implements the protocol. This module has no sockets.
"""

from __future__ import annotations

import base64
import hmac
import math
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import get_args
from urllib.parse import unquote_plus

from oauthlib.common import Request
from oauthlib.oauth2 import (
    BackendApplicationServer,
    InvalidClientError,
    InvalidRequestError,
    OAuth2Error,
    RequestValidator,
)

from mediahound_auth._core.grant import ASSERTION_TYPE, ClientAuth
from mediahound_auth.testing.traffic import Answer, ReceivedRequest


@dataclass(slots=True)
class _IssuedToken:
    value: str = field(repr=False)
    scope: str
    expires_at: float
    revoked: bool = False

    def is_live(self, now: float) -> bool:
        return not self.revoked and now < self.expires_at


class TokenIssuer:
    """Issues and validates tokens as Spring Security OAuth does."""

    def __init__(
        self, *, lifetime: float, return_same_token: bool, clock: Callable[[], float]
    ) -> None:
        """Issue tokens with this `lifetime` in seconds: the same until then, or new ones."""
        self._lifetime = lifetime
        self._return_same_token = return_same_token
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, _IssuedToken] = {}

    def issue(self, scope: str) -> tuple[str, int]:
        """Return a valid token for this scope, and its remaining seconds, rounded down."""
        with self._lock:
            now = self._clock()
            token = self._live(now, scope) if self._return_same_token else None
            if token is None:
                token = _IssuedToken(str(uuid.uuid4()), scope, now + self._lifetime)
                self._tokens[token.value] = token
            # Milliseconds first, as in Spring: a float's (now + 10) - now may be 9.9999998.
            return token.value, math.floor(round(token.expires_at - now, 3))

    def problem_with(self, value: str) -> str | None:
        """Return why the API rejects this token, without quoting it; None if it is valid."""
        with self._lock:
            token = self._tokens.get(value)
            if token is None:
                return "Invalid access token"
            if token.revoked:
                return "Access token revoked"
            return None if token.is_live(self._clock()) else "Access token expired"

    def expire_in(self, seconds: float) -> None:
        """Expire the currently valid tokens in `seconds`."""
        with self._lock:
            now = self._clock()
            for token in self._tokens.values():
                if token.is_live(now):
                    token.expires_at = now + seconds

    def revoke(self) -> None:
        """Revoke the currently valid tokens."""
        with self._lock:
            now = self._clock()
            for token in self._tokens.values():
                token.revoked = token.revoked or token.is_live(now)

    def _live(self, now: float, scope: str) -> _IssuedToken | None:
        live = (t for t in self._tokens.values() if t.scope == scope and t.is_live(now))
        return next(live, None)


class _QuietToken(dict[str, object]):
    """A token response whose repr shows nothing, because oauthlib logs it."""

    def __repr__(self) -> str:
        return "<token>"


def _same(given: str | None, expected: str) -> bool:
    # In constant time: the response time does not reveal how much of a secret is right.
    return hmac.compare_digest((given or "").encode(), expected.encode())


class _ClientCheck(RequestValidator):  # type: ignore[misc]
    """Authenticates one client by one client authentication method."""

    def __init__(
        self, client_id: str, client_secret: str, scopes: list[str], client_auth: ClientAuth
    ) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._client_auth = client_auth

    def authenticate_client(self, request: Request, *_args: object, **_kwargs: object) -> bool:
        header = request.headers.get("Authorization")
        if self._client_auth == "client_secret_post" and header is not None:
            raise InvalidRequestError("The client must authenticate in the body only")
        if self._client_auth == "client_secret_basic" and request.client_secret is not None:
            raise InvalidRequestError("The client must authenticate in the header only")
        if {"client_id", "client_secret"} & set(request.duplicate_params):
            raise InvalidRequestError("Duplicate client_id or client_secret parameter")
        # & instead of `and`: a wrong ID takes as long as a wrong secret.
        known = request.client_id is None or _same(request.client_id, self._client_id)
        if self._client_auth == "client_assertion":
            known &= _same(request.client_assertion_type, ASSERTION_TYPE)
            known &= _same(request.client_assertion, self._client_secret)
        elif self._client_auth != "client_secret_basic":
            known &= request.client_id is not None
            known &= _same(request.client_secret, self._client_secret)
        if self._client_auth in ("mediahound", "client_secret_basic"):
            known &= self._header_is_right(header or "")
        if not known:
            raise InvalidClientError("Bad client credentials")
        request.client = SimpleNamespace(client_id=self._client_id)
        return True

    def _header_is_right(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True).decode()
        except ValueError:
            return False
        if scheme.lower() != "basic":
            return False
        if self._client_auth == "mediahound":
            return _same(given, f"{self._client_id}:{self._client_secret}")
        given_id, _, given_secret = given.partition(":")
        return (
            given.isascii()
            & _same(unquote_plus(given_id), self._client_id)
            & _same(unquote_plus(given_secret), self._client_secret)
        )

    def validate_grant_type(self, *_args: object, **_kwargs: object) -> bool:
        return True

    def get_default_scopes(self, *_args: object, **_kwargs: object) -> list[str]:
        return self._scopes

    def validate_scopes(
        self, _client_id: str, scopes: list[str], *_args: object, **_kwargs: object
    ) -> bool:
        return set(scopes) <= set(self._scopes)

    def save_token(self, *_args: object, **_kwargs: object) -> None:
        """Do nothing: TokenIssuer keeps the token."""


class AuthorizationServer:
    """The token endpoint without HTTP: it turns a form into a response."""

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        scope: str,
        client_auth: ClientAuth,
        issuer: TokenIssuer,
    ) -> None:
        """Serve one client, with one client authentication method."""
        if client_auth not in get_args(ClientAuth):
            choices = get_args(ClientAuth)
            raise ValueError(f"client_auth must be one of {choices}, not {client_auth!r}")
        self._issuer = issuer
        self._oauthlib = BackendApplicationServer(
            _ClientCheck(client_id, client_secret, scope.split(), client_auth)
        )
        self._oauthlib.credentials_grant.register_token_modifier(self._issue)

    def answer(self, request: ReceivedRequest, query: str) -> Answer:
        """Return the token endpoint's response to this request."""
        if request.method != "POST":
            description = f"Request method {request.method!r} not supported"
            return _refusal(405, "method_not_allowed", description, {"Allow": "POST"})
        if request.headers.get_content_type() != "application/x-www-form-urlencoded":
            description = "Content-Type must be application/x-www-form-urlencoded"
            return _refusal(400, "invalid_request", description, {})
        # oauthlib rejects http, and does not use the host.
        uri = f"https://localhost/?{query}" if query else "https://localhost/"
        try:
            # Latin-1 decodes any bytes; oauthlib rejects all but percent-encoded ASCII.
            headers, text, status = self._oauthlib.create_token_response(
                uri, "POST", request.body.decode("latin-1"), dict(request.headers.items())
            )
        except OAuth2Error as error:
            return _refusal(error.status_code, str(error.error), error.description, {})
        except ValueError:
            return _refusal(400, "invalid_request", "The query is not well-formed", {})
        if status == 401:
            # oauthlib sends Bearer, but the client authenticates with Basic (RFC 6749 §5.2).
            headers = {**headers, "WWW-Authenticate": 'Basic realm="mediahound"'}
        return Answer(status, headers, text.encode())

    def _issue(self, draft: dict[str, object], *_args: object) -> dict[str, object]:
        # Replaces oauthlib's token, which is a new one each time.
        scope = str(draft["scope"])
        value, expires_in = self._issuer.issue(" ".join(sorted(set(scope.split()))))
        return _QuietToken(
            access_token=value, token_type="bearer", expires_in=expires_in, scope=scope
        )


def _refusal(status: int, error: str, description: str, headers: Mapping[str, str]) -> Answer:
    body = {"error": error, "error_description": description}
    return Answer.of(status, body, {"Cache-Control": "no-store", "Pragma": "no-cache", **headers})
