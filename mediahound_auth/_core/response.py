"""What comes back from a token endpoint, read as what it is: data from outside. Pure."""

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

# Octets of a token answer that are read at most; a real one has a few hundred.
MAX_RESPONSE_SIZE = 1 << 20

# Seconds. MediaHound: "two weeks or less". It also stands in where the endpoint does not say or
# says more: asking once in two weeks harms nobody, and a token that dies sooner is repaired at its
# first 401.
MAX_LIFETIME = 14 * 24 * 3600

# Seconds. `expires_in` is in whole seconds, rounded down by servers: 0 means less than one, never
# "for ever". So is anything below.
MIN_LIFETIME = 1


# Characters of what an endpoint says: those that a message quotes, and those that are looked at.
MAX_QUOTE = 300
LOOKED_AT = 4096
# Characters of a text, the traceback of an error perhaps, that are looked through at most.
MAX_TEXT = 1 << 16
# Characters of a secret or token that give it away, where it is cut short.
PIECE = 12
# Values of a JSON response that are looked at for words.
MAX_VALUES = 100
# How many encodings are looked through, one within the other.
DEPTH = 2


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
        return body.decode("latin-1")  # of old servers; a token is ASCII in any case


def words_of(body: bytes) -> str:
    """The first readable words of an error response that is not OAuth's; '' if there are none.

    It may be JSON of any shape, XML, HTML or text.
    """
    try:
        value = json.loads(_text(body[: MAX_RESPONSE_SIZE + 1]))
    except (ValueError, RecursionError):
        text = body[:LOOKED_AT].decode("utf-8", "replace")
        if "\ufffd" in text.rstrip("\ufffd"):  # at its end, a character may have been cut
            return ""
        title = re.search(r"<title[^<>]*>([^<>]*)", text, re.IGNORECASE)
        return " ".join(re.sub(r"<[^<>]*>", " ", title[1] if title else text).split())
    return words_in(value)


def words_in(value: object) -> str:
    """The first two sentences in a JSON value, or other texts if there are no sentences.

    A sentence has a space, unlike most codes, dates and URLs.
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
    """Seconds. RFC 6749 §5.1 has a JSON number; numbers written as strings exist in the wild."""
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


def sanitized(said: object, private: Iterable[str]) -> str | None:
    """What the endpoint said, as one short line for a log; None if it is no text.

    None also if anything private is found in it: the text is dropped whole.
    """
    if not isinstance(said, str):
        return None
    said = said[:LOOKED_AT]
    if shows_private(said, private):
        return None
    return "".join(char if char.isprintable() else " " for char in said)[:MAX_QUOTE] or None


def shows_private(text: str, private: Iterable[str]) -> bool:
    """Whether one of `private`, or a piece of it, is in `text`, however that has been encoded.

    So it is taken to be in a text that is too long to be looked through.
    """
    if len(text) > MAX_TEXT:
        return True
    wanted, readings = _pieces(_folded(private)), _folded(_readings(text))
    short = [piece for piece in wanted if len(piece) < PIECE]
    return not wanted.isdisjoint(_pieces(readings)) or any(
        piece in reading for piece in short for reading in readings
    )


def _folded(texts: Iterable[str]) -> list[str]:
    """The texts without what encodings leave open: case, white space, base64's two alphabets."""
    return ["".join(text.split()).casefold().translate(_URL_SAFE) for text in texts]


def _pieces(texts: Iterable[str]) -> set[str]:
    """All that may be left of the texts where they are cut short; of each, its beginning."""
    pieces = set()
    for text in texts:
        last = min(len(text), LOOKED_AT) - PIECE
        pieces |= {text[start : start + PIECE] for start in range(max(last, 0) + 1)}
    return pieces - {""}


def _readings(text: str) -> list[str]:
    """`text`, and what it is when URLs, HTML, JSON and base64 are decoded, one within the other."""
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
    """UTF-8 that was taken for Latin-1."""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _without_base64(text: str) -> str:
    """Whatever in `text` is base64 of some text, and then `text` itself."""
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
