"""Records: what a store that outlives the process writes down of a token, and how it reads it back.

A record is a JSON object that names its format, sealed with Fernet where the user has given a key.
Whatever is read is data from outside and parsed as such. No error quotes it: it may be a token.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from mediahound_auth._extras import missing_extra
from mediahound_auth.errors import ConfigurationError
from mediahound_auth.token import Token

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

__all__ = ["EncryptionKey", "Records"]

# As `cryptography.fernet.Fernet.generate_key()` makes them: 32 octets in URL-safe base64.
EncryptionKey = str | bytes | Sequence[str | bytes]

# Goes up with each change that an earlier version of this package would misread.
FORMAT = 1

_FIELDS = {"format", "access_token", "expires_at", "requested_at", "scope", "returned_again"}


class Records:
    """Turns tokens into octets and back.

    Args:
        encryption_key: seals what is written; of several, the first one does, and each is tried on
            what is read. None: records are plain JSON.

    Raises:
        ConfigurationError: a key is malformed.
        ModuleNotFoundError: there is a key, but no cryptography.
    """

    def __init__(self, encryption_key: EncryptionKey | None = None) -> None:
        self._keys = _keys(encryption_key)
        self._box = _box(self._keys) if self._keys else None

    @property
    def encrypted(self) -> bool:
        """Whether records are encrypted."""
        return self._box is not None

    def pack(self, token: Token) -> bytes:
        """The record of `token`: printable ASCII in one line.

        Raises:
            ValueError: one of its times is not a finite number.
        """
        fields = {"format": FORMAT, **token._asdict()}
        record = json.dumps(fields, allow_nan=False).encode("ascii")
        return record if self._box is None else self._box.encrypt(record)

    def unpack(self, record: bytes) -> Token | None:
        """The token of `record`; None if no key opens it.

        Raises:
            ValueError: it is damaged, or of another format.
        """
        if self._box is not None:
            from cryptography.fernet import InvalidToken

            try:
                record = self._box.decrypt(record)
            except InvalidToken:
                return None
        return _token(_json_object(record))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Records) and self._keys == other._keys

    def __hash__(self) -> int:
        return hash(self._keys)

    def __repr__(self) -> str:
        return "Records(encryption_key=...)" if self.encrypted else "Records()"

    def __reduce__(self) -> tuple[type[Records], tuple[EncryptionKey | None]]:
        return Records, (self._keys or None,)


def _json_object(record: bytes) -> dict[str, object]:
    fields = None
    # What json raises holds what it could not read, so it must not even be the context of ours.
    with suppress(ValueError, RecursionError):
        fields = json.loads(record.decode("ascii"), parse_constant=_no_number)
    if not isinstance(fields, dict):
        raise ValueError("the stored record is not a JSON object")
    return fields


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _token(fields: dict[str, object]) -> Token:
    if type(fields.get("format")) is not int or fields["format"] != FORMAT:
        raise ValueError("the stored record is of another format, perhaps from another version")
    if fields.keys() != _FIELDS:
        raise ValueError("the stored record does not have the fields of its format")
    access_token, scope, returned_again = (
        fields[f] for f in ("access_token", "scope", "returned_again")
    )
    if not (
        isinstance(access_token, str)
        and (scope is None or isinstance(scope, str))
        and isinstance(returned_again, bool)
    ):
        raise ValueError("the stored record has a field of the wrong type")
    return Token(
        access_token,
        expires_at=_seconds(fields["expires_at"]),
        requested_at=_seconds(fields["requested_at"]),
        scope=scope,
        returned_again=returned_again,
    )


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("the stored record has a field of the wrong type")
    # The bound keeps whole numbers that no float can hold from overflowing below.
    if not math.isfinite(value) if isinstance(value, float) else abs(value) > 1 << 53:
        raise ValueError("the stored record has a time that is none")
    return float(value)


def _keys(encryption_key: object) -> tuple[bytes, ...]:
    if encryption_key is None:
        return ()
    one = isinstance(encryption_key, str | bytes)
    keys = (encryption_key,) if one else encryption_key
    if not isinstance(keys, Sequence) or not all(isinstance(key, str | bytes) for key in keys):
        raise ConfigurationError(
            "encryption_key must be a str or bytes, or a sequence of them, "
            f"not {type(encryption_key).__name__}"
        )
    if not keys:
        raise ConfigurationError("encryption_key holds no key; None is what turns encryption off")
    # A key that is not ASCII is malformed, and found to be so below.
    return tuple(key.encode("utf-8", "replace") if isinstance(key, str) else key for key in keys)


def _box(keys: tuple[bytes, ...]) -> MultiFernet:
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ModuleNotFoundError as error:
        names = ("cryptography", "cryptography.fernet")
        raise missing_extra(error, "encryption_key", "encryption", *names) from None
    boxes: list[Fernet] = []
    for key in keys:
        try:
            boxes.append(Fernet(key))
        except ValueError:
            break
    if len(boxes) < len(keys):
        raise ConfigurationError(
            "encryption_key must be as cryptography.fernet.Fernet.generate_key() makes it: "
            "32 octets in URL-safe base64"
        )
    return MultiFernet(boxes)
