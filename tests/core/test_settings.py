"""Wrong options raise ConfigurationError at construction, with the option's name."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import httpx
import pytest
import requests
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import mediahound_auth.httpx
import mediahound_auth.requests
from mediahound_auth import ConfigurationError, MediaHoundAuthError, MemoryStore
from mediahound_auth._core.origins import Origin
from mediahound_auth._core.settings import DEFAULT_TOKEN_URL, Settings

SECRET = "s3cr3t-in-the-wrong-place"
API = Origin("https", "api.mediahound.com", 443)

DEFAULTS: dict[str, Any] = {
    "client_id": "MyClientId",
    "client_secret": "MyClientSecret",
    "token_url": None,
    "scope": None,
    "parameters": None,
    "client_auth": "mediahound",
    "origins": (),
    "store": None,
    "renew_margin": 300.0,
    "timeout": 30.0,
}


def checked(**options: Any) -> Settings:
    """The settings that these options come to, all others being left out."""
    return Settings.from_options(**{**DEFAULTS, **options})


BAD_INPUT = [
    pytest.param({"client_id": None}, r"client_id.*MEDIAHOUND_CLIENT_ID", id="no id"),
    pytest.param({"client_id": ""}, "client_id", id="empty id"),
    pytest.param({"client_id": " \n"}, "client_id", id="blank id"),
    pytest.param({"client_id": 42}, "client_id.*int", id="id is a number"),
    pytest.param({"client_id": b"MyClientId"}, "client_id.*bytes", id="id is bytes"),
    pytest.param({"client_id": "\ud800"}, "client_id", id="id is no Unicode"),
    pytest.param(
        {"client_secret": None}, r"client_secret.*MEDIAHOUND_CLIENT_SECRET", id="no secret"
    ),
    pytest.param({"client_secret": ""}, "client_secret", id="empty secret"),
    pytest.param({"client_secret": "\t "}, "client_secret", id="blank secret"),
    pytest.param({"client_secret": 42}, "client_secret.*int", id="secret is a number"),
    pytest.param({"client_secret": f"{SECRET}\udfff"}, "client_secret", id="secret is no Unicode"),
    pytest.param({"token_url": ""}, "token_url", id="empty URL"),
    pytest.param({"token_url": 42}, "token_url.*int", id="URL is a number"),
    pytest.param({"token_url": "no URL at all"}, "token_url", id="no URL"),
    pytest.param({"token_url": "/oauth/token"}, "token_url", id="relative URL"),
    pytest.param({"token_url": "api.mediahound.com/x"}, "token_url", id="no scheme"),
    pytest.param({"token_url": "https://"}, "token_url", id="no host"),
    pytest.param({"token_url": "https://h:port/"}, "token_url", id="port is text"),
    pytest.param({"token_url": "https://h:65536/"}, "token_url", id="port too high"),
    pytest.param({"token_url": "ftp://h/token"}, "token_url", id="ftp"),
    pytest.param({"token_url": "http://api.example/"}, "token_url.*https", id="http URL"),
    pytest.param({"token_url": f"https://u:{SECRET}@h/"}, "token_url", id="URL with password"),
    pytest.param({"token_url": "https://h/#x"}, "token_url", id="URL with fragment"),
    pytest.param({"token_url": "https://h/a b"}, "token_url", id="URL with blank"),
    pytest.param({"token_url": "https://h/\nx"}, "token_url", id="URL with line feed"),
    pytest.param({"token_url": "https:/\n/h/x"}, "token_url", id="line feed between slashes"),
    pytest.param(
        {"client_auth": "tls_client_auth"}, "client_auth.*'client_secret_basic'", id="mtls"
    ),
    pytest.param({"client_auth": "client_assertion"}, "client_assertion.*callable", id="no signer"),
    pytest.param({"client_auth": None}, "client_auth", id="no client_auth"),
    pytest.param({"client_auth": ["mediahound"]}, "client_auth", id="several client_auth"),
    pytest.param({"origins": "https://a.example"}, r"origins=\[", id="one origin, bare"),
    pytest.param({"origins": 42}, "origins.*int", id="origins is a number"),
    pytest.param({"origins": [42]}, "origins.*int", id="origin is a number"),
    pytest.param({"origins": [b"https://a.example"]}, "origins.*bytes", id="origin is bytes"),
    pytest.param({"origins": ["a.example"]}, "origins", id="origin without scheme"),
    pytest.param({"origins": ["https://a.example/x"]}, "origins.*path", id="origin with path"),
    pytest.param({"origins": ["https://a.example/"]}, "'https://a.example'", id="with a slash"),
    pytest.param({"origins": ["https://a.example?x"]}, "origins", id="origin with query"),
    pytest.param({"origins": ["https://a.example#x"]}, "origins", id="origin with fragment"),
    pytest.param({"origins": [f"https://u:{SECRET}@h"]}, "origins", id="origin with password"),
    pytest.param({"origins": ["https://a b.example"]}, "origins", id="origin with blank"),
    pytest.param({"origins": ["https:/\n/a.example"]}, "origins", id="origin with line feed"),
    pytest.param({"origins": ["http://a.example"]}, "origins.*https", id="http origin"),
    pytest.param({"origins": ["https://a.example", ""]}, "origins", id="one of two empty"),
    pytest.param({"scope": 42}, "scope.*int", id="scope is a number"),
    pytest.param({"scope": b"public_profile"}, "scope", id="scope is bytes"),
    pytest.param({"scope": [42]}, "scope", id="a scope is a number"),
    pytest.param({"scope": [""]}, "scope", id="a scope is empty"),
    pytest.param({"scope": ["a b"]}, "scope", id="a scope with a blank"),
    pytest.param({"scope": [" a"]}, "scope", id="a scope with a leading blank"),
    pytest.param({"scope": ["a "]}, "scope", id="a scope with a trailing blank"),
    pytest.param({"scope": [" "]}, "scope", id="a scope is a blank"),
    pytest.param({"parameters": f"audience={SECRET}"}, "parameters.*mapping", id="a form"),
    pytest.param({"parameters": {"audience": 42}}, "parameters.*str", id="parameter is a number"),
    pytest.param({"parameters": {"audience": None}}, "parameters.*str", id="parameter is None"),
    pytest.param({"parameters": {"audience": ["a", 42]}}, "parameters.*str", id="one of two"),
    pytest.param({"parameters": {42: "audience"}}, "parameters.*str", id="name is a number"),
    pytest.param({"parameters": {"": "a"}}, "parameters=.*empty", id="name is empty"),
    pytest.param({"parameters": {"audience": " "}}, "parameters=.*empty", id="parameter is empty"),
    pytest.param({"parameters": {"a": f"{SECRET}\udfff"}}, "parameters=.*UTF-8", id="no Unicode"),
    pytest.param(
        {"parameters": {"grant_type": ["a", "b"]}}, "parameters.*grant_type", id="two grant types"
    ),
    *(
        pytest.param({"parameters": {name: SECRET}}, f"{name}: use {option}", id=f"own {name}")
        for name, option in (
            ("client_id", "client_id="),
            ("client_secret", "client_secret="),
            ("client_assertion", "client_auth='client_assertion'"),
            ("client_assertion_type", "client_auth='client_assertion'"),
            ("scope", "scope="),
        )
    ),
    pytest.param({"store": "memory"}, "store.*load, save, discard", id="store is a str"),
    pytest.param({"store": MemoryStore}, "store", id="store is a class"),
    *(
        pytest.param({option: bad}, f"{option}.*seconds", id=f"{option} {bad!r}")
        for option in ("renew_margin", "timeout")
        for bad in (-1, None, True, "30", float("nan"), float("inf"), 1e9)
    ),
    pytest.param({"timeout": 0}, "timeout.*above 0", id="timeout 0"),
]


@pytest.mark.parametrize(("options", "message"), BAD_INPUT)
@pytest.mark.parametrize(
    ("adapter", "base"),
    [
        pytest.param(mediahound_auth.requests, requests.RequestException, id="requests"),
        pytest.param(mediahound_auth.httpx, httpx.RequestError, id="httpx"),
    ],
)
def test_bad_input_is_a_configuration_error_that_names_the_option(
    adapter: ModuleType, base: type[Exception], options: dict[str, Any], message: str
) -> None:
    given = {"client_id": "MyClientId", "client_secret": "MyClientSecret", **options}
    with pytest.raises(ConfigurationError, match=message) as caught:
        adapter.MediaHoundAuth(**given)
    for kind in (adapter.ConfigurationError, MediaHoundAuthError, ValueError, base):
        assert isinstance(caught.value, kind)
    assert "MyClientSecret" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("adapter", [mediahound_auth.requests, mediahound_auth.httpx])
@pytest.mark.parametrize("option", ["session", "client"])
def test_the_session_or_client_for_token_requests_is_of_the_adapters_library(
    adapter: ModuleType, option: str
) -> None:
    if (adapter is mediahound_auth.requests) is (option == "session"):
        with pytest.raises(adapter.ConfigurationError, match=f"{option}.*object"):
            adapter.MediaHoundAuth("MyClientId", "MyClientSecret", **{option: object()})
    else:
        with pytest.raises(TypeError, match=option):
            adapter.MediaHoundAuth("MyClientId", "MyClientSecret", **{option: object()})


@pytest.mark.parametrize(
    "option", sorted(DEFAULTS.keys() - {"client_id", "client_secret", "scope"})
)
@pytest.mark.parametrize("listed", [False, True], ids=["bare", "in a list"])
def test_a_secret_given_as_another_option_is_not_quoted(option: str, listed: bool) -> None:
    with pytest.raises(ConfigurationError, match=option) as caught:
        checked(**{option: [SECRET] if listed else SECRET})
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["CLIENT_ID", "CLIENT_SECRET", "TOKEN_URL"])
def test_bad_input_from_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"MEDIAHOUND_{name}", " ")
    with pytest.raises(ConfigurationError, match=f"{name.lower()}.*MEDIAHOUND_{name}"):
        checked(**{name.lower(): None})


@pytest.mark.parametrize("name", ["CLIENT_ID", "CLIENT_SECRET"])
def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"MEDIAHOUND_{name}", "")
    with pytest.raises(ConfigurationError, match=f"no {name.lower()}.*MEDIAHOUND_{name}"):
        checked(**{name.lower(): None})


@pytest.mark.parametrize(
    ("name", "default"),
    [("client_id", None), ("client_secret", None), ("token_url", DEFAULT_TOKEN_URL)],
)
def test_options_take_precedence_over_the_environment_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch, name: str, default: str | None
) -> None:
    if default:
        assert getattr(checked().grant, name) == default
    monkeypatch.setenv(f"MEDIAHOUND_{name.upper()}", "https://from.example/environment")
    assert getattr(checked(**{name: None}).grant, name) == "https://from.example/environment"
    option = "https://from.example/option"
    assert getattr(checked(**{name: option}).grant, name) == option


def test_the_default_endpoint_is_mediahounds() -> None:
    assert checked().grant.token_url == "https://api.mediahound.com/1.3/security/oauth/token"
    assert checked().origins == {API}


@pytest.mark.parametrize(
    "origin", ["https://api.example.com", "https://API.example.com:443", "HTTPS://api.Example.com"]
)
def test_origins_are_compared_in_their_normal_form(origin: str) -> None:
    assert checked(origins=[origin]).origins == {API, Origin("https", "api.example.com", 443)}
    here = checked(token_url=f"{origin}/oauth/token").origins
    assert here == {Origin("https", "api.example.com", 443)}


def test_a_token_url_may_have_a_query() -> None:
    url = "https://api.example.com?tenant=a@b/c"
    assert checked(token_url=url).grant.token_url == url


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_http_is_allowed_on_loopback(host: str) -> None:
    origin = Origin("http", host.strip("[]"), 8080)
    assert checked(token_url=f"http://{host}:8080/token").origins == {origin}
    assert checked(origins=[f"http://{host}:8080"]).origins == {API, origin}


@pytest.mark.parametrize(
    ("scope", "asked"),
    [
        (None, ""),
        ("", ""),
        ([], ""),
        ("public_profile", "public_profile"),
        ("  a\tb \n", "a b"),
        (["a", "b"], "a b"),
        (("b", "a"), "b a"),
        ({"b", "c", "a"}, "a b c"),
        ((part for part in "ab"), "a b"),
    ],
)
def test_a_scope_is_a_str_or_an_iterable_of_str(scope: object, asked: str) -> None:
    assert checked(scope=scope).grant.scope == asked


def test_a_scope_given_as_a_set_is_the_same_in_every_process() -> None:
    program = (
        "from mediahound_auth._core.settings import Settings;"
        f"given = {{**{DEFAULTS!r}, 'scope': {{'a', 'b', 'c', 'd', 'e', 'f'}}}};"
        "print(Settings.from_options(**given).grant.key())"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(keys) == 1


def test_callables_share_one_store_unless_given_their_own() -> None:
    own = MemoryStore()
    assert checked().effective_store is None  # equal grants share their state
    one, other = (checked(client_secret=lambda: "s3cret").effective_store for _ in range(2))
    assert one is other is not None
    assert checked(store=own).effective_store is own
    signed = checked(client_secret=lambda: "JWT", client_auth="client_assertion")
    assert signed.effective_store is None


def test_a_secret_may_be_a_callable() -> None:
    def rotating() -> str:
        raise AssertionError("construction does not ask for it")

    assert checked(client_secret=rotating).grant.client_secret is rotating


@pytest.mark.parametrize(("option", "least"), [("renew_margin", 0), ("timeout", 0.001)])
def test_seconds_may_be_int_or_float(option: str, least: float) -> None:
    for seconds in (least, 7, 0.25, 86400):
        assert getattr(checked(**{option: seconds}), option) == seconds


URL_LIKE = st.lists(st.sampled_from(["https:", "http:", *"/\n\t :@[]%.?#\\1aü\ud800", "::1"]))


@pytest.mark.parametrize("option", ["token_url", "origins"])
@hypothesis_settings(deadline=None)
@given(parts=st.one_of(URL_LIKE, st.lists(st.text())))
@example(parts=["https:/", "\n", "/a"])
def test_any_text_is_a_url_or_a_configuration_error(option: str, parts: list[str]) -> None:
    text = "".join(parts)
    try:
        settings = checked(**{option: text if option == "token_url" else [text]})
    except ConfigurationError as refusal:
        message = str(refusal)
    else:
        message = ""
        assert all(origin.secure for origin in settings.origins)
    assert not message or option in message
