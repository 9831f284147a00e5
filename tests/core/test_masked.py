"""Masked text: tools that print variables show none of it."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from collections import UserDict
from collections.abc import Callable
from typing import Any

import pytest
from tools import where_shown

from mediahound_auth._core.masked import Masked, MaskedBytes, masked

TEXT = "Bearer " + "s3cr3t" * 40


def test_it_is_used_like_any_text() -> None:
    value = Masked(TEXT)
    assert value == TEXT
    assert hash(value) == hash(TEXT)
    assert f"{value}" == str(value) == "".join(value) == value.encode().decode() == TEXT
    assert type(str(value)) is str
    assert json.loads(json.dumps({"token": value})) == {"token": TEXT}
    assert bytes(MaskedBytes(TEXT.encode())) == TEXT.encode()
    assert base64.b64encode(MaskedBytes(b"a:b")) == b"YTpi"
    assert MaskedBytes(b"ab")[0] == ord("a")


@pytest.mark.parametrize("value", [Masked(TEXT), MaskedBytes(TEXT.encode())], ids=["str", "bytes"])
@pytest.mark.parametrize(
    "cut",
    [
        lambda text: text,
        lambda text: text[:80],
        lambda text: text[7:],
        lambda text: text.strip(),
        lambda text: text.removeprefix(text[:7]),
        lambda text: text.partition(text[6:7]),
        lambda text: text.split(),
        lambda text: {"Authorization": text},
        copy.deepcopy,
    ],
)
def test_it_stays_masked_when_it_is_cut(cut: Callable[[Any], Any], value: Any) -> None:
    piece = cut(value)
    assert "s3cr3t" not in repr(piece)
    assert "********" in repr(piece)


def test_a_pickle_of_it_needs_no_package() -> None:
    assert type(pickle.loads(pickle.dumps(Masked(TEXT)))) is str
    assert type(pickle.loads(pickle.dumps(MaskedBytes(b"x")))) is bytes


@pytest.mark.parametrize(
    "value",
    [
        TEXT,
        TEXT.encode(),
        bytearray(TEXT.encode()),
        [TEXT],
        (TEXT, TEXT.encode()),
        {TEXT},
        UserDict({"token": {"access_token": TEXT}}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_everything_in_a_value_is_masked(value: Any) -> None:
    value = masked(value)
    with pytest.raises(LookupError) as caught:
        raise LookupError(str(len(value)))
    assert where_shown(caught.value, [Masked(TEXT[7:20])]) == []


def test_other_values_are_left_alone() -> None:
    assert masked(7) == 7
    assert masked(None) is None
    assert masked(len) is len
