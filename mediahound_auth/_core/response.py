"""What comes back from a token endpoint, read as what it is: data from outside. Pure."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import quote

__all__ = [
    "MAX_RESPONSE_SIZE",
    "TokenResponse",
    "any_spelling_of",
    "json_object",
    "lifetime",
    "retry_after_of",
    "sanitized",
    "scope_of",
]

# Octets of a token answer that are read at most; a real one has a few hundred.
MAX_RESPONSE_SIZE = 1 << 20

# Seconds. MediaHound: "two weeks or less". It also stands in where the endpoint does not say or
# says more: asking once in two weeks harms nobody, and a token that dies sooner is repaired at its
# first 401.
MAX_LIFETIME = 14 * 24 * 3600

# Seconds. `expires_in` is in whole seconds, rounded down by servers: 0 means less than one, never
# "for ever". So is anything below.
MIN_LIFETIME = 1


class TokenResponse(NamedTuple):
    """What came back, of the body little more than MAX_RESPONSE_SIZE octets."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"TokenResponse(status={self.status!r}, ...)"


def json_object(body: bytes) -> dict[str, object]:
    """The JSON object that `body` is; otherwise a ValueError says why it is none."""
    if len(body) > MAX_RESPONSE_SIZE:
        raise ValueError(f"it is longer than {MAX_RESPONSE_SIZE} octets")
    if not body.strip():
        raise ValueError("it is empty")
    try:
        answer = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(answer, dict):
        raise ValueError("it is not a JSON object")
    return answer


def lifetime(expires_in: object) -> int:
    """Seconds. RFC 6749 §5.1 has a JSON number; numbers written as strings exist in the wild."""
    if expires_in is None:
        return MAX_LIFETIME
    if isinstance(expires_in, str) and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", expires_in):
        expires_in = float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        raise ValueError("its expires_in is not a number of seconds")
    if isinstance(expires_in, float) and not math.isfinite(expires_in):
        raise ValueError("its expires_in is not a finite number of seconds")
    return int(min(max(expires_in, MIN_LIFETIME), MAX_LIFETIME))


def scope_of(scope: object) -> str | None:
    """The scope, for the caller to look at. Nothing hangs on it, so an odd one costs no token."""
    if isinstance(scope, list) and all(isinstance(part, str) for part in scope):
        scope = " ".join(scope)
    return " ".join(scope.split()) if isinstance(scope, str) else None


def retry_after_of(response: TokenResponse, now: float) -> float | None:
    """Seconds from now: Retry-After is a number of them or a date (RFC 9110 §10.2.3)."""
    said = next((v for k, v in response.headers.items() if k.lower() == "retry-after"), None)
    if said is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", said.strip()):
        return float(said.strip())
    try:
        date = parsedate_to_datetime(said)
        if date.tzinfo is None:  # the oldest of the forms that a date may have; always UTC
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    except (ValueError, OverflowError):
        return None


def sanitized(said: object, private: re.Pattern[str]) -> str | None:
    """What the endpoint said, if it is text, fit for a log: one short line, nothing private."""
    if not isinstance(said, str):
        return None
    line = "".join(char if char.isprintable() else " " for char in private.sub("***", said))
    return line[:300] or None


def any_spelling_of(texts: Iterable[str]) -> re.Pattern[str]:
    """What finds these texts, each character as it is or as URLs, HTML, JSON and base64 have it."""
    longest_first = sorted({text for text in texts if text}, key=len, reverse=True)
    return re.compile(
        "|".join("".join(map(_spellings, text)) for text in longest_first), re.IGNORECASE
    )


def _spellings(char: str) -> str:
    spellings = {
        char,
        quote(char, safe="", errors="replace"),
        html.escape(char),
        f"&#{ord(char)};",
        json.dumps(char)[1:-1],
        {" ": "+", "+": "-", "/": "_"}.get(char, char),
    }
    return f"(?:{'|'.join(map(re.escape, sorted(spellings)))})"
