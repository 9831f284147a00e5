"""Token: a value that shows no access token."""

from __future__ import annotations

import copy
import pickle
import string
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediahound_auth import Token

SENDABLE = "".join(c for c in string.printable if c.isprintable() and not c.isspace())


def a_token(**fields: object) -> Token:
    known = {"access_token": "f00-ba7", "expires_at": 2000.0, "requested_at": 1000.0}
    return Token(**{**known, **fields})  # type: ignore[arg-type]


def test_a_token_has_its_authorization_header() -> None:
    assert a_token().authorization == "Bearer f00-ba7"


def test_scope_defaults_to_none_and_returned_again_to_false() -> None:
    assert a_token().scope is None
    assert a_token().returned_again is False
    token = a_token(scope="public_profile", returned_again=True)
    assert (token.scope, token.returned_again) == ("public_profile", True)


def test_a_time_that_is_no_date_is_shown_as_it_is() -> None:
    assert "expires_at=inf" in repr(a_token(expires_at=float("inf")))


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, lambda t: f"{[t]}"], ids=["repr", "str", "format", "in a list"]
)
def test_no_text_form_of_a_token_shows_the_access_token(show: Callable[[Token], str]) -> None:
    text = show(a_token(scope="public_profile"))
    assert "f00-ba7" not in text
    for known in ("1970-01-01T00:33:20Z", "00:16:40Z", "public_profile", "returned_again=False"):
        assert known in text


@pytest.mark.parametrize(
    "access_token",
    [
        pytest.param("", id="empty"),
        pytest.param("a b", id="blank"),
        pytest.param(" ab", id="leading blank"),
        pytest.param("ab\n", id="trailing line feed"),
        pytest.param("ab\r\nX-Evil: 1", id="header injection"),
        pytest.param("ab\tcd", id="tab"),
        pytest.param("ab\x00cd", id="NUL"),
        pytest.param("ab\x7f", id="DEL"),
        pytest.param("töken", id="umlaut"),
        pytest.param("ab\u2028cd", id="line separator"),
        pytest.param("\N{KEY}", id="emoji"),
        pytest.param("ab\ud800", id="lone surrogate"),
        pytest.param(b"bytes", id="bytes"),
        pytest.param(42, id="number"),
        pytest.param(None, id="None"),
    ],
)
def test_characters_that_a_header_cannot_have_are_rejected(access_token: object) -> None:
    with pytest.raises(ValueError, match="access_token is empty, or contains"):
        a_token(access_token=access_token)


@given(st.text(SENDABLE, min_size=1))
def test_all_printable_ascii_without_spaces_is_taken_as_it_is(access_token: str) -> None:
    assert a_token(access_token=access_token).authorization == f"Bearer {access_token}"


@given(st.text(SENDABLE), st.text(min_size=1), st.text(SENDABLE))
def test_a_token_with_one_invalid_character_is_rejected_and_not_quoted(
    a: str, b: str, c: str
) -> None:
    text = f"kn0wn{a}{b}{c}"
    if set(b) <= set(SENDABLE):
        assert a_token(access_token=text).access_token == text
        return
    with pytest.raises(ValueError, match="access_token is empty, or contains") as caught:
        a_token(access_token=text)
    assert "kn0wn" not in "".join(traceback.format_exception_only(caught.value))


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda token: pickle.loads(pickle.dumps(token))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_are_equal_tokens(duplicate: Callable[[Token], Token]) -> None:
    token = a_token(scope="public_profile", returned_again=True)
    twin = duplicate(token)
    assert twin == token
    assert type(twin) is Token
    assert twin.authorization == token.authorization


def test_a_token_is_immutable() -> None:
    token = a_token()
    with pytest.raises(AttributeError, match="replace"):
        token.access_token = "another"
    with pytest.raises(AttributeError, match="replace"):
        token.note = "attributes of one's own"
    with pytest.raises(AttributeError, match="replace"):
        del token.access_token
    assert token == a_token()


def test_replace_returns_a_changed_token() -> None:
    token = a_token().replace(expires_at=3000.0)
    assert token == a_token(expires_at=3000.0)
    assert token != a_token()
    assert len({token, a_token(), a_token()}) == 2
    assert Token(**token.as_dict()) == token
    assert a_token() != tuple(a_token().as_dict().values())
