"""Token: an access token and its lifetime. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from typing import Any, NoReturn, Self

from mediahound_auth._core.masked import Masked

__all__ = ["Token"]

# Printable ASCII without spaces, so that a token cannot end the header line. A subset of RFC 6749
# §A.12 that contains every b64token of RFC 6750 §2.1.
_ACCESS_TOKEN = re.compile(r"[\x21-\x7e]+")


_FIELDS = ("access_token", "expires_at", "requested_at", "scope", "returned_again")


# Not a dataclass, since importing those takes longer than the rest of this package. Not a tuple,
# since tools that print the variables of a traceback print the items of tuples.
class Token:
    """An access token and its lifetime. Immutable. Times are Unix times, in seconds.

    Attributes:
        access_token: The token, a str with a masked repr.
        expires_at: When the token expires, according to the token endpoint.
        requested_at: When the token request was sent. The lifetime counts from then.
        scope: The granted scopes, separated by spaces. None if unknown.
        returned_again: Whether the endpoint returns this token until it expires. It is then not
            renewed early.

    Raises:
        ValueError: `access_token` is not printable ASCII, or contains spaces.
    """

    __slots__ = (*_FIELDS, "authorization")

    access_token: str
    expires_at: float
    requested_at: float
    scope: str | None
    returned_again: bool
    authorization: str
    """The value of the Authorization header with this token (RFC 6750 §2.1)."""

    def __new__(
        cls,
        access_token: str,
        expires_at: float,
        requested_at: float,
        scope: str | None = None,
        returned_again: bool = False,
    ) -> Self:
        """Check `access_token`; see the class."""
        if not (isinstance(access_token, str) and _ACCESS_TOKEN.fullmatch(access_token)):
            del access_token  # tools print variables
            raise ValueError(
                "access_token is empty, or contains spaces, control or non-ASCII characters"
            )
        self = super().__new__(cls)
        set_field = partial(object.__setattr__, self)
        set_field("access_token", Masked(access_token))
        set_field("expires_at", expires_at)
        set_field("requested_at", requested_at)
        set_field("scope", scope)
        set_field("returned_again", returned_again)
        set_field("authorization", Masked(f"Bearer {access_token}"))
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return all fields by name."""
        return {name: getattr(self, name) for name in _FIELDS}

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return type(self)(**{**self.as_dict(), **changes})

    __replace__ = replace  # what copy.replace calls, from Python 3.13 on

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.as_dict().values()))

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), tuple(self.as_dict().values())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Token cannot be changed; replace() returns another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Token cannot be changed; replace() returns another one")

    def __repr__(self) -> str:
        return (
            f"Token(access_token=..., expires_at={_utc(self.expires_at)}, "
            f"requested_at={_utc(self.requested_at)}, scope={self.scope!r}, "
            f"returned_again={self.returned_again!r})"
        )


def _utc(time: float) -> str:
    """Return a Unix time as a date that people can read."""
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (TypeError, ValueError, OverflowError, OSError):
        return repr(time)
