"""Records: the stored form of a token, for stores outside the process.

A record is a JSON object with its format, the key it was saved under, and the fields of the token.
It is encrypted with Fernet if there is an encryption key. Each field is checked when a record is
read. No error quotes a record and no frame of an error holds one, because it may contain a token.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from mediahound_auth._core.masked import masked
from mediahound_auth._extras import missing_extra
from mediahound_auth.errors import ConfigurationError
from mediahound_auth.token import Token

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

__all__ = ["MAX_RECORD_SIZE", "EncryptionKey", "Records"]

# From `cryptography.fernet.Fernet.generate_key()`: 32 bytes in URL-safe base64.
EncryptionKey = str | bytes | Sequence[str | bytes]

# Bytes. The record of the longest token, encrypted, is shorter.
MAX_RECORD_SIZE = 1 << 22

# Increase it with each change that an earlier version of this package would misread.
FORMAT = 2

_FIELDS = {
    *("format", "key"),
    *("access_token", "expires_at", "requested_at", "scope", "returned_again"),
}


class Records:
    """Convert tokens to bytes and back.

    Args:
        encryption_key: Encrypts records. The first of several keys encrypts, and all of them can
            decrypt. None: records are plain JSON.

    Raises:
        ConfigurationError: A key is malformed.
        ModuleNotFoundError: There is a key, but cryptography is not installed.
    """

    def __init__(self, encryption_key: EncryptionKey | None = None) -> None:
        encryption_key = masked(encryption_key)  # tools print variables
        self._keys = _keys(encryption_key)
        self._fernet = _fernet(self._keys) if self._keys else None

    @property
    def encrypted(self) -> bool:
        """Whether records are encrypted."""
        return self._fernet is not None

    def pack(self, key: str, token: Token) -> bytes:
        """Return the record of `token` for `key`: printable ASCII in one line.

        Raises:
            ValueError: One of its times is not a finite number.
        """
        if not (math.isfinite(token.expires_at) and math.isfinite(token.requested_at)):
            raise ValueError("cannot store a token whose time is not a finite number")
        fields = {"format": FORMAT, "key": key, **token.as_dict()}
        record = json.dumps(fields).encode("ascii")
        return record if self._fernet is None else self._fernet.encrypt(record)

    def unpack(self, key: str, record: bytes) -> Token | None:
        """Return the token of `record`.

        Return None if it was saved under another key, or if no encryption key decrypts it.

        Raises:
            ValueError: The record is damaged, or has another format.
        """
        fault = ""
        try:
            return self._token(key, record)
        except ValueError as error:
            fault = str(error)
        # The frames of `error` hold the record. So does this frame, until the next line.
        del record
        raise ValueError(fault)

    def _token(self, key: str, record: bytes) -> Token | None:
        if len(record) > MAX_RECORD_SIZE:
            raise ValueError("the stored record is too long")
        if self._fernet is not None:
            from cryptography.fernet import InvalidToken

            try:
                record = self._fernet.decrypt(record)
            except InvalidToken:
                return None
        fields = _json_object(record)
        return _token(fields) if fields["key"] == key else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Records) and self._keys == other._keys

    def __hash__(self) -> int:
        return hash(self._keys)

    def __repr__(self) -> str:
        # A traceback may show this object before its constructor has ended.
        return f"Records({'encryption_key=...' if vars(self).get('_fernet') else ''})"

    def __reduce__(self) -> tuple[type[Records], tuple[EncryptionKey | None]]:
        return Records, (self._keys or None,)


def _json_object(record: bytes) -> dict[str, object]:
    fields = None
    with suppress(ValueError, RecursionError):
        fields = json.loads(record.decode("ascii"), parse_constant=_no_number)
    if not isinstance(fields, dict):
        raise ValueError("the stored record is not a JSON object")
    if type(fields.get("format")) is not int or fields["format"] != FORMAT:
        raise ValueError("the stored record has another format, perhaps of another version")
    if fields.keys() != _FIELDS:
        raise ValueError("the stored record does not have the fields of its format")
    return fields


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _token(fields: dict[str, object]) -> Token:
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
    # Larger whole numbers would overflow in float().
    if not math.isfinite(value) if isinstance(value, float) else abs(value) > 1 << 53:
        raise ValueError("the stored record contains an invalid timestamp")
    return float(value)


def _keys(given: EncryptionKey | None) -> tuple[bytes, ...]:
    if given is None:
        return ()
    keys = (given,) if isinstance(given, str | bytes) else given
    if not isinstance(keys, Sequence) or not all(isinstance(key, str | bytes) for key in keys):
        kind = type(given).__name__
        raise ConfigurationError(
            f"encryption_key must be a str or bytes, or a sequence of them, not {kind}"
        )
    if not keys:
        raise ConfigurationError(
            "encryption_key is an empty sequence; to turn encryption off, pass None"
        )
    # Fernet rejects a key that is not ASCII.
    return tuple(
        masked(key.encode("utf-8", "replace") if isinstance(key, str) else key) for key in keys
    )


def _fernet(keys: tuple[bytes, ...]) -> MultiFernet:
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ModuleNotFoundError as error:
        names = ("cryptography", "cryptography.fernet")
        raise missing_extra(error, "encryption_key", "encryption", *names) from None
    # Not as the cause: the frames of Fernet's error hold the key.
    with suppress(ValueError):
        return MultiFernet([Fernet(key) for key in keys])
    raise ConfigurationError(
        "encryption_key is not a Fernet key; create one with "
        "cryptography.fernet.Fernet.generate_key(): 32 bytes in URL-safe base64"
    )
