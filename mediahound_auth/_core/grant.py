"""The client-credentials grant (RFC 6749 §4.4): the token request and its response. Pure.

The request is the one of MediaHound's page "Client-Credentials Grant". The response is untrusted
data, and becomes a `Token` or one of the errors of errors.py.

oauthlib's `BackendApplicationClient` makes the body of the request and parses the response. It only
gets responses that have been checked here. Otherwise it would take `expires_in: 0` for "never
expires", raise a changed scope as a `Warning`, read a body that is not JSON as a query string, and
fail for JSON that is not an object.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple, cast, get_args
from urllib.parse import quote, urlencode, urlsplit

from mediahound_auth._core.masked import Masked, MaskedBytes
from mediahound_auth._core.origins import without_query
from mediahound_auth._core.response import (
    MAX_RESPONSE_SIZE,
    TokenResponse,
    json_object,
    lifetime,
    retry_after_of,
    sanitized,
    scope_of,
    shows_private,
    words_in,
    words_of,
)
from mediahound_auth.errors import (
    ConfigurationError,
    InvalidClientError,
    InvalidTokenResponse,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth.token import Token

__all__ = [
    "ASSERTION_TYPE",
    "MAX_RESPONSE_SIZE",
    "ClientAuth",
    "Grant",
    "TokenRequest",
    "TokenResponse",
]

ClientAuth = Literal["mediahound", "client_secret_basic", "client_secret_post", "client_assertion"]

# RFC 7523 §2.2: a signed JWT in place of the secret.
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# The token types of RFC 6750, Apigee, eBay, and of servers that send an empty one. In lower case.
_BEARER_TYPES = ("bearer", "bearertoken", "application access token", "")

# How to fix an OAuth error (RFC 6749 §5.2).
_REMEDIES = {
    "invalid_scope": ". Request other scopes with scope=, or none",
    "unsupported_grant_type": ". The endpoint does not support the client-credentials grant: check "
    "token_url, or pass the grant_type of this provider in parameters=",
}


class TokenRequest(NamedTuple):
    """A POST to the token endpoint, to be sent unchanged.

    The sender must not follow redirects: the secret is for the configured URL only.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"TokenRequest(url={without_query(self.url)!r}, ...)"


