"""Parse token responses, which are untrusted data. Pure."""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

__all__ = [
    "MAX_RESPONSE_SIZE",
    "TokenResponse",
    "json_object",
    "lifetime",
    "retry_after_of",
    "sanitized",
    "scope_of",
    "shows_private",
    "words_in",
    "words_of",
]

# Bytes. A longer body is not read; a real one has a few hundred.
MAX_RESPONSE_SIZE = 1 << 20

# Seconds. MediaHound documents "two weeks or less". It is also the lifetime of a response without
# `expires_in` or with a longer one. A token that expires sooner is replaced at its first 401.
MAX_LIFETIME = 14 * 24 * 3600

# Seconds. Servers round `expires_in` down: 0 or less means less than a second, never "forever".
MIN_LIFETIME = 1


# Characters of a server's text that a message quotes, and that are searched.
MAX_QUOTE = 300
LOOKED_AT = 4096
# Characters. A longer text, such as a traceback, is not searched.
MAX_TEXT = 1 << 16
# Characters. A piece of this length of a secret or token counts as the secret or token.
PIECE = 12
# Values of a JSON response that are searched for text.
MAX_VALUES = 100
# Encodings within each other that are decoded.
DEPTH = 2


class TokenResponse(NamedTuple):
    """A token response; its body is truncated soon after MAX_RESPONSE_SIZE bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"TokenResponse(status={self.status!r}, ...)"


def json_object(body: bytes) -> dict[str, object]:
    """Return the JSON object of `body`.

    Raises:
        ValueError: `body` is not a JSON object. The text says why, and does not quote it.
    """
    if len(body) > MAX_RESPONSE_SIZE:
        raise ValueError(f"the body is longer than {MAX_RESPONSE_SIZE} bytes")
    if not body.strip():
        raise ValueError("the body is empty")
    try:
        answer = json.loads(_text(body))
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(answer, dict):
        raise ValueError("the body is not a JSON object")
    return answer


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("latin-1")  # of old servers; a token is ASCII


def words_of(body: bytes) -> str:
    """Return the first sentences of an error response; '' if there are none.

    It may be any JSON, XML, HTML or text.
    """
    try:
        value = json.loads(_text(body[: MAX_RESPONSE_SIZE + 1]))
    except (ValueError, RecursionError):
        text = body[:LOOKED_AT].decode("utf-8", "replace")
        if "\ufffd" in text.rstrip("\ufffd"):  # only the last character may be incomplete
            return ""
        title = re.search(r"<title[^<>]*>([^<>]*)", text, re.IGNORECASE)
        return " ".join(re.sub(r"<[^<>]*>", " ", title[1] if title else text).split())
    return words_in(value)


def words_in(value: object) -> str:
    """Return the first two sentences in a JSON value; without sentences, the first two strings.

    A sentence contains a space, unlike most codes, dates and URLs.
    """
    texts: list[str] = []
    rest = [value]
    for _ in range(MAX_VALUES):
        if not rest:
            break
        value = rest.pop()
        if isinstance(value, str):
            texts.append(value.strip())
        elif isinstance(value, dict | list):
            rest += reversed(value.values() if isinstance(value, dict) else value)
    sentences = [text for text in texts if " " in text]
    return "; ".join([text for text in sentences or texts if text][:2])


def lifetime(expires_in: object) -> int:
    """Return `expires_in` in seconds: from 1 to 1,209,600 (two weeks). None means two weeks.

    RFC 6749 §5.1 has a number; some servers send a string.

    Raises:
        ValueError: It is neither None nor a finite number.
    """
    if expires_in is None:
        return MAX_LIFETIME
    if isinstance(expires_in, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", expires_in.strip()):
        expires_in = max(MIN_LIFETIME, min(float(expires_in), MAX_LIFETIME))  # perhaps infinite
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        raise ValueError("expires_in is not a number of seconds")
    if isinstance(expires_in, float) and not math.isfinite(expires_in):
        raise ValueError("expires_in is not a finite number of seconds")
    return int(min(max(expires_in, MIN_LIFETIME), MAX_LIFETIME))


def scope_of(scope: object) -> str | None:
    """Return the scope, a str; None for an invalid one, which is not an error."""
    if isinstance(scope, list) and all(isinstance(part, str) for part in scope):
        scope = " ".join(scope)
    return " ".join(scope.split()) if isinstance(scope, str) else None


def retry_after_of(response: TokenResponse, now: float) -> float | None:
    """Return Retry-After (RFC 9110 §10.2.3), a number or a date, in seconds from now."""
    said = next((v for k, v in response.headers.items() if k.lower() == "retry-after"), None)
    if said is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", said.strip()):
        return float(said.strip())
    try:
        date = parsedate_to_datetime(said)
        if date.tzinfo is None:  # the oldest date format; always UTC
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    except (ValueError, OverflowError):
        return None


def sanitized(said: object, private: Iterable[str]) -> str | None:
    """Return a server's text as one short line; None if it is not a str.

    Return None, too, if it contains anything private.
    """
    if not isinstance(said, str):
        return None
    said = said[:LOOKED_AT]
    if shows_private(said, private):
        return None
    return "".join(char if char.isprintable() else " " for char in said)[:MAX_QUOTE] or None


def shows_private(text: str, private: Iterable[str]) -> bool:
    """Whether `text` contains a piece of one of `private`, encoded or not.

    Return True for a text that is too long to be searched.
    """
    if len(text) > MAX_TEXT:
        return True
    wanted, readings = _pieces(_folded(private)), _folded(_readings(text))
    short = [piece for piece in wanted if len(piece) < PIECE]
    return not wanted.isdisjoint(_pieces(readings)) or any(
        piece in reading for piece in short for reading in readings
    )


def _folded(texts: Iterable[str]) -> list[str]:
    """Return the texts without differences in case, white space and base64's alphabets."""
    return ["".join(text.split()).casefold().translate(_URL_SAFE) for text in texts]


def _pieces(texts: Iterable[str]) -> set[str]:
    """Return all pieces of PIECE characters of the texts, or a whole shorter text."""
    pieces = set()
    for text in texts:
        last = min(len(text), LOOKED_AT) - PIECE
        pieces |= {text[start : start + PIECE] for start in range(max(last, 0) + 1)}
    return pieces - {""}


def _readings(text: str) -> list[str]:
    """Return `text`, and its decodings from URL, HTML, JSON and base64, also nested."""
    readings = {text: None}
    latest = [text]
    for _ in range(DEPTH):
        decoded = [decode(reading) for reading in latest for decode in _DECODERS]
        latest = [reading for reading in dict.fromkeys(decoded) if reading not in readings]
        readings |= dict.fromkeys(latest)
    return list(readings)


def _without_json(text: str) -> str:
    units = re.sub(_JSON_ESCAPE, lambda m: chr(int(m[1], 16)) if m[1] else m[2], text)
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _without_latin1(text: str) -> str:
    """Decode UTF-8 that was decoded as Latin-1."""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _without_base64(text: str) -> str:
    """Return the decoded base64 strings in `text`, followed by `text`."""
    found = [run[: len(run) // 4 * 4].translate(_ALPHABET) for run in re.findall(_BASE64, text)]
    decoded = [base64.urlsafe_b64decode(run).decode("utf-8", "replace") for run in found]
    return " ".join([*(words for words in decoded if words.rstrip("\ufffd").isprintable()), text])


_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}")
_ALPHABET = str.maketrans("+/", "-_")
_URL_SAFE = str.maketrans("-_", "+/")
_DECODERS = (
    html.unescape,
    unquote_plus,
    unquote,
    _without_json,
    _without_base64,
    _without_latin1,
)
