"""The exact words of errors, and when each is used."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from response_promises import KNOWN, SECRET, SENT_AT, keep

from mediahound_auth import (
    ConfigurationError,
    InvalidClientError,
    InvalidTokenResponse,
    Token,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth._core.grant import Grant, TokenResponse
from mediahound_auth._core.lifecycle import NEVER, State
from mediahound_auth._core.origins import origin_of

pytestmark = pytest.mark.once

TOKEN = {"access_token": "f00-ba7", "token_type": "bearer", "expires_in": 60}
PRINTABLE = "access_token is empty, or contains spaces"
NO_ANSWER = (
    "invalid token response from https://api.example.com/token (HTTP {status}): {why}. {remedy}"
)
CHECK_URL = "Check that token_url is the full URL of the token endpoint"
CHECK_OPTIONS = (
    "Check token_url, and what the endpoint expects: client_auth='mediahound', scope= and "
    "parameters="
)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b" \n", "the body is empty"),
        (200, b"<html>", "the body is not JSON"),
        (200, b"\xff", "the body is not JSON"),
        (200, b"[]", "the body is not a JSON object"),
        (200, b" " * ((1 << 20) + 1), "the body is longer than 1048576 bytes"),
        (200, {}, "the body has no access_token"),
        (200, {**TOKEN, "access_token": 5}, "the body has no access_token"),
        (200, {**TOKEN, "access_token": ""}, "the body has no access_token"),
        (
            200,
            {**TOKEN, "access_token": "a b"},
            "access_token is empty, or contains spaces, control or non-ASCII characters",
        ),
        (200, {**TOKEN, "token_type": "mac"}, "token_type is not Bearer"),
        (200, {**TOKEN, "expires_in": "soon"}, "expires_in is not a number of seconds"),
        (200, {**TOKEN, "expires_in": True}, "expires_in is not a number of seconds"),
        (
            200,
            {**TOKEN, "expires_in": math.nan},
            "expires_in is not a finite number of seconds",
        ),
        (300, TOKEN, "the response is a redirect, and redirects are never followed"),
        (399, TOKEN, "the response is a redirect, and redirects are never followed"),
        (299, {"error": 5}, "the body is neither a token response nor an OAuth error response"),
        (400, TOKEN, "the body is neither a token response nor an OAuth error response"),
        (404, {}, "the body is neither a token response nor an OAuth error response"),
        (405, b"", "the body is empty"),
        (410, b"", "the body is empty"),
    ],
)
def test_an_invalid_token_response_is_explained(status: int, body: Any, why: str) -> None:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = keep(status, {}, octets)
    assert isinstance(error, InvalidTokenResponse)
    remedy = CHECK_OPTIONS if status == 400 else CHECK_URL
    assert str(error) == NO_ANSWER.format(status=status, why=why, remedy=remedy)


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "message"),
    [
        (
            401,
            {},
            {"error": "invalid_client", "error_description": "Bad\tcredentials"},
            InvalidClientError,
            "the token endpoint https://api.example.com/token rejected client 'MyClientId': "
            "invalid_client (Bad credentials). Check client_id= and client_secret= (or "
            "MEDIAHOUND_CLIENT_ID and MEDIAHOUND_CLIENT_SECRET), token_url, and whether the "
            "endpoint expects client_auth='mediahound'",
        ),
        (
            401,
            {},
            {"error": "unauthorized"},
            InvalidClientError,
            "the token endpoint https://api.example.com/token rejected client 'MyClientId': "
            "unauthorized. Check token_url, client_id= and client_secret= (or "
            "MEDIAHOUND_CLIENT_ID and MEDIAHOUND_CLIENT_SECRET), and whether the endpoint expects "
            "client_auth='mediahound'",
        ),
        (
            400,
            {},
            {"error": "invalid_scope"},
            TokenRequestError,
            "the token endpoint https://api.example.com/token rejected the token request of client "
            "'MyClientId': invalid_scope. Request other scopes with scope=, or none",
        ),
        (
            400,
            {},
            {"error": "invalid_request"},
            TokenRequestError,
            "the token endpoint https://api.example.com/token rejected the token request of client "
            "'MyClientId': invalid_request. The endpoint may expect another client_auth= "
            "('client_secret_basic', 'client_secret_post', 'client_assertion'), or a further field "
            "such as audience in parameters=",
        ),
        (
            400,
            {},
            {"error": "unsupported_grant_type"},
            TokenRequestError,
            "the token endpoint https://api.example.com/token rejected the token request of client "
            "'MyClientId': unsupported_grant_type. The endpoint does not support the "
            "client-credentials grant: check token_url, or pass the grant_type of this provider in "
            "parameters=",
        ),
        (
            503,
            {},
            {},
            TokenEndpointUnavailable,
            "the token endpoint https://api.example.com/token is unavailable: HTTP 503",
        ),
        *(
            (
                status,
                {},
                {},
                TokenEndpointUnavailable,
                f"the token endpoint https://api.example.com/token is unavailable: HTTP {status}",
            )
            for status in (408, 425)
        ),
        (
            400,
            {},
            {"error": "temporarily_unavailable"},
            TokenEndpointUnavailable,
            "the token endpoint https://api.example.com/token is unavailable: "
            "temporarily_unavailable",
        ),
        (
            429,
            {"retry-after": " 7 "},
            {},
            TokenEndpointUnavailable,
            "the token endpoint https://api.example.com/token limits the requests of client "
            "'MyClientId': HTTP 429; Retry-After: 7 s",
        ),
    ],
)
def test_a_rejection_is_explained(
    status: int, headers: dict[str, str], body: Any, kind: type, message: str
) -> None:
    error = keep(status, headers, json.dumps(body).encode())
    assert type(error) is kind
    assert str(error) == message


NOT_FOUND = {
    "timestamp": "2026-11-26T12:00:00.000+00:00",
    "status": 404,
    "error": "Not Found",
    "path": "/oauth/token",
}
FAULT = {"fault": {"faultstring": "Invalid client id {0}", "detail": {"errorcode": "oauth.v2.Bad"}}}
FEDEX = {"transactionId": "624deea6", "errors": [{"code": "BAD.KEY", "message": "No such key."}]}
PROBLEM = {"type": "https://a.example/p", "title": "Forbidden", "status": 403, "detail": "Not yet."}
XML = b'<?xml version="1.0"?>\n<error code="7"><message>No such client</message>\n</error>'
PAGE = b"<html><head><TITLE lang=en>Access Denied</TITLE><style>a {}</style></head>...</html>"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, NOT_FOUND, "Not Found"),
        (400, FAULT, "Invalid client id {0}"),
        (400, FEDEX, "No such key."),
        (403, PROBLEM, "Not yet."),
        (400, [{"errorCode": "X", "message": "No such key."}], "No such key."),
        (
            400,
            {"error": {"message": "No such key.", "hint": "Look it up"}},
            "No such key.; Look it up",
        ),
        (400, {"error": "Bad Request", "error_description": "No such key."}, "No such key."),
        (400, {"message": "Forbidden", "code": 7}, "Forbidden"),
        (400, [["a b"], "c d", "e f"], "a b; c d"),
        (400, XML, "No such client"),
        (403, PAGE, "Access Denied"),
        (400, b"Key is\r\n disabled.", "Key is disabled."),
        (400, "Schlüssel gesperrt".encode(), "Schlüssel gesperrt"),
        (400, "Schlüssel gesperrt".encode("latin-1"), None),
        (400, b"\x89PNG\xff\xfe", None),
        (400, b" " * ((1 << 20) + 1), None),
        (400, b'{"a": 1}', None),
        (400, [[[]], {}, "  "], None),
        (400, b"[" * 100_000, "["),
        (400, {"message": f"no {KNOWN}"}, None),
        (400, f"<a>no {SECRET[:5]}<b>{SECRET[5:]}</b></a>".encode(), None),
        (200, {"error": {"message": "No such key."}, "x": "a private token"}, "No such key."),
        (200, {"token": "another-name-for-it", "message": "a private token"}, None),
        (200, b"a private token", None),
    ],
)
def test_a_providers_error_text_is_quoted(status: int, body: Any, words: str | None) -> None:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = keep(status, {}, octets)
    assert isinstance(error, InvalidTokenResponse)
    assert error.error is None
    if words == "[":  # what is looked at, and then what is quoted, is cut
        assert error.error_description == "[" * 300
    else:
        assert error.error_description == words
    assert error.error_description is None or f" ({error.error_description}). " in str(error)
    assert ("full URL" in str(error)) == (status in (200, 404))


@pytest.mark.parametrize("status", [401, 429, 503])
def test_401_429_and_503_quote_the_servers_text(status: int) -> None:
    error = keep(status, {}, json.dumps(FAULT).encode())
    assert f"HTTP {status} (Invalid client id {{0}})" in str(error)


def test_only_the_beginning_of_a_response_is_searched_for_text() -> None:
    error = keep(400, {}, json.dumps([*range(100_000), "a b"]).encode())
    assert isinstance(error, InvalidTokenResponse)
    assert error.error_description is None


@pytest.mark.parametrize(
    ("client_id", "secret", "hint"),
    [
        ("id", "secret\n", "client_secret begins or ends with white space"),
        (" id", "secret", "client_id begins or ends with white space"),
        ("id\t", " secret", "client_id and client_secret begin or end with white space"),
        ("i d", "sec ret", None),
    ],
)
def test_the_error_for_a_rejected_client_mentions_white_space(
    client_id: str, secret: str, hint: str | None
) -> None:
    grant = Grant(client_id, secret, "https://api.example.com/token")
    with pytest.raises(InvalidClientError) as caught:
        grant.token(TokenResponse(401, {}, b""), sent_at=SENT_AT)
    assert ("white space" in str(caught.value)) == (hint is not None)
    assert (hint or "") in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_quote_is_truncated() -> None:
    body = {"error": "e", "error_description": "x" * 400}
    error = keep(400, {}, json.dumps(body).encode())
    assert isinstance(error, TokenRequestError)
    assert error.error_description == "x" * 300


@pytest.mark.parametrize("private", [KNOWN, SECRET, SECRET.upper()])
def test_a_text_with_anything_private_in_it_is_dropped_whole(private: str) -> None:
    body = {"error": "e", "error_description": f"this is {private}, is it not?"}
    error = keep(400, {}, json.dumps(body).encode())
    assert isinstance(error, TokenRequestError)
    assert (error.error, error.error_description) == ("e", None)


def test_no_error_quotes_the_token_of_the_response() -> None:
    body = {"access_token": "f00-ba7", "error": "odd", "error_description": "not f00-ba7"}
    error = keep(200, {}, json.dumps(body).encode())
    assert isinstance(error, TokenRequestError)
    assert error.error_description is None


def test_a_scope_that_echoes_the_secret_is_dropped() -> None:
    grant = Grant("MyClientId", "TopSecret", "https://api.example.com/token")
    body = json.dumps({**TOKEN, "scope": "a TopSecret  b"}).encode()
    token = grant.token(TokenResponse(200, {}, body), sent_at=SENT_AT)
    assert token.scope is None


def test_slashes_in_ids_and_secrets_are_encoded_in_the_header_of_rfc_6749() -> None:
    grant = Grant("a/b c", "d/e f", "https://api.example.com/token", "", "client_secret_basic")
    header = grant.request().headers["Authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")) == b"a%2Fb%20c:d%2Fe%20f"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://a b", "a URL has no spaces, control characters or backslashes"),
        ("ftp://a", "not an absolute http or https URL"),
        (
            "https://faß.example",
            "an international name that has to be written in its ASCII form, xn--…",
        ),
    ],
)
def test_a_url_without_an_origin_is_explained(url: str, why: str) -> None:
    with pytest.raises(ValueError, match="^" + why.replace("…", ".") + "$"):
        origin_of(url)


# Edges of the rules that no other test would miss.

A = Token("a", expires_at=100.0, requested_at=0.0)
B = Token("b", expires_at=50.0, requested_at=10.0)
HAS_A = State().on_token(A, 0.0, margin=0.0, jitter=0.0)


def test_a_token_that_was_requested_at_the_same_moment_is_not_preferred() -> None:
    assert not HAS_A.is_improved_by(B.replace(requested_at=A.requested_at), None, 20.0)
    assert HAS_A.is_improved_by(B, None, 20.0)


def test_a_token_that_has_just_expired_does_not_replace_a_valid_one() -> None:
    assert HAS_A.on_token(B, B.expires_at, margin=0.0, jitter=0.0) is HAS_A


def test_a_token_is_confirmed_by_default_and_keeps_the_count_of_calls() -> None:
    assert HAS_A.unconfirmed == 0
    doubtful = HAS_A._replace(unconfirmed=2, unconfirmed_at=1.0, accepted_calls=3)
    assert doubtful.on_token(B, 20.0, margin=0.0, jitter=0.0).accepted_calls == 3


def test_a_failure_without_retry_after_waits_a_second() -> None:
    failed = HAS_A.on_failure(ConfigurationError("no secret"), 200.0, jitter=0.0, waited_for=True)
    assert failed.retry_at == 201.0


def test_accepted_calls_count_only_while_a_renewal_is_unconfirmed() -> None:
    assert HAS_A.on_accepted("a", retried=False) is HAS_A
    doubtful = HAS_A._replace(unconfirmed=2, unconfirmed_at=1.0, accepted_calls=3)
    assert doubtful.on_accepted("a", retried=True) == HAS_A
    assert HAS_A.unconfirmed_at == NEVER


def test_the_repr_of_a_state_shows_no_token() -> None:
    assert repr(State()).startswith("State(token=None, renew_at=-inf, ")
