"""The token request, and the key of a token in a store."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
from collections.abc import Callable
from typing import Any, get_args
from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediahound_auth import ConfigurationError
from mediahound_auth._core import grant as grant_module
from mediahound_auth._core.grant import ClientAuth, Grant, TokenRequest, TokenResponse
from mediahound_auth._core.masked import Masked

URL = "https://api.mediahound.com/1.3/security/oauth/token"
FORMS: tuple[ClientAuth, ...] = get_args(ClientAuth)


def a_grant(client_id: str = "MyClientId", **options: Any) -> Grant:
    return Grant(**{"client_id": client_id, "client_secret": "s3cr3t", "token_url": URL, **options})


def test_the_token_request_equals_the_documented_bytes() -> None:
    request = a_grant(client_secret="MyClientSecret").request()
    assert request.url == URL
    assert dict(request.headers) == {
        "Authorization": "Basic TXlDbGllbnRJZDpNeUNsaWVudFNlY3JldA==",
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    assert request.body == (
        b"grant_type=client_credentials&client_id=MyClientId&client_secret=MyClientSecret"
    )


def test_a_scope_is_requested_if_one_is_given() -> None:
    request = a_grant(scope="public_profile", client_secret="MyClientSecret").request()
    assert sorted(request.body.split(b"&")) == [
        b"client_id=MyClientId",
        b"client_secret=MyClientSecret",
        b"grant_type=client_credentials",
        b"scope=public_profile",
    ]


def test_several_scopes_are_one_field() -> None:
    assert form(a_grant(scope="a b").request())["scope"] == "a b"


def test_client_secret_basic_puts_nothing_of_the_client_into_the_body() -> None:
    request = a_grant(
        client_auth="client_secret_basic", scope="a", client_secret="MyClientSecret"
    ).request()
    assert request.headers["Authorization"] == "Basic TXlDbGllbnRJZDpNeUNsaWVudFNlY3JldA=="
    assert form(request) == {"grant_type": "client_credentials", "scope": "a"}


def test_client_secret_post_has_no_authorization_header() -> None:
    request = a_grant(client_auth="client_secret_post", client_secret="MyClientSecret").request()
    assert set(request.headers) == {"Accept", "Content-Type"}
    assert form(request) == {
        "grant_type": "client_credentials",
        "client_id": "MyClientId",
        "client_secret": "MyClientSecret",
    }


def test_parameters_are_further_fields() -> None:
    further = (("audience", "https://api.example.com"), ("resource", "a b"), ("resource", "ü&="))
    request = a_grant(parameters=further, scope="a", client_auth="client_secret_post").request()
    assert sorted(parse_qsl(request.body.decode("ascii"))) == [
        *further[:1],
        ("client_id", "MyClientId"),
        ("client_secret", "s3cr3t"),
        ("grant_type", "client_credentials"),
        *further[1:],
        ("scope", "a"),
    ]


def test_a_grant_type_of_the_provider_replaces_that_of_the_rfc() -> None:
    request = a_grant(
        parameters=(("account_id", "1"), ("grant_type", "account_credentials")),
        client_auth="client_secret_basic",
    ).request()
    assert form(request) == {"grant_type": "account_credentials", "account_id": "1"}


ODD = [
    pytest.param("a:b", id="colon"),
    pytest.param(":", id="only a colon"),
    pytest.param("100%", id="percent"),
    pytest.param("%41%zz", id="looks encoded"),
    pytest.param("a+b", id="plus"),
    pytest.param("a&client_id=b", id="ampersand"),
    pytest.param("a=b=", id="equals"),
    pytest.param(" a b ", id="blanks"),
    pytest.param("a\r\nX-Evil: 1", id="line break"),
    pytest.param("Grüße", id="umlauts"),
    pytest.param("\N{DOG FACE}\N{KEY}", id="emoji"),
    pytest.param("a" * 500, id="long"),
    pytest.param("-._~/?#[]@!$'()*,;\\\"<>", id="punctuation"),
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("form_of_auth", FORMS)
def test_any_id_and_secret_arrive_at_the_server_unchanged(
    form_of_auth: ClientAuth, odd: str
) -> None:
    request = a_grant(odd, client_auth=form_of_auth, client_secret=f"{odd}!").request()
    assert_server_reads(request, form_of_auth, odd, f"{odd}!")


@settings(deadline=None)
@given(client_id=st.text(min_size=1), secret=st.text(min_size=1))
@pytest.mark.parametrize("form_of_auth", FORMS)
def test_any_id_and_any_secret_arrive(
    form_of_auth: ClientAuth, client_id: str, secret: str
) -> None:
    request = a_grant(client_id, client_auth=form_of_auth, client_secret=secret).request()
    assert_server_reads(request, form_of_auth, client_id, secret)


def assert_server_reads(
    request: TokenRequest, form_of_auth: ClientAuth, client_id: str, secret: str
) -> None:
    fields = form(request)
    assert fields.pop("grant_type") == "client_credentials"
    if form_of_auth == "client_secret_basic":
        assert fields == {}
        user, _, password = basic(request).partition(":")
        assert (unquote_plus(user), unquote_plus(password)) == (client_id, secret)
    elif form_of_auth == "client_assertion":
        assert fields == {
            "client_id": client_id,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": secret,
        }
    else:
        assert fields == {"client_id": client_id, "client_secret": secret}
    if form_of_auth == "mediahound":
        assert basic(request) == f"{client_id}:{secret}"
    for name, value in request.headers.items():
        assert f"{name}{value}".isascii()
        assert f"{name}{value}".isprintable()


def form(request: TokenRequest) -> dict[str, str]:
    pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def basic(request: TokenRequest) -> str:
    scheme, _, value = request.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(value, validate=True).decode("utf-8")


# The key

PARTS = [
    pytest.param({"client_id": "another"}, id="client id"),
    pytest.param({"token_url": "https://api.mediahound.com/"}, id="token URL"),
    pytest.param({"scope": "public_profile"}, id="scope"),
    pytest.param({"client_auth": "client_secret_basic"}, id="client_auth"),
    pytest.param({"parameters": (("audience", "a"),)}, id="parameters"),
]


def test_equal_grants_have_equal_keys() -> None:
    assert a_grant(scope="a").key() == a_grant(scope="a").key()


@pytest.mark.parametrize("part", PARTS)
def test_the_key_differs_with_each_part(part: dict[str, str]) -> None:
    assert a_grant(**part).key() != a_grant().key()


def test_a_wrong_secret_never_finds_a_token() -> None:
    assert a_grant().key() != a_grant(client_secret="S3cr3t").key()


def test_a_new_assertion_each_time_does_not_change_the_key() -> None:
    first = a_grant(client_auth="client_assertion", client_secret="a.b.c")
    assert first.key() == first._replace(client_secret="d.e.f").key()
    assert first.key() != first._replace(client_id="another").key()


def test_the_key_is_the_same_whichever_way_the_secret_came() -> None:
    assert a_grant(client_secret=lambda: "s3cr3t").resolved().key() == a_grant().key()


def test_moving_characters_between_parts_changes_the_key() -> None:
    assert a_grant("ba", token_url=URL).key() != a_grant("a", token_url=f"{URL}b").key()
    assert a_grant("ab", scope="").key() != a_grant("a", scope="b").key()
    assert a_grant("a b", scope="").key() != a_grant("a", scope="b").key()
    assert a_grant('a", "b', scope="").key() != a_grant("a", scope="b").key()
    assert a_grant(parameters=(("a", "bc"),)).key() != a_grant(parameters=(("ab", "c"),)).key()


@pytest.mark.parametrize("odd", ODD)
def test_the_key_is_opaque_and_fit_for_a_file_name(odd: str) -> None:
    key = a_grant(f"id {odd}", client_secret=f"secret {odd}").key()
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")


# The secret


@pytest.mark.parametrize("bad", ["", None, 42, b"s3cr3t", "s3cr3t\ud800"], ids=ascii)
def test_a_callable_that_returns_no_secret_is_a_configuration_error(bad: Any) -> None:
    with pytest.raises(ConfigurationError, match="client_secret") as caught:
        a_grant(client_secret=lambda: bad).resolved()
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_callable_that_fails_is_a_configuration_error_with_its_cause() -> None:
    def broken() -> str:
        raise OSError("the vault at s3cr3t.example is closed")

    with pytest.raises(ConfigurationError, match=r"client_secret.*OSError") as caught:
        a_grant(client_secret=broken).resolved()
    assert isinstance(caught.value.__cause__, OSError)
    assert "s3cr3t" not in str(caught.value)


def test_a_callable_is_called_each_time() -> None:
    secrets = iter(["first", "second"])
    grant = a_grant(client_secret=lambda: next(secrets))
    secrets_of_grants = [grant.resolved().client_secret, grant.resolved().client_secret]
    assert secrets_of_grants == ["first", "second"]
    assert a_grant().resolved().client_secret == "s3cr3t"


# What is shown


@pytest.mark.parametrize(
    "make",
    [
        lambda: a_grant(),
        lambda: a_grant().request(),
        lambda: a_grant(client_auth="client_secret_basic").request(),
        lambda: TokenResponse(400, {"X-Echo": "s3cr3t"}, b"s3cr3t"),
    ],
    ids=["grant", "request", "basic request", "answer"],
)
@pytest.mark.parametrize("show", [repr, str, "{}".format], ids=["repr", "str", "format"])
def test_grant_request_and_response_do_not_show_the_secret(
    show: Callable[[object], str], make: Callable[[], object]
) -> None:
    text = show(make())
    assert text.startswith(type(make()).__name__)
    assert "s3cr3t" not in text
    assert base64.b64encode(b"MyClientId:s3cr3t").decode() not in text


def test_the_repr_of_a_secret_is_masked() -> None:
    secret = a_grant(client_secret=lambda: "s3cr3t").resolved().client_secret
    assert isinstance(secret, Masked)
    assert f"{secret}" == "s3cr3t"
    assert repr({"secret": secret}) == "{'secret': '********'}"


def test_the_log_names_the_host_of_the_endpoint() -> None:
    assert a_grant().host == "api.mediahound.com"
    assert a_grant(token_url="http://127.0.0.1:8080/token").host == "127.0.0.1:8080"


def test_a_grant_survives_its_way_to_another_process() -> None:
    twin = pickle.loads(pickle.dumps(a_grant(scope="a")))
    assert twin == a_grant(scope="a")
    assert twin.key() == a_grant(scope="a").key()


@pytest.mark.usefixtures("real_keys")
def test_a_key_is_a_pbkdf2_digest() -> None:
    salt = json.dumps([URL, "id", "", "mediahound"]).encode()
    slow = hashlib.pbkdf2_hmac("sha256", b"s3cr3t", salt, 20_000)
    assert a_grant("id", client_secret="s3cr3t", token_url=URL).key() == slow.hex()


@pytest.mark.usefixtures("real_keys")
def test_the_key_is_the_same_where_python_was_built_without_openssl(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Grant("id", "s\N{SNOWMAN}cret" * 20, "https://api.example.org/token")
    key = client.key()
    monkeypatch.delattr(hashlib, "pbkdf2_hmac")
    grant_module._digest.cache_clear()
    assert client.key() == key
