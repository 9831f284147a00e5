"""Invalid and incomplete token responses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from mediahound_auth import (
    InvalidClientError,
    InvalidTokenResponse,
    Token,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth._core.grant import Grant, TokenResponse

NOW = 1_700_000_000.0
TWO_WEEKS = 14 * 24 * 3600
MEBIBYTE = 1 << 20
JSON = {"Content-Type": "application/json"}


def read(response: TokenResponse) -> Token:
    grant = Grant("MyClientId", "s3cr3t", "https://api.example/token", "asked_for")
    return grant.token(response, sent_at=NOW)


def answer(status: int = 200, **fields: object) -> TokenResponse:
    """The documented answer but for these fields; Ellipsis leaves one out."""
    documented = {
        "access_token": "t0ken",
        "token_type": "bearer",
        "expires_in": 3600,
        "scope": "public_profile",
    }
    chosen = {k: v for k, v in {**documented, **fields}.items() if v is not ...}
    return TokenResponse(status, JSON, json.dumps(chosen).encode())


def raw(body: bytes, status: int = 200, content_type: str = "application/json") -> TokenResponse:
    return TokenResponse(status, {"Content-Type": content_type}, body)


def token(expires_in: float = 3600, scope: str = "public_profile") -> Token:
    return Token("t0ken", NOW + expires_in, NOW, scope)


DOCUMENTED = answer().body
TABLE: dict[str, tuple[TokenResponse, Token | type[TokenRequestError]]] = {
    "as documented": (answer(), token()),
    # the body
    "HTML": (raw(b"<html>Welcome to the hotel</html>", 200, "text/html"), InvalidTokenResponse),
    "empty": (raw(b""), InvalidTokenResponse),
    "blank": (raw(b" \r\n"), InvalidTokenResponse),
    "truncated": (raw(DOCUMENTED[:-10]), InvalidTokenResponse),
    "Latin-1": (raw(DOCUMENTED.replace(b"public", b"p\xfcblic")), token(scope="püblic_profile")),
    "Latin-1 in the token": (raw(DOCUMENTED.replace(b"t0ken", b"t\xf6ken")), InvalidTokenResponse),
    "UTF-16": (raw(DOCUMENTED.decode().encode("utf-16")), InvalidTokenResponse),
    "with a byte order mark": (raw(b"\xef\xbb\xbf" + DOCUMENTED), token()),
    "query string": (raw(b"access_token=t0ken&token_type=bearer"), InvalidTokenResponse),
    "null": (raw(b"null"), InvalidTokenResponse),
    "array": (raw(b"[" + DOCUMENTED + b"]"), InvalidTokenResponse),
    "string": (raw(b'"t0ken"'), InvalidTokenResponse),
    "number": (raw(b"42"), InvalidTokenResponse),
    "empty object": (raw(b"{}"), InvalidTokenResponse),
    "deep nesting": (raw(b"[" * 100_000), InvalidTokenResponse),
    "deep nesting in a token": (
        raw(DOCUMENTED[:-1] + b', "deep": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001),
        InvalidTokenResponse,
    ),
    "as long as may be": (raw(DOCUMENTED.ljust(MEBIBYTE)), token()),
    "over-long": (raw(DOCUMENTED.ljust(MEBIBYTE + 1)), InvalidTokenResponse),
    # access_token
    "no access_token": (answer(access_token=...), InvalidTokenResponse),
    "access_token null": (answer(access_token=None), InvalidTokenResponse),
    "access_token empty": (answer(access_token=""), InvalidTokenResponse),
    "access_token numeric": (answer(access_token=42), InvalidTokenResponse),
    "access_token an object": (answer(access_token={"value": "t0ken"}), InvalidTokenResponse),
    "access_token not ASCII": (answer(access_token="tök€n"), InvalidTokenResponse),
    "access_token with CR/LF": (answer(access_token="t\r\nX-Evil: 1"), InvalidTokenResponse),
    "access_token ends in LF": (answer(access_token="t0ken\n"), InvalidTokenResponse),
    "access_token with a blank": (answer(access_token="t0 ken"), InvalidTokenResponse),
    "access_token with NUL": (answer(access_token="t0\x00ken"), InvalidTokenResponse),
    "access_token half a character": (answer(access_token="t\ud800"), InvalidTokenResponse),
    # token_type
    "token_type missing": (answer(token_type=...), token()),
    "token_type in capitals": (answer(token_type="BEARER"), token()),
    "token_type null": (answer(token_type=None), token()),
    "token_type empty": (answer(token_type=""), token()),
    "token_type of Apigee": (answer(token_type="BearerToken"), token()),
    "token_type of eBay": (answer(token_type="Application Access Token"), token()),
    "token_type of eBay for users": (answer(token_type="User Access Token"), InvalidTokenResponse),
    "token_type false": (answer(token_type=False), InvalidTokenResponse),
    "token_type mac": (answer(token_type="mac"), InvalidTokenResponse),
    "token_type DPoP": (answer(token_type="DPoP"), InvalidTokenResponse),
    "token_type a number": (answer(token_type=1), InvalidTokenResponse),
    # expires_in
    "expires_in missing": (answer(expires_in=...), token(TWO_WEEKS)),
    "expires_in null": (answer(expires_in=None), token(TWO_WEEKS)),
    "expires_in 0": (answer(expires_in=0), token(1)),
    "expires_in negative": (answer(expires_in=-3600), token(1)),
    "expires_in minus infinity": (answer(expires_in=-float("inf")), InvalidTokenResponse),
    "expires_in boolean": (answer(expires_in=True), InvalidTokenResponse),
    "expires_in false": (answer(expires_in=False), InvalidTokenResponse),
    "expires_in a string number": (answer(expires_in="3600"), token(3600)),
    "expires_in a negative string number": (answer(expires_in="-1"), token(1)),
    "expires_in a string in spaces": (answer(expires_in=" 3599 \n"), token(3599)),
    "expires_in a string with a fraction": (answer(expires_in="3599.9"), token(3599)),
    "expires_in a string of 30 digits": (answer(expires_in="9" * 30), token(TWO_WEEKS)),
    "expires_in a string of 400 digits": (answer(expires_in="9" * 400), token(TWO_WEEKS)),
    "expires_in a string of 400 digits below 0": (answer(expires_in="-" + "9" * 400), token(1)),
    "expires_in an empty string": (answer(expires_in=""), InvalidTokenResponse),
    "expires_in digits of another script": (answer(expires_in="٣٦٠٠"), InvalidTokenResponse),
    "expires_in milliseconds": (answer(expires_in=900_000), token(900_000)),
    "expires_in float": (answer(expires_in=3600.0), token(3600)),
    "expires_in NaN": (answer(expires_in=float("nan")), InvalidTokenResponse),
    "expires_in NaN as text": (answer(expires_in="NaN"), InvalidTokenResponse),
    "expires_in infinity": (answer(expires_in=float("inf")), InvalidTokenResponse),
    "expires_in 1e30": (answer(expires_in=1e30), token(TWO_WEEKS)),
    "expires_in of 400 digits": (answer(expires_in=10**400), token(TWO_WEEKS)),
    "expires_in text": (answer(expires_in="soon"), InvalidTokenResponse),
    "expires_in a list": (answer(expires_in=[3600]), InvalidTokenResponse),
    # scope
    "scope missing": (answer(scope=...), token(scope="asked_for")),
    "scope empty": (answer(scope=""), token(scope="asked_for")),
    "scope changed": (answer(scope="something_else"), token(scope="something_else")),
    "scope a list": (answer(scope=["a", "b"]), token(scope="a b")),
    "scope a list of numbers": (answer(scope=[1, 2]), token(scope="asked_for")),
    "scope a number": (answer(scope=42), token(scope="asked_for")),
    # the rest
    "error with status 200": (answer(error="invalid_scope"), TokenRequestError),
    "invalid_client with status 200": (answer(error="invalid_client"), InvalidClientError),
    "error null beside a token": (answer(error=None), token()),
    "error empty beside a token": (answer(error=""), token()),
    "error false beside a token": (answer(error=False), token()),
    "error empty with status 400": (answer(400, error=""), InvalidTokenResponse),
    "error an object": (answer(error={"code": 7, "message": "no"}), InvalidTokenResponse),
    "error an object with status 400": (answer(400, error={"code": 7}), InvalidTokenResponse),
    "201": (answer(201), token()),
    "204": (raw(b"", 204), InvalidTokenResponse),
    "1xx with a token": (answer(103), InvalidTokenResponse),
    "3xx with a token": (answer(302), InvalidTokenResponse),
    "304": (raw(b"", 304), InvalidTokenResponse),
    "400 with a token": (answer(400), InvalidTokenResponse),
    "token called HTML": (raw(DOCUMENTED, 200, "text/html"), token()),
    "HTML called JSON": (raw(b"<html/>", 200), InvalidTokenResponse),
    "token of no type": (TokenResponse(200, {}, DOCUMENTED), token()),
}


@pytest.mark.parametrize("row", TABLE)
def test_a_response_becomes_a_token_or_its_error(row: str) -> None:
    response, outcome = TABLE[row]
    if isinstance(outcome, Token):
        assert read(response) == outcome
    else:
        with pytest.raises(outcome) as caught:
            read(response)
        assert type(caught.value) is outcome
        assert caught.value.status == response.status
        assert "api.example" in str(caught.value)


OAUTH = b'{"error": "%s", "error_description": "Who are you?"}'


@pytest.mark.parametrize(
    ("status", "body", "kind", "error", "description"),
    [
        (400, OAUTH % b"invalid_scope", TokenRequestError, "invalid_scope", "Who are you?"),
        (400, OAUTH % b"invalid_client", InvalidClientError, "invalid_client", "Who are you?"),
        (400, b'{"error": "unauthorized_client"}', InvalidClientError, "unauthorized_client", None),
        (400, b'{"error_description": "Why?"}', InvalidTokenResponse, None, "Why?"),
        (401, OAUTH % b"invalid_client", InvalidClientError, "invalid_client", "Who are you?"),
        (401, b"<html>401</html>", InvalidClientError, None, "401"),
        (401, b"", InvalidClientError, None, None),
        (403, OAUTH % b"access_denied", TokenRequestError, "access_denied", "Who are you?"),
        (403, b"<html>403</html>", InvalidTokenResponse, None, "403"),
        (404, b"<html>404</html>", InvalidTokenResponse, None, "404"),
        (302, b"", InvalidTokenResponse, None, None),
        (429, b"", TokenEndpointUnavailable, None, None),
        (429, OAUTH % b"slow_down", TokenEndpointUnavailable, "slow_down", "Who are you?"),
        (500, b"<html>500</html>", TokenEndpointUnavailable, None, "500"),
        (500, OAUTH % b"server_error", TokenEndpointUnavailable, "server_error", "Who are you?"),
        (503, b"", TokenEndpointUnavailable, None, None),
    ],
)
def test_an_error_response_is_a_typed_error_with_its_description(
    status: int,
    body: bytes,
    kind: type[TokenRequestError],
    error: str | None,
    description: str | None,
) -> None:
    with pytest.raises(TokenRequestError) as caught:
        read(raw(body, status))
    failure = caught.value
    assert type(failure) is kind
    assert (failure.status, failure.error) == (status, error)
    assert failure.error_description == description
    assert failure.retry_after is None
    if error:
        assert error in str(failure)
        assert (description or "") in str(failure)


def test_the_error_for_a_rejected_client_says_what_to_check() -> None:
    with pytest.raises(InvalidClientError, match="MyClientId") as caught:
        read(raw(b"", 401))
    for hint in ("MEDIAHOUND_CLIENT_ID", "MEDIAHOUND_CLIENT_SECRET", "client_auth"):
        assert hint in str(caught.value)


def test_a_redirect_of_the_token_endpoint_is_named_in_the_error() -> None:
    with pytest.raises(InvalidTokenResponse, match="redirect"):
        read(raw(b"", 302))


@pytest.fixture(params=["UTC", "Asia/Tokyo"])
def timezone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


def at(layout: str) -> str:
    """A minute and a half from now, in this layout."""
    return time.strftime(layout, time.gmtime(NOW + 90))


@pytest.mark.usefixtures("timezone")
@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        pytest.param("120", 120.0, id="seconds"),
        pytest.param(" 7 ", 7.0, id="seconds in blanks"),
        pytest.param("0", 0.0, id="zero"),
        pytest.param(formatdate(NOW + 90, usegmt=True), 90.0, id="HTTP date"),
        pytest.param(at("%A, %d-%b-%y %H:%M:%S GMT"), 90.0, id="RFC 850 date"),
        pytest.param(at("%a %b %d %H:%M:%S %Y"), 90.0, id="asctime date"),
        pytest.param(formatdate(NOW - 90, usegmt=True), 0.0, id="date gone by"),
        pytest.param("soon", None, id="garbage"),
        pytest.param("", None, id="empty"),
        pytest.param("-5", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("NaN", None, id="NaN"),
        pytest.param("٣", None, id="digits of another script"),
        pytest.param(f"Thu, 01 Jan {9**30} 00:00:00 GMT", None, id="far away"),
        pytest.param("Thu, 32 Foo 2023 99:99:99 GMT", None, id="no such date"),
    ],
)
@pytest.mark.parametrize("header", ["Retry-After", "retry-after"])
@pytest.mark.parametrize("status", [429, 503, 400])
def test_retry_after_is_seconds_from_now(
    status: int, header: str, said: str, seconds: float | None
) -> None:
    with pytest.raises(TokenRequestError) as caught:
        read(TokenResponse(status, {header: said}, b""))
    assert caught.value.retry_after == seconds