class Grant(NamedTuple):
    """The values that identify an access token: client, token endpoint, scope and parameters."""

    client_id: str
    client_secret: str | Callable[[], str]
    token_url: str
    scope: str = ""
    client_auth: ClientAuth = "mediahound"
    parameters: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Grant(client_id={self.client_id!r}, token_url={self.endpoint!r}, ...)"

    @property
    def host(self) -> str:
        """The token endpoint's host, with the port if the URL has one, for logs."""
        return urlsplit(self.token_url).netloc

    @property
    def endpoint(self) -> str:
        """The token endpoint's URL without its query, for messages."""
        return without_query(self.token_url)

    def resolved(self) -> Grant:
        """Return the grant with the client secret. A callable is called each time.

        The methods below need a resolved grant.

        Raises:
            ConfigurationError: The callable raised, or returned something else than a secret.
        """
        if isinstance(self.client_secret, str):
            return self
        try:
            secret = self.client_secret()
        except Exception as error:
            raise ConfigurationError(
                f"the client_secret callable raised {type(error).__name__}; "
                "it must return the client secret"
            ) from error
        if not isinstance(secret, str) or not secret:
            raise ConfigurationError(
                "the client_secret callable must return the client secret as a non-empty str; "
                f"it returned {'an empty str' if secret == '' else type(secret).__name__}"
            )
        try:
            secret.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(
                "the return value of the client_secret callable cannot be encoded as UTF-8"
            ) from None
        return self._replace(client_secret=Masked(secret))

    def key(self) -> str:
        """Return the key of this grant's token in a store: a digest, equal for equal grants.

        It depends on the secret, so that a wrong secret never finds a token. It does not depend on
        a client assertion, which is a new one each time.
        """
        is_assertion = self.client_auth == "client_assertion"
        secret = "" if is_assertion else cast(str, self.client_secret)
        parts = [self.token_url, self.client_id, self.scope, self.client_auth]
        if self.parameters:
            parts.append(json.dumps(self.parameters))
        return _digest(secret, *parts)

    def request(self) -> TokenRequest:
        """Return the token request, as in MediaHound's documentation or in RFC 6749 §2.3.1."""
        from oauthlib.oauth2 import BackendApplicationClient

        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if self.client_auth in ("mediahound", "client_secret_basic"):
            headers["Authorization"] = Masked(f"Basic {self._basic()}")
        secret: dict[str, str] = {}
        if self.client_auth == "client_assertion":
            secret["client_assertion_type"] = ASSERTION_TYPE
            secret["client_assertion"] = cast(str, self.client_secret)
        elif self.client_auth != "client_secret_basic":
            secret["client_secret"] = cast(str, self.client_secret)
        client = BackendApplicationClient(self.client_id)
        client.grant_type = dict(self.parameters).get("grant_type", client.grant_type)
        body = client.prepare_request_body(
            body=urlencode([pair for pair in self.parameters if pair[0] != "grant_type"]),
            scope=self.scope or None,
            include_client_id=bool(secret),
            **secret,
        )
        return TokenRequest(self.token_url, headers, MaskedBytes(body.encode("ascii")))

    def token(self, response: TokenResponse, *, sent_at: float, known: Iterable[str] = ()) -> Token:
        """Return the token of `response`. Its lifetime counts from `sent_at`, a Unix time.

        Errors quote neither the secret nor the access tokens of `known`.

        Raises:
            TokenRequestError: The response has no valid token.
        """
        fields: dict[str, object] = {}
        try:
            fields = json_object(response.body)
            if 200 <= response.status < 300 and not fields.get("error"):
                return self._read(fields, sent_at, self._private(fields, known))
            why = "the body is neither a token response nor an OAuth error response"
        except ValueError as error:
            # Its text does not quote the response.
            why = str(error)
        private = self._private(fields, known)
        raise self._error_from(response, fields, why, sent_at, private)

    def shows_private(self, text: str) -> bool:
        """Whether `text` may contain the secret or a parameter. True if the secret is not known."""
        if not isinstance(self.client_secret, str):
            return True
        return shows_private(text, self._private({}, ()))

    def _private(self, fields: Mapping[str, object], known: Iterable[str]) -> list[str]:
        """Return the texts that no message may quote."""
        tokens = [*known, fields.get("access_token")]
        sent = [cast(str, self.client_secret), self._basic()]
        sent += [value for name, value in self.parameters if name != "grant_type"]
        return sent + [token for token in tokens if isinstance(token, str)]

    def _basic(self) -> str:
        """Return the credentials of HTTP Basic authentication (RFC 7617 §2)."""
        pair = [self.client_id, cast(str, self.client_secret)]
        if self.client_auth == "client_secret_basic":
            # RFC 6749 §2.3.1. A space is %20, because some servers do not decode "+".
            pair = [quote(text, safe="") for text in pair]
        return base64.b64encode(":".join(pair).encode()).decode("ascii")

    def _read(self, fields: dict[str, object], sent_at: float, private: list[str]) -> Token:
        access_token = fields.get("access_token")
        if not isinstance(access_token, str) or not access_token:
            raise ValueError("the body has no access_token")
        token_type = fields.get("token_type")
        if token_type is not None and str(token_type).lower() not in _BEARER_TYPES:
            raise ValueError("token_type is not Bearer")
        checked: dict[str, object] = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": lifetime(fields.get("expires_in")),
        }
        scope = scope_of(fields.get("scope"))
        if scope and scope != self.scope and shows_private(scope, private):
            scope = None
        from oauthlib.oauth2 import BackendApplicationClient

        client = BackendApplicationClient(self.client_id)
        answer = client.parse_request_body_response(json.dumps(checked))
        return Token(
            access_token=answer["access_token"],
            expires_at=sent_at + answer["expires_in"],
            requested_at=sent_at,
            # RFC 6749 §5.1: without a scope in the response, it is the requested one.
            scope=scope or self.scope or None,
        )

    def _error_from(
        self,
        response: TokenResponse,
        fields: dict[str, object],
        why: str,
        now: float,
        private: list[str],
    ) -> TokenRequestError:
        error = sanitized(fields.get("error"), private)
        description = sanitized(fields.get("error_description"), private)
        if error is None or " " in error:  # not an OAuth code, such as Spring's "Not Found"
            error = None
            # In a response with status 2xx, other texts may be a token.
            success = 200 <= response.status < 300
            words = words_in(fields.get("error")) if success else words_of(response.body)
            description = description or sanitized(words, private)
        retry_after = retry_after_of(response, now)
        said = (error or f"HTTP {response.status}") + (f" ({description})" if description else "")
        why += f" ({description})" if description else ""
        kind, message = self._in_words(response.status, error, said, why)
        if kind is TokenEndpointUnavailable and retry_after is not None:
            message += f"; Retry-After: {retry_after:.0f} s"
        return kind(
            message,
            status=response.status,
            error=error,
            error_description=description,
            retry_after=retry_after,
        )

    def _in_words(
        self, status: int, error: str | None, said: str, why: str
    ) -> tuple[type[TokenRequestError], str]:
        endpoint, client = f"the token endpoint {self.endpoint}", f"client {self.client_id!r}"
        unavailable = status >= 500 or status in (408, 425) or error == "temporarily_unavailable"
        if status == 429:
            return TokenEndpointUnavailable, f"{endpoint} limits the requests of {client}: {said}"
        if unavailable:
            return TokenEndpointUnavailable, f"{endpoint} is unavailable: {said}"
        rejected = error in ("invalid_client", "unauthorized_client")
        if status == 401 or rejected:
            credentials = (
                "client_id= and client_secret= (or MEDIAHOUND_CLIENT_ID and "
                "MEDIAHOUND_CLIENT_SECRET)"
            )
            # Any other API responds with 401, too.
            first = f"{credentials}, token_url" if rejected else f"token_url, {credentials}"
            return InvalidClientError, (
                f"{endpoint} rejected {client}: {said}. Check {first}, and whether the endpoint "
                f"expects client_auth={self.client_auth!r}"
            ) + self._white_space()
        if error is not None:
            message = f"{endpoint} rejected the token request of {client}: {said}"
            message += _REMEDIES.get(error, "")
            if error == "invalid_request":
                # RFC 6749 §5.2: also the error for more than one client authentication method.
                others = [repr(name) for name in get_args(ClientAuth) if name != self.client_auth]
                message += (
                    f". The endpoint may expect another client_auth= ({', '.join(others)}), or a "
                    "further field such as audience in parameters="
                )
            return TokenRequestError, message
        if 300 <= status < 400:
            why = "the response is a redirect, and redirects are never followed"
        remedy = "Check that token_url is the full URL of the token endpoint"
        if 400 <= status < 500 and status not in (404, 405, 410):
            remedy = (
                "Check token_url, and what the endpoint expects: "
                f"client_auth={self.client_auth!r}, scope= and parameters="
            )
        return InvalidTokenResponse, (
            f"invalid token response from {self.endpoint} (HTTP {status}): {why}. {remedy}"
        )

    def _white_space(self) -> str:
        """Return a hint if the client ID or the client secret begins or ends with white space."""
        credentials = {"client_id": self.client_id, "client_secret": cast(str, self.client_secret)}
        names = [name for name, text in credentials.items() if text != text.strip()]
        verbs = "begins or ends" if len(names) == 1 else "begin or end"
        return f". {' and '.join(names)} {verbs} with white space" if names else ""


@lru_cache(maxsize=16)
def _digest(secret: str, *parts: str) -> str:
    # Slow on purpose, so that a reader of a store cannot guess the secret.
    return _pbkdf2(secret.encode(), json.dumps(parts).encode(), 20_000).hex()


def _pbkdf2(secret: bytes, salt: bytes, iterations: int) -> bytes:
    if hasattr(hashlib, "pbkdf2_hmac"):
        return hashlib.pbkdf2_hmac("sha256", secret, salt, iterations)
    # RFC 8018 §5.2, for a Python that was built without OpenSSL, as Pyodide is.
    keyed = hmac.new(secret, digestmod=hashlib.sha256)
    block, result = salt + b"\0\0\0\1", 0
    for _ in range(iterations):
        mac = keyed.copy()
        mac.update(block)
        block = mac.digest()
        result ^= int.from_bytes(block)
    return result.to_bytes(32)
