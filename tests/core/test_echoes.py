"""Token responses that repeat the client secret."""

from __future__ import annotations

import base64
import html
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any, get_args
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mediahound_auth import Token, TokenRequestError
from mediahound_auth._core import response
from mediahound_auth._core.grant import ClientAuth, Grant, TokenResponse

NOW = 1_700_000_000.0
# In two pieces, since hypothesis tries the constants that it finds in the source.
CORE = "".join(["s3cr3t", "-c0re"])
SECRET = f'{CORE} /+ü&"%>>>???{CORE}'
KNOWN = "kn0wn-t0ken-of-the-client"
FORMS: tuple[ClientAuth, ...] = get_args(ClientAuth)


def basic(client_id: str, secret: str) -> str:
    return base64.b64encode(f"{client_id}:{secret}".encode()).decode()


ECHOES: dict[str, str] = {
    "raw": SECRET,
    "percent-encoded": quote(SECRET, safe=""),
    "percent-encoded but slashes": quote(SECRET),
    "percent-encoded in lower case": quote(SECRET, safe="").replace("%C3%BC", "%c3%bc").lower(),
    "form-encoded": quote_plus(SECRET),
    "form-encoded in lower case": quote_plus(SECRET).lower(),
    "HTML-escaped": html.escape(SECRET),
    "JSON-escaped": json.dumps(SECRET),
    "basic": basic("MyClientId", SECRET),
    "basic without padding": basic("MyClientId", SECRET).rstrip("="),
    "basic, URL-safe": basic("MyClientId", SECRET).replace("+", "-").replace("/", "_"),
    "basic of RFC 6749": basic("MyClientId", quote(SECRET, safe="")),
    "a token known before": KNOWN,
    "HTML-escaped with numbers": "".join(f"&#x{ord(char):X};" for char in SECRET),
    "JSON-escaped slashes": json.dumps(SECRET).replace("/", "\\/"),
    "percent-encoded twice": quote(quote(SECRET, safe=""), safe=""),
    "percent-encoded, then HTML-escaped": quote(SECRET, safe="").replace("%", "&#37;"),
    "the body in base64": base64.b64encode(f"client_secret={SECRET}".encode()).decode(),
    "cut short": SECRET[:14],
    "basic, cut short": basic("MyClientId", SECRET)[:32],
    "a known token, cut short": KNOWN[-12:],
    "in upper case": SECRET.upper(),
    "UTF-8 taken for Latin-1": SECRET.encode().decode("latin-1"),
    "broken into lines": SECRET.replace("c", "c\r\n "),
}
# What stays of them in any text where they have not been hidden.
TRACES = [CORE, basic("MyClientId", SECRET)[:20], KNOWN]


def read(response: TokenResponse, form: ClientAuth = "mediahound") -> Token | TokenRequestError:
    grant = Grant("MyClientId", SECRET, "https://api.example/token", client_auth=form)
    try:
        return grant.token(response, sent_at=NOW, known=[KNOWN])
    except TokenRequestError as error:
        return error


def shown(outcome: Token | TokenRequestError) -> str:
    """All that can be seen of it, by people and by tools."""
    if isinstance(outcome, Token):
        return f"{outcome!r} {outcome.scope}"
    tracebacks = "".join(traceback.format_exception_only(outcome))
    links = (outcome.__cause__, outcome.__context__, getattr(outcome, "__notes__", None))
    return f"{outcome} {outcome!r} {outcome.args!r} {vars(outcome)!r} {tracebacks} {links!r}"


def assert_shows_no_trace(outcome: Token | TokenRequestError) -> None:
    for trace in TRACES:
        assert trace not in shown(outcome)


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("field", ["error", "error_description"])
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_an_error_does_not_repeat_what_it_echoes(status: int, field: str, echo: str) -> None:
    said = {"error": "invalid_request", field: f"before {echo} after"}
    for form in FORMS:
        outcome = read(TokenResponse(status, {}, json.dumps(said).encode()), form)
        assert isinstance(outcome, TokenRequestError)
        told = outcome.error if field == "error" else outcome.error_description
        assert told is None
        assert_shows_no_trace(outcome)


def test_a_short_secret_is_found_in_a_response_that_is_not_valid_utf_8() -> None:
    grant = Grant("MyClientId", "pässwört", "https://api.example/token")
    for echo in ("pässwört".encode(), "pässwört".encode("latin-1")):
        body = b'{"error": "bad", "other": "\xff", "error_description": "no %b!"}' % echo
        with pytest.raises(TokenRequestError, match="bad") as caught:
            grant.token(TokenResponse(400, {}, body), sent_at=NOW)
        assert caught.value.error_description is None


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_token_does_not_show_what_its_scope_echoes(echo: str) -> None:
    said = {"access_token": "t0ken", "scope": f"public_profile {echo}"}
    outcome = read(TokenResponse(200, {}, json.dumps(said).encode()))
    assert isinstance(outcome, Token)
    assert_shows_no_trace(outcome)


