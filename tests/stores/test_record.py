"""The record of a token in a store."""

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

NAME, OTHER_NAME = "ab" * 32, "cd" * 32  # keys of a store
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
    return json.dumps({**json.loads(Records().pack(NAME, TOKEN)), **fields}).encode()


def variables(error: BaseException) -> str:
    """The variables of all frames of `error` but the first, the test's: as tracebacks show them."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack[1:]
    return repr([frame.locals for frame in frames])


@given(token=tokens)
def test_every_token_comes_back_as_it_was(token: Token) -> None:
    assert Records().unpack(NAME, Records().pack(NAME, token)) == token


def test_every_token_comes_back_as_it_was_from_an_encrypted_record() -> None:
    back = Records(KEY).unpack(NAME, Records(KEY).pack(NAME, TOKEN))
    assert back == TOKEN
    assert isinstance(back, Token)


@pytest.mark.parametrize("records", [Records(), Records(KEY)], ids=["plain", "encrypted"])
def test_a_record_is_printable_ascii_in_one_line(records: Records) -> None:
    packed = records.pack(NAME, TOKEN.replace(scope="größer\n\N{KEY}"))
    assert packed.decode("ascii").isprintable()


def test_a_plain_record_holds_the_token_its_key_and_its_format() -> None:
    assert json.loads(Records().pack(NAME, TOKEN)) == {"format": 2, "key": NAME, **TOKEN.as_dict()}


@pytest.mark.parametrize("time", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_no_number_is_not_written(time: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        Records().pack(NAME, TOKEN.replace(expires_at=time))


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"f00-ba7", id="not JSON"),
        pytest.param(b"f00-ba7\xff\xfe", id="not UTF-8"),
        pytest.param(Records().pack(NAME, TOKEN)[:-5], id="cut off"),
        pytest.param(b"[" * 100_000, id="deeply nested"),
        pytest.param(b"null", id="null"),
        pytest.param(b'["f00-ba7"]', id="array"),
        pytest.param(b'"f00-ba7"', id="string"),
        pytest.param(b"{}", id="no fields"),
        pytest.param(record(format=1), id="older format"),
        pytest.param(record(format=3), id="newer format"),
        pytest.param(record(format="2"), id="format as text"),
        pytest.param(record(format=True), id="format true"),
        pytest.param(record(format=2.0), id="format float"),
        pytest.param(record(secret="f00"), id="one field too many"),
        pytest.param(record().replace(b'"key"', b'"kee"'), id="no key"),
        pytest.param(b" " * (1 << 22) + record(), id="too long"),
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
        pytest.param(Records(KEY).pack(NAME, TOKEN), id="encrypted"),
    ],
)
def test_a_record_of_another_format_is_an_error_that_quotes_nothing(
    damaged: bytes,
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Records().unpack(NAME, damaged)
    # Not even an exception behind the exception holds what was read.
    assert caught.value.__context__ is None
    assert type(caught.value) is ValueError
    assert "f00" not in "".join(traceback.format_exception_only(caught.value))
    assert "f00-ba7" not in variables(caught.value)


@pytest.mark.parametrize("records", [Records(), Records(KEY)], ids=["plain", "encrypted"])
def test_a_record_moved_under_another_key_is_a_miss(records: Records) -> None:
    assert records.unpack(OTHER_NAME, records.pack(NAME, TOKEN)) is None


def test_a_record_whose_key_is_not_a_text_is_a_miss() -> None:
    for key in (None, 7, [NAME], {NAME: 1}):
        assert Records().unpack(NAME, record(key=key)) is None


@given(junk=st.binary())
def test_garbage_is_a_value_error(junk: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Records().unpack(NAME, junk)


def test_an_encrypted_record_shows_nothing_of_the_token() -> None:
    encrypted = Records(KEY).pack(NAME, TOKEN)
    assert b"f00-ba7" not in encrypted
    assert b"public" not in encrypted
    assert encrypted != Records(KEY).pack(NAME, TOKEN)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(Records(OTHER_KEY).pack(NAME, TOKEN), id="another key"),
        pytest.param(Records().pack(NAME, TOKEN), id="not encrypted"),
        pytest.param(Records(KEY).pack(NAME, TOKEN)[:-9], id="cut off"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00", id="not ASCII"),
    ],
)
def test_a_record_that_no_encryption_key_decrypts_is_a_miss(record: bytes) -> None:
    assert Records(KEY).unpack(NAME, record) is None


def test_an_encrypted_record_of_another_format_is_an_error() -> None:
    with pytest.raises(ValueError, match="another format"):
        Records(KEY).unpack(NAME, Fernet(KEY).encrypt(record(format=3)))


def test_keys_are_rotated_by_putting_the_new_one_first() -> None:
    old, rotating, new = Records(OTHER_KEY), Records([KEY, OTHER_KEY]), Records(KEY)
    assert rotating.unpack(NAME, old.pack(NAME, TOKEN)) == TOKEN
    assert new.unpack(NAME, rotating.pack(NAME, TOKEN)) == TOKEN
    assert old.unpack(NAME, rotating.pack(NAME, TOKEN)) is None


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
    assert Records(key).unpack(NAME, Fernet(KEY).encrypt(record())) == TOKEN


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
    ],
)
def test_a_malformed_key_is_a_configuration_error_that_names_the_option(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="encryption_key") as caught:
        Records(key)
    assert caught.value.__context__ is None
    assert "s3cr3t" not in str(caught.value)
    assert not any(text in variables(caught.value) for text in ("s3cr3t", KEY.decode()))


def test_records_with_the_same_keys_are_equal() -> None:
    assert Records(KEY) == Records([KEY.decode()])
    assert hash(Records(KEY)) == hash(Records([KEY.decode()]))
    assert Records(KEY) != Records(OTHER_KEY)
    assert Records(KEY) != Records()


def test_a_pickle_of_encrypted_records_decrypts_the_same_ones() -> None:
    copy = pickle.loads(pickle.dumps(Records([KEY, OTHER_KEY])))
    assert copy.unpack(NAME, Records(OTHER_KEY).pack(NAME, TOKEN)) == TOKEN


def test_their_repr_shows_no_key() -> None:
    assert repr(Records(KEY)) == "Records(encryption_key=...)"
    assert repr(Records()) == "Records()"
    assert repr(Records.__new__(Records)) == "Records()", "its constructor raised"
