"""Against authorization servers that we did not write: django-oauth-toolkit, and one of Authlib's.

Both take the secret in the header or in the body, and so MediaHound's form, which has it in both.
In a Basic header, both expect id and secret form-encoded, as RFC 6749 §2.3.1 has it, and Authlib
does not know "+" for a blank. MediaHound's form has them there as they are. A secret that is
misread there is right in the body, where both look next; but an id that is misread, for a colon or
for what looks encoded, "%41", is nobody's to Authlib, which then looks no further.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from libraries import REQUESTS, WITHOUT_HTTPX2, Library
from oauth_servers import LIFETIME, SHORT_LIFETIME, OAuthServer, Process

from mediahound_auth import InvalidClientError, Token, TokenRequestError
from mediahound_auth._core.grant import ClientAuth
from mediahound_auth.testing import MediaHoundServer

# These servers bring libraries of their own along, which those we can do with may be too old for.
pytestmark = pytest.mark.once

FORMS: list[ClientAuth] = ["mediahound", "client_secret_basic", "client_secret_post"]
SERVERS = ["django-oauth-toolkit", "authlib"]
ODD = [
    *((REQUESTS, odd) for odd in [":", "%", "%41", "+", "&", "=", " ", "ü", "🎬"]),
    *((library, ":%+&= ü🎬") for library in WITHOUT_HTTPX2),
]


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    with Process() as process:
        yield process


@pytest.fixture(params=SERVERS)
def oauth_server(process: Process, request: pytest.FixtureRequest) -> OAuthServer:
    return OAuthServer(process, request.param)


@pytest.fixture(params=WITHOUT_HTTPX2, ids=str)
def library(request: pytest.FixtureRequest) -> Library:
    chosen: Library = request.param
    return chosen


def auth_for(library: Library, *arguments: Any, **options: Any) -> Any:
    return library.MediaHoundAuth(*arguments, **options)


def call(library: Library, auth: Any, url: str) -> int:
    """The status of a call with a body, which a retry has to send once more."""
    return int(library.post(url, b"Gladiator", auth).status_code)


@pytest.mark.parametrize("form", FORMS)
def test_a_call_gets_its_token_and_a_revoked_one_is_replaced(
    oauth_server: OAuthServer, library: Library, client_id: str, form: ClientAuth
) -> None:
    oauth_server.add_client(client_id, "secret")
    auth = auth_for(
        library, client_id, "secret", token_url=oauth_server.token_url, client_auth=form
    )
    assert call(library, auth, f"{oauth_server.url}/api") == 200
    token = auth.token()
    assert token.scope == "public_profile"
    assert token.expires_at - token.requested_at == pytest.approx(LIFETIME)
    assert oauth_server.issued(client_id) == 1
    oauth_server.revoke(client_id)
    assert call(library, auth, f"{oauth_server.url}/api") == 200
    assert auth.token().access_token != token.access_token


def test_an_allowed_scope_is_granted_and_another_one_is_not(
    oauth_server: OAuthServer, library: Library, client_id: str
) -> None:
    oauth_server.add_client(client_id, "secret")

    def token(scope: str) -> Token:
        url = oauth_server.token_url
        auth = auth_for(library, client_id, "secret", token_url=url, scope=scope)
        return library.token(auth)

    assert token("public_profile write").scope == "public_profile write"
    if oauth_server.name == "authlib":
        # RFC 6749 §3.3 lets a server grant less than was asked for, if it says so.
        assert token("public_profile admin").scope == "public_profile"
    else:
        with pytest.raises(TokenRequestError, match="invalid_scope") as caught:
            token("public_profile admin")
        assert caught.value.error == "invalid_scope"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrong", ["id", "secret"])
def test_a_wrong_id_or_secret_raises_invalid_client_error(
    oauth_server: OAuthServer, library: Library, client_id: str, form: ClientAuth, wrong: str
) -> None:
    oauth_server.add_client(client_id, "secret")
    name = client_id if wrong == "secret" else f"{uuid.uuid4()}"
    secret = "wr0ng" if wrong == "secret" else "secret"
    auth = auth_for(library, name, secret, token_url=oauth_server.token_url, client_auth=form)
    with pytest.raises(InvalidClientError, match=f"client_auth='{form}'") as caught:
        auth.token()
    assert caught.value.error == "invalid_client"
    assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("library", "odd"), ODD, indirect=["library"], ids=str)
def test_secrets_with_special_characters_are_accepted(
    oauth_server: OAuthServer, library: Library, client_id: str, form: ClientAuth, odd: str
) -> None:
    secret = f"{odd}-secret-{odd}"
    oauth_server.add_client(client_id, secret)
    auth = auth_for(library, client_id, secret, token_url=oauth_server.token_url, client_auth=form)
    assert call(library, auth, f"{oauth_server.url}/api") == 200


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("library", "odd"), ODD, indirect=["library"], ids=str)
def test_ids_with_special_characters_are_accepted(
    oauth_server: OAuthServer, library: Library, form: ClientAuth, odd: str
) -> None:
    name = f"id{odd}-{uuid.uuid4()}-{odd}"
    oauth_server.add_client(name, "secret")
    auth = auth_for(library, name, "secret", token_url=oauth_server.token_url, client_auth=form)
    misread = ":" in odd or "%41" in odd
    if oauth_server.name == "authlib" and form == "mediahound" and misread:
        with pytest.raises(InvalidClientError, match="client_auth='mediahound'"):
            call(library, auth, f"{oauth_server.url}/api")
    else:
        assert call(library, auth, f"{oauth_server.url}/api") == 200


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("only", ["client_secret_basic", "client_secret_post"])
def test_a_client_may_be_registered_for_one_authentication_method(
    oauth_server: OAuthServer, library: Library, client_id: str, form: ClientAuth, only: str
) -> None:
    oauth_server.add_client(client_id, "secret", only)
    url = oauth_server.token_url
    auth = auth_for(library, client_id, "secret", token_url=url, client_auth=form)
    if oauth_server.name == "authlib" and form not in ("mediahound", only):
        with pytest.raises(InvalidClientError, match=f"client_auth='{form}'"):
            call(library, auth, f"{oauth_server.url}/api")
    else:
        assert call(library, auth, f"{oauth_server.url}/api") == 200


@pytest.mark.parametrize("strict_form", ["client_secret_basic", "client_secret_post"])
def test_the_error_of_a_server_that_forbids_two_methods_at_once_names_client_auth(
    library: Library, client_id: str, strict_form: ClientAuth
) -> None:
    with MediaHoundServer(client_id=client_id, client_auth=strict_form) as strict:
        auth = auth_for(library, **strict.credentials)
        with pytest.raises(TokenRequestError) as caught:
            call(library, auth, f"{strict.url}/1.3/search/all/Gladiator")
    assert caught.value.error == "invalid_request"
    assert str(caught.value).endswith(
        ". The endpoint may expect another client_auth= ('client_secret_basic', "
        "'client_secret_post', 'client_assertion'), or a further field such as audience in "
        "parameters="
    )


def test_calls_go_on_while_tokens_expire(
    oauth_server: OAuthServer, library: Library, client_id: str
) -> None:
    oauth_server.add_client(client_id, "secret", lifetime=SHORT_LIFETIME)
    auth = auth_for(library, client_id, "secret", token_url=oauth_server.token_url)
    first = auth.token()
    calls = 0
    while not calls or auth.token().access_token == first.access_token:
        assert call(library, auth, f"{oauth_server.url}/api") == 200
        calls += 1
        time.sleep(0.05)  # a call now and then: without a pause, these are a thousand
    assert call(library, auth, f"{oauth_server.url}/api") == 200
    assert 2 <= oauth_server.issued(client_id) <= 2 + calls
