"""A record holds a token and nothing else, and whatever is not a record is told from one."""

from __future__ import annotations

import json
import pickle
import traceback
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from mediahound_auth import ConfigurationError, Token
from mediahound_auth.stores.records import EncryptionKey, Records

KEY, OTHER_KEY = Fernet.generate_key(), Fernet.generate_key()
TOKEN = Token("f00-ba7", expires_at=2000.25, requested_at=1000.5, scope="public_profile")

tokens = st.builds(
    Token,
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
    expires_at=st.floats(-1e15, 1e15),
    requested_at=st.floats(-1e15, 1e15),
    scope=st.none() | st.text(st.characters(codec="utf-8")),
    returned_again=st.booleans(),
)


def record(**fields: Any) -> bytes:
    """A good record, but for `fields`."""
    return json.dumps({**json.loads(Records().pack(TOKEN)), **fields}).encode()


@given(token=tokens)
def test_every_token_comes_back_as_it_was(token: Token) -> None:
    assert Records().unpack(Records().pack(token)) == token


def test_every_token_comes_back_as_it_was_from_a_sealed_record() -> None:
    back = Records(KEY).unpack(Records(KEY).pack(TOKEN))
    assert back == TOKEN
    assert isinstance(back, Token)


@pytest.mark.parametrize("records", [Records(), Records(KEY)], ids=["plain", "sealed"])
def test_a_record_is_printable_ascii_in_one_line(records: Records) -> None:
    packed = records.pack(TOKEN._replace(scope="größer\n\N{KEY}"))
    assert packed.decode("ascii").isprintable()


def test_a_plain_record_holds_the_token_and_its_format() -> None:
    assert json.loads(Records().pack(TOKEN)) == {"format": 1, **TOKEN._asdict()}