def test_a_token_does_not_show_itself_in_its_scope() -> None:
    fields = {"access_token": "n3w-t0ken", "scope": "public n3w-t0ken", "expires_in": 60}
    token = read(TokenResponse(200, {}, json.dumps(fields).encode()))
    assert isinstance(token, Token)
    assert token.scope is None


@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_error_does_not_repeat_a_token_that_came_with_it(status: int) -> None:
    said = {"error": "t0k3n", "error_description": "no t0k3n", "access_token": "t0k3n"}
    outcome = read(TokenResponse(status, {}, json.dumps(said).encode()))
    assert isinstance(outcome, TokenRequestError)
    assert "t0k3n" not in shown(outcome)


@pytest.mark.parametrize("field", ["error", "error_description"])
def test_a_quote_is_one_short_printable_line(field: str) -> None:
    said = {"error": "bad", field: "a\r\nb\x1b[31mc\x00d\u2028e\u202ef\ud800g" + "h" * 1000}
    outcome = read(TokenResponse(400, {}, json.dumps(said).encode()))
    assert isinstance(outcome, TokenRequestError)
    told = outcome.error_description  # what has spaces is no code
    assert told is not None
    assert told.startswith("a  b [31mc d e f g")
    assert told.isprintable()
    assert len(told) == 300
    assert str(outcome).isprintable()
    assert len(str(outcome)) < 1000


@pytest.mark.parametrize("length", [36, 2_000, 1 << 20], ids=["UUID", "JWT", "1 MB"])
def test_hiding_a_token_takes_constant_time(length: int) -> None:
    """No pattern is made of a token, and no more than a few thousand characters are looked at."""
    fields = {"access_token": "t0k3n-" * (length // 6), "scope": "x" * length, "error": "odd"}
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    outcome = read(TokenResponse(400, {}, json.dumps(fields).encode()))
    sys.setprofile(None)
    assert isinstance(outcome, TokenRequestError)
    assert calls < 20_000


def test_a_secret_at_the_end_of_a_quote_is_hidden_completely() -> None:
    said = {"error": "bad", "error_description": "x" * (300 - len(SECRET) // 2) + SECRET}
    assert_shows_no_trace(read(TokenResponse(400, {}, json.dumps(said).encode())))


# Any answer at all

FIELDS = ["access_token", "token_type", "expires_in", "scope", "error", "error_description"]
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["bearer", "mac", "t0ken", "3600", "invalid_client", *ECHOES.values()]),
    st.builds("{}{}{}".format, st.text(), st.sampled_from([*ECHOES.values()]), st.text()),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=6),
    ),
    max_leaves=12,
)
OBJECTS = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUES))
DUMPS: list[Callable[[Any], bytes]] = [
    lambda value: json.dumps(value).encode(),
    lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"),
    lambda value: json.dumps(value).encode("utf-16"),
]
BODIES = st.one_of(
    st.binary(max_size=200),
    st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(lambda dump, value: dump(value), st.sampled_from(DUMPS), OBJECTS | VALUES),
)
STATUSES = st.one_of(
    st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 503]), st.integers(0, 999)
)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Content-Type", "retry-after"]),
    st.one_of(
        st.text(),
        st.integers().map(str),
        st.sampled_from([SECRET, "Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59"]),
        st.from_regex(r"\w{3}, \d{1,2} (Jan|Feb|Foo) \d{1,5} \d\d:\d\d(:\d\d)?( GMT| [-+]\d{4})?"),
    ),
)


@settings(deadline=None)
@given(STATUSES, HEADERS, BODIES, st.sampled_from(FORMS))
@example(200, {}, b"\xff", "mediahound")
@example(200, {}, b'{"a":' * 5000, "mediahound")
@example(200, {}, b'{"access_token": "a", "expires_in": 1' + b"0" * 5000 + b"}", "mediahound")
@example(503, {"Retry-After": "0\x1f"}, b"", "client_secret_post")
@example(429, {"Retry-After": "Mon, 01 Jan 0001 00:00:00 +2359"}, b"", "client_secret_basic")
def test_any_response_is_a_token_or_a_token_request_error_and_shows_no_secret(
    status: int, headers: dict[str, str], body: bytes, form: ClientAuth
) -> None:
    outcome = read(TokenResponse(status, headers, body), form)
    assert_shows_no_trace(outcome)
    if isinstance(outcome, Token):
        assert 200 <= status < 300
        assert NOW + 1 <= outcome.expires_at <= NOW + 14 * 24 * 3600
        assert outcome.authorization.isprintable()
        assert outcome.authorization.isascii()
        assert outcome.authorization.count(" ") == 1
    else:
        assert outcome.status == status
        assert str(outcome).isprintable()
        assert outcome.retry_after is None or outcome.retry_after >= 0


def test_a_text_that_is_too_long_to_search_counts_as_private() -> None:
    assert response.shows_private("x" * (response.MAX_TEXT + 1), ["s3cr3t"])
    assert not response.shows_private("x" * 100, ["s3cr3t"])
