"""Token: an access token and how long it lives. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

__all__ = ["Token"]

# Printable ASCII without blanks: what may follow "Bearer " in a header and cannot end the line.
# A subset of RFC 6749 §A.12 that holds every b64token of RFC 6750 §2.1.
_ACCESS_TOKEN = re.compile(r"[\x21-\x7e]+")


# A named tuple, as all values here are, since importing `dataclasses` takes longer than the rest
# of this package.
class _Fields(NamedTuple):
    access_token: str
    expires_at: float
    requested_at: float
    scope: str | None = None
    returned_again: bool = False


class Token(_Fields):
    """An access token and how long it lives. Times are Unix times, in seconds.

    Attributes:
        access_token: the token itself; kept out of the repr.
        expires_at: when it stops being accepted, as far as is known.
        requested_at: when the request that brought it was *sent*; its life is counted from there.
        scope: the scopes it is good for, separated by blanks; None if nobody said.
        returned_again: the endpoint is known to return this token until it has expired, so that
            requesting another one early is pointless.

    Raises:
        ValueError: `access_token` is not printable ASCII without blanks.
    """

    __slots__ = ()

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
            raise ValueError("an access token is printable ASCII without blanks")
        return super().__new__(cls, access_token, expires_at, requested_at, scope, returned_again)

    @property
    def authorization(self) -> str:
        """The value of the Authorization header that carries this token (RFC 6750 §2.1)."""
        return f"Bearer {self.access_token}"

    def __repr__(self) -> str:
        return (
            f"Token(access_token=..., expires_at={self.expires_at!r}, "
            f"requested_at={self.requested_at!r}, scope={self.scope!r}, "
            f"returned_again={self.returned_again!r})"
        )