@pytest.mark.parametrize("time", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_no_number_is_not_written(time: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Records().pack(TOKEN._replace(expires_at=time))


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"f00-ba7", id="not JSON"),
        pytest.param(b"f00-ba7\xff\xfe", id="not UTF-8"),
        pytest.param(Records().pack(TOKEN)[:-5], id="cut off"),
        pytest.param(b"[" * 100_000, id="deeply nested"),
        pytest.param(b"null", id="null"),
        pytest.param(b'["f00-ba7"]', id="array"),
        pytest.param(b'"f00-ba7"', id="string"),
        pytest.param(b"{}", id="no fields"),
        pytest.param(record(format=0), id="older format"),
        pytest.param(record(format=2), id="newer format"),
        pytest.param(record(format="1"), id="format as text"),
        pytest.param(record(format=True), id="format true"),
        pytest.param(record(format=1.0), id="format float"),
        pytest.param(record(secret="f00"), id="one field too many"),
        pytest.param(record().replace(b'"scope"', b'"scop"'), id="field misspelt"),
        pytest.param(record(access_token=None), id="no access token"),
        pytest.param(record(access_token=7), id="access token a number"),
        pytest.param(record(access_token=""), id="access token empty"),
        pytest.param(record(access_token="f00\r\nX-Evil: 1"), id="header injection"),
        pytest.param(record(access_token="f00 ba7"), id="access token with a blank"),
        pytest.param(record(expires_at="2000"), id="time as text"),
        pytest.param(record(expires_at=None), id="time null"),
        pytest.param(record(requested_at=True), id="time true"),
        pytest.param(record(requested_at=[1]), id="time a list"),
        pytest.param(record(expires_at=float("nan")), id="NaN"),
        pytest.param(record(expires_at=float("inf")), id="Infinity"),
        pytest.param(record(expires_at=float("-inf")), id="-Infinity"),
        pytest.param(record().replace(b"2000.25", b"1e999"), id="a float out of range"),
        pytest.param(record(expires_at=10**400), id="a whole number out of range"),
        pytest.param(record().replace(b"2000.25", b"9" * 5000), id="more digits than Python reads"),
        pytest.param(record(scope=7), id="scope a number"),
        pytest.param(record(scope=["f00"]), id="scope a list"),
        pytest.param(record(returned_again=1), id="reissued a number"),
        pytest.param(record(returned_again=None), id="reissued null"),
        pytest.param(Records(KEY).pack(TOKEN), id="sealed"),
    ],
)
def test_what_is_not_a_record_of_this_format_is_an_error_that_quotes_nothing(
    damaged: bytes,
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Records().unpack(damaged)
    # Not even an exception behind the exception holds what was read.
    assert caught.value.__context__ is None
    assert type(caught.value) is ValueError
    assert "f00" not in "".join(traceback.format_exception_only(caught.value))


@given(junk=st.binary())
def test_nothing_but_a_value_error_comes_of_junk(junk: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Records().unpack(junk)


def test_a_sealed_record_shows_nothing_of_the_token() -> None:
    sealed = Records(KEY).pack(TOKEN)
    assert b"f00-ba7" not in sealed
    assert b"public" not in sealed
    assert sealed != Records(KEY).pack(TOKEN)


@pytest.mark.parametrize(
    "unopened",
    [
        pytest.param(Records(OTHER_KEY).pack(TOKEN), id="another key"),
        pytest.param(Records().pack(TOKEN), id="not sealed"),
        pytest.param(Records(KEY).pack(TOKEN)[:-9], id="cut off"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00", id="not ASCII"),
    ],
)
def test_what_no_key_opens_is_a_miss(unopened: bytes) -> None:
    assert Records(KEY).unpack(unopened) is None


def test_a_sealed_record_of_another_format_is_an_error() -> None:
    with pytest.raises(ValueError, match="another format"):
        Records(KEY).unpack(Fernet(KEY).encrypt(record(format=2)))


def test_keys_are_rotated_by_putting_the_new_one_first() -> None:
    old, rotating, new = Records(OTHER_KEY), Records([KEY, OTHER_KEY]), Records(KEY)
    assert rotating.unpack(old.pack(TOKEN)) == TOKEN
    assert new.unpack(rotating.pack(TOKEN)) == TOKEN
    assert old.unpack(rotating.pack(TOKEN)) is None


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        KEY.decode(),
        [KEY],
        (KEY.decode(), OTHER_KEY),
    ],
    ids=["bytes", "str", "list", "tuple"],
)
def test_a_key_is_str_or_bytes_or_several_of_them(key: EncryptionKey) -> None:
    assert Records(key).unpack(Fernet(KEY).encrypt(record())) == TOKEN


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="empty"),
        pytest.param("s3cr3t", id="a password"),
        pytest.param(b"s3cr3t", id="short"),
        pytest.param("s3cr3t-\N{KEY}", id="not ASCII"),
        pytest.param("s3cr3t-\ud800", id="lone surrogate"),
        pytest.param(b"s3cr3t-\xff", id="not UTF-8"),
        pytest.param(KEY[:-1] + b"AAAA=", id="too long"),
        pytest.param([], id="none of several"),
        pytest.param([KEY, "s3cr3t"], id="the second of two"),
        pytest.param([KEY, None], id="None among them"),
        pytest.param(7, id="a number"),
        pytest.param({KEY: 1}, id="a mapping"),
        pytest.param(bytearray(KEY), id="a bytearray"),
    ],
)
def test_a_malformed_key_is_a_configuration_error_that_names_the_option(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="encryption_key") as caught:
        Records(key)
    assert caught.value.__context__ is None
    assert "s3cr3t" not in str(caught.value)


def test_records_with_the_same_keys_are_equal() -> None:
    assert Records(KEY) == Records([KEY.decode()])
    assert hash(Records(KEY)) == hash(Records([KEY.decode()]))
    assert Records(KEY) != Records(OTHER_KEY)
    assert Records(KEY) != Records()


def test_a_pickle_of_sealed_records_opens_the_same_ones() -> None:
    copy = pickle.loads(pickle.dumps(Records([KEY, OTHER_KEY])))
    assert copy.unpack(Records(OTHER_KEY).pack(TOKEN)) == TOKEN


def test_their_repr_shows_no_key() -> None:
    assert repr(Records(KEY)) == "Records(encryption_key=...)"
    assert repr(Records()) == "Records()"
