"""Any body with any status and any headers becomes a token or a typed error."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from response_promises import KNOWN, SECRET, keep

from mediahound_auth import Token, TokenRequestError

pytestmark = pytest.mark.once

STATUSES = st.one_of(
    st.sampled_from([200, 201, 204, 301, 400, 401, 403, 429, 500, 503]), st.integers(200, 599)
)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "retry-after", "Content-Type", "WWW-Authenticate"]),
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(["0", "-1", "1e9", "999999999", "Wed, 21 Oct 2099 07:28:00 GMT", "²"]),
        st.datetimes().map(lambda when: when.strftime("%a, %d %b %Y %H:%M:%S GMT")),
    ),
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(
        [SECRET, KNOWN, f"a {SECRET} b", "Bearer", "bearer", "mac", "1e400", "9" * 400]
    ),
    st.lists(st.text(max_size=5), max_size=3),
)
NAMES = st.sampled_from(
    ["access_token", "token_type", "expires_in", "scope", "error", "error_description", "else"]
)
ALMOST = st.fixed_dictionaries(
    {"access_token": st.one_of(st.just("f00-ba7"), ODD)},
    optional={
        "token_type": st.one_of(st.just("bearer"), ODD),
        "expires_in": st.one_of(st.integers(-10, 3_000_000), ODD),
        "scope": ODD,
        "error": ODD,
    },
)
JSON = st.recursive(
    ODD, lambda inner: st.one_of(st.lists(inner), st.dictionaries(NAMES, inner)), max_leaves=8
)


@settings(max_examples=2 * settings().max_examples)
@given(STATUSES, HEADERS, st.one_of(st.binary(), st.text().map(str.encode)))
@example(200, {}, b"access_token=f00&token_type=bearer")
@example(200, {}, b"\xef\xbb\xbf{}")
@example(200, {}, b"[" * 100_000)
@example(200, {}, b'{"access_token": "a", "expires_in": 1' + b"0" * 5000 + b"}")
def test_any_body_becomes_a_token_or_a_typed_error(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    keep(status, headers, body)


@settings(max_examples=2 * settings().max_examples)
@given(STATUSES, HEADERS, st.one_of(ALMOST, JSON))
def test_any_json_body_becomes_a_token_or_a_typed_error(
    status: int, headers: dict[str, str], answer: object
) -> None:
    keep(status, headers, json.dumps(answer).encode())


@given(st.from_regex(r"[!-~]{1,60}", fullmatch=True), st.integers(-10, 3_000_000))
def test_a_token_response_is_a_token(access_token: str, expires_in: int) -> None:
    answer = {"access_token": access_token, "token_type": "bearer", "expires_in": expires_in}
    token = keep(200, {}, json.dumps(answer).encode())
    assert isinstance(token, Token)
    assert token.access_token == access_token


@given(st.sampled_from([400, 401, 403]), st.text(max_size=30), st.text(max_size=2000))
def test_an_oauth_error_is_reported(status: int, error: str, description: str) -> None:
    answer = {"error": error, "error_description": f"{description}{SECRET}{KNOWN}"}
    told = keep(status, {}, json.dumps(answer).encode())
    assert isinstance(told, TokenRequestError)
    assert told.error_description is None or told.error is None
